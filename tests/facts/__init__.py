"""Tests of Bitbucket's answers, paragraph by paragraph of docs/facts.md.

By default they ask the sandbox, in each version that it resembles. With ``--bitbucket URL`` they ask that server. See
docs/contributing/testing.md.
"""

"""What Bitbucket answers, paragraph by paragraph of docs/facts.md.

By default against the sandbox, in each version that it resembles. With ``--bitbucket URL`` against that server; see
docs/contributing/testing.md.
"""

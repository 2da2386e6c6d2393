"""Break the code on purpose, one place at a time, and ask a test suite whether it notices.

A line that a test runs through is not yet a line that a test checks. This tool measures the difference, and compares
two suites by it. ``python -m bench.mutants --help`` lists the options.
"""

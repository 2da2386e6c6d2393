"""Assertions about a page that wait until it is so: what a page shows comes later on a busy machine."""

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

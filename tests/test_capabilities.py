"""Each capability has a test in each framework, or an explanation, and the documentation has them all."""

import pytest

from tests import capabilities


@pytest.fixture(scope="module")
def tried():
    return capabilities.tried()


def test_each_capability_is_tried_in_each_framework_or_explained(tried):
    assert capabilities.gaps(tried) == []


def test_the_committed_table_is_that_of_the_markers():
    """``make docs/many-organizations.md`` writes it anew."""
    page = capabilities.PAGE.read_text()
    assert page == capabilities.written(page)

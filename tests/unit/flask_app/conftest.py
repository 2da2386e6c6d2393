"""The tests' own application, as the tests of the organizations' pages have it."""

from tests.unit.flask.organizations.conftest import app, make_app, owner, standing_clock, visitor

__all__ = ["app", "make_app", "owner", "standing_clock", "visitor"]

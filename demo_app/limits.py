"""How often something may be done."""

from __future__ import annotations

from flask_limiter import Limiter
from limits import parse
from werkzeug.exceptions import TooManyRequests

from social_bitbucket_server.flask.organizations import visitor
from social_bitbucket_server.organizations import Limited

limiter = Limiter(visitor, storage_uri="memory://")

_LIMITS = {
    Limited.LOGINS: parse("10/minute"),
    Limited.CALLBACKS: parse("60/minute"),
    Limited.ADMIN_REQUESTS: parse("60/minute"),
    Limited.TESTS: parse("10/minute"),
    Limited.SETUP_LINKS: parse("30/minute"),
    Limited.SETUP_LINKS_MADE: parse("20/hour"),
    Limited.SETUP_TESTS: parse("10/5minutes"),
    Limited.KEY_PAIRS: parse("10/hour"),
}
_OF_A_VISITOR = {Limited.LOGINS, Limited.CALLBACKS, Limited.TESTS, Limited.SETUP_LINKS}


def limit(what: Limited, key: str) -> None:
    """Refuse what the library's pages do too often."""
    whose = (visitor(), key) if what in _OF_A_VISITOR else (key,)
    if not limiter.limiter.hit(_LIMITS[what], what.value, *whose):
        raise TooManyRequests(retry_after=_LIMITS[what].get_expiry())

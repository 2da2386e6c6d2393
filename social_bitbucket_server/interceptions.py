"""What stands in front of Bitbucket, seen from an answer that Bitbucket never gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .problems import BitbucketServerError

if TYPE_CHECKING:
    from .transport import Answer

_LOOKED_AT = 16 * 1024
# The short ones alone: they stand in fingerprints of files, too.
_SECOND_FACTOR = re.compile(r"two.?factor|second factor|(?<![0-9a-z])(?:u2f|totp|2fa)(?![0-9a-z])")
_LOGIN_FORM = re.compile(r"""type=["']?password|<(title|h1)[^<>]*>[^<]*(log.?in|sign.?in|single sign|sso\b)""")
_OAUTH_CHALLENGE = re.compile(r"\s*oauth\b", re.IGNORECASE)
_LOGIN_ADDRESS = re.compile(r"log.?in|sign.?in|\bsso\b|saml|\bauth|\badfs\b|\bcas\b")


def is_bitbuckets_own(answer: Answer) -> bool:
    """Return whether Bitbucket itself gave *answer*, by the headers that it adds to its answers and refusals."""
    challenges = answer.headers.getlist("WWW-Authenticate")
    return "X-AREQUESTID" in answer.headers or any(_OAUTH_CHALLENGE.match(challenge) for challenge in challenges)


def is_intercepted(answer: Answer) -> bool:
    """Whether *answer* is a redirect, a page for people, or asks for another login than OAuth's."""
    return 300 <= answer.status < 400 or (answer.is_html and answer.status < 500) or _asks_for_a_password(answer)


def interception(answer: Answer) -> BitbucketServerError:
    """The problem that *answer* is, which is not Bitbucket's own."""
    page = answer.body[:_LOOKED_AT].decode("utf-8", "replace").lower()
    location = answer.headers.get("Location", "").lower()
    status = answer.status
    if _SECOND_FACTOR.search(page + location):
        return BitbucketServerError("second_factor_plugin", status_code=status)
    if status == 503 or "maintenance" in page + location:
        return BitbucketServerError("maintenance", status_code=status)
    if _asks_for_a_password(answer):
        return BitbucketServerError("login_in_front", "It wants a password with each request.", status_code=status)
    if 300 <= status < 400:
        if _LOGIN_ADDRESS.search(location):
            return BitbucketServerError("login_in_front", "It redirects to its login.", status_code=status)
        return BitbucketServerError("redirected", status_code=status)
    if _LOGIN_FORM.search(page):
        return BitbucketServerError("login_in_front", "It answers with a login page.", status_code=status)
    if status == 404:
        return BitbucketServerError("not_bitbucket", status_code=status)
    return BitbucketServerError("intercepted", status_code=status)


def _asks_for_a_password(answer: Answer) -> bool:
    """By HTTP's own means. A proxy's 407 comes from the way to the server, and is no answer of anybody's there."""
    if answer.status != 401 or is_bitbuckets_own(answer):
        return False
    challenges = " ".join(answer.headers.getlist("WWW-Authenticate")).lower()
    return re.search(r"\b(basic|digest|negotiate|ntlm)\b", challenges) is not None

"""Systems in front of Bitbucket, recognized by an answer that Bitbucket never gives."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from ..problems import BitbucketServerError, Code
from .exchange import Answer

_LOOKED_AT = 16 * 1024
_BAD_GATEWAY = frozenset({502, 504})
_UNAVAILABLE = _BAD_GATEWAY | {503}
_STATE = re.compile(rb'\s*\{\s*"(?:state|status)"\s*:\s*"([A-Z_]{1,20})"')
_CODES_OF_STATES = {
    b"STARTING": Code.SERVER_STARTING,
    b"FIRST_RUN": Code.SERVER_STARTING,
    b"MAINTENANCE": Code.MAINTENANCE,
}
"""Problem codes by the state that Bitbucket reports at ``/status``, and at its other addresses while it starts."""
_STARTING = re.compile(r"bitbucket (?:server |data center )?is (?:starting|restarting)")
# In the words of nginx, Apache, Tomcat and Go.
_HTTPS_EXPECTED = re.compile(
    r"plain http request was sent to https port|speaking plain http to an ssl|http request to an https server"
    r"|this combination of host and port requires tls"
)
_BLOCKED = re.compile(
    r"application firewall|mod_?security|request (?:was |has been )?(?:blocked|rejected)|requested url was rejected"
    r"|web page blocked|incapsula incident"
)
# Ordinary pages name them, too.
_FIREWALLS = re.compile(
    r"\bwaf\b|cloudflare|akamai|edgesuite|imperva|sucuri|fortiweb|fortigate|barracuda|reference(?: |&#32;)(?:#|&#35;)"
)
# The short ones alone: they stand in fingerprints of files, too.
_SECOND_FACTOR = re.compile(r"two.?factor|second factor|(?<![0-9a-z])(?:u2f|totp|2fa)(?![0-9a-z])")
_LOGIN_FORM = re.compile(r"""type=["']?password|<(title|h1)[^<>]*>[^<]*(log.?in|sign.?in|single sign|sso\b)""")
_OAUTH_CHALLENGE = re.compile(r"\s*oauth\b", re.IGNORECASE)
# nginx's pages (ngx_http_special_response.c), Apache's where it asks after the handshake (ssl_engine_kernel.c), and
# IIS's, by its numbers.
_NO_CLIENT_CERTIFICATE = re.compile(
    r"no required ssl certificate was sent|cannot perform post-handshake authentication|http error 403\.7\b"
)
_OTHER_CLIENT_CERTIFICATE = re.compile(r"<title>400 the ssl certificate error</title>|http error 403\.1[367]\b")
_LOGIN_ADDRESS = re.compile(r"log.?in|sign.?in|\bsso\b|saml|\bauth|\badfs\b|\bcas\b")


def is_bitbuckets_own(answer: Answer) -> bool:
    """Return whether Bitbucket itself gave *answer*, by the headers that it adds to its answers and refusals."""
    challenges = answer.headers.getlist("WWW-Authenticate")
    return "X-AREQUESTID" in answer.headers or any(_OAUTH_CHALLENGE.match(challenge) for challenge in challenges)


def is_intercepted(answer: Answer) -> bool:
    """Return whether *answer* is a redirect, a page for people that is not Bitbucket's refusal, asks for another login
    than OAuth's, or says that something is not available at the moment."""
    if 300 <= answer.status < 400 or answer.status in _UNAVAILABLE or _asks_for_a_password(answer):
        return True
    if _expects_https(answer):
        return True
    return answer.is_html and answer.status < 500 and not (answer.status >= 400 and is_bitbuckets_own(answer))


def interception(answer: Answer, claim: str | None = None) -> BitbucketServerError:
    """Return the problem that *answer* is, which is not Bitbucket's own. *claim*: the field that some other page was
    expected to have."""
    code, reason = _code(answer)
    missing = claim if code == Code.INTERCEPTED else None
    return BitbucketServerError(code, reason, claim=missing, status_code=answer.status)


def unavailability(answer: Answer) -> BitbucketServerError | None:
    """Return the problem of a Bitbucket that says of itself, in JSON and with any status, that it is not running."""
    state = _STATE.match(answer.body)
    code = _CODES_OF_STATES.get(state[1]) if state else None
    return BitbucketServerError(code, status_code=answer.status) if code else None


def _code(answer: Answer) -> tuple[Code, str]:
    page, location, status = _text(answer), answer.headers.get("Location", "").lower(), answer.status
    if _NO_CLIENT_CERTIFICATE.search(page):
        return Code.CLIENT_CERTIFICATE_MISSING, ""
    if _OTHER_CLIENT_CERTIFICATE.search(page):
        return Code.CLIENT_CERTIFICATE_REFUSED, ""
    if _SECOND_FACTOR.search(page + location):
        return Code.SECOND_FACTOR_PLUGIN, ""
    if "maintenance" in page + location:
        return Code.MAINTENANCE, ""
    if 300 <= status < 400:
        if _wants_its_cookie_back(answer):
            return Code.COOKIE_WANTED, ""
        is_login = _LOGIN_ADDRESS.search(location)
        return (Code.LOGIN_IN_FRONT, "It redirects to its login.") if is_login else (Code.REDIRECTED, "")
    if _asks_for_a_password(answer):
        return Code.LOGIN_IN_FRONT, "It wants a password with each request."
    if _LOGIN_FORM.search(page):
        return Code.LOGIN_IN_FRONT, "It answers with a login page."
    if _expects_https(answer):
        return Code.HTTPS_EXPECTED, ""
    if _BLOCKED.search(page) or (status >= 400 and status not in _BAD_GATEWAY and _FIREWALLS.search(page)):
        return Code.FIREWALL_IN_FRONT, ""
    if status in _UNAVAILABLE or _STARTING.search(page):
        return Code.SERVER_STARTING, f"It answers with status {status}."
    return (Code.NOT_BITBUCKET, "") if status == 404 else (Code.INTERCEPTED, "")


def _expects_https(answer: Answer) -> bool:
    return answer.status == 400 and _HTTPS_EXPECTED.search(_text(answer)) is not None


def _text(answer: Answer) -> str:
    return answer.body[:_LOOKED_AT].decode("utf-8", "replace").lower()


def _wants_its_cookie_back(answer: Answer) -> bool:
    """Return whether *answer* sets a cookie and leads back to where it was asked for, if only with another query."""
    if "Set-Cookie" not in answer.headers:
        return False
    try:
        asked, target = urlsplit(answer.url), urlsplit(urljoin(answer.url, answer.headers.get("Location", "")))
    except ValueError:
        return False
    return asked[:3] == target[:3]


def _asks_for_a_password(answer: Answer) -> bool:
    """Return whether *answer* asks for a password by HTTP's own means. A 407 is a proxy's, and not the server's."""
    if answer.status != 401 or is_bitbuckets_own(answer):
        return False
    challenges = " ".join(answer.headers.getlist("WWW-Authenticate")).lower()
    return re.search(r"\b(basic|digest|negotiate|ntlm)\b", challenges) is not None

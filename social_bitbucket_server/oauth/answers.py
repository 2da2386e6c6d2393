"""The contents of an answer: a form, a JSON object, or the problem that stands in for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Never
from urllib.parse import parse_qsl, unquote_plus

from ..crypto import Secret, opaque
from ..problems import PROBLEMS, BitbucketServerError, Code
from ..transport import Answer, interception, is_intercepted, unavailability

DENIED = "denied"
"""The verifier that Bitbucket sends after the person pressed Deny."""

OAUTH_PROBLEMS = frozenset(
    {
        "additional_authorization_required",
        "consumer_key_refused",
        "consumer_key_rejected",
        "consumer_key_unknown",
        "nonce_used",
        "parameter_absent",
        "parameter_rejected",
        "permission_denied",
        "permission_unknown",
        "signature_invalid",
        "signature_method_rejected",
        "timestamp_refused",
        "token_expired",
        "token_rejected",
        "token_revoked",
        "token_used",
        "user_refused",
        "version_rejected",
    }
)
"""The ``oauth_problem`` values that Bitbucket, or the OAuth library that it is built on, is known to answer with."""

LONGEST_REFUSAL = 8 * 1024
"""Bytes of a refusal that are looked at."""

OAUTH2_ERRORS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    }
)
"""The ``error`` values of OAuth 2 (RFC 6749, sections 4.1.2.1 and 5.2)."""

_OAUTH2_PROBLEMS = {
    "invalid_client": Code.CLIENT_REFUSED,
    "invalid_grant": Code.CODE_REFUSED,
    "invalid_scope": Code.SCOPE_REFUSED,
}
# No request to the token address is malformed. Bitbucket says so of a code that it no longer knows.
_TOKEN_CALL_PROBLEMS = {"invalid_request": Code.CODE_REFUSED} | _OAUTH2_PROBLEMS
_CONFIGURED = {
    Code.CALLBACK_REFUSED: "CALLBACK_ORIGIN",
    Code.CLIENT_REFUSED: "client_secret",
    Code.CONSUMER_KEY_REFUSED: "consumer_key",
    Code.CONSUMER_KEY_UNKNOWN: "consumer_key",
    Code.SCOPE_REFUSED: "SCOPE",
    Code.SIGNATURE_INVALID: "public_key",
    Code.SIGNATURE_METHOD_REJECTED: "public_key",
    Code.TIMESTAMP_REFUSED: "clock",
}
_OAUTH2_TOKEN = re.compile(r"[!-~]{1,4096}")
_LONGEST_LIFETIME = 10**10
_OTHER_NAMES = {
    "consumer_key_rejected": Code.CONSUMER_KEY_REFUSED,
    "token_used": Code.TOKEN_REJECTED,
    "user_refused": Code.PERMISSION_UNKNOWN,
}
_HEADER_PARAMETER = re.compile(r'\b(oauth_[a-z_]{1,40})="?([^",\s]*)"?')
_MOST_PARAMETERS = 32
_XSRF_REFUSAL = b"xsrf check failed"
_EXCEPTION = re.compile(r"[A-Za-z0-9_$.]{1,200}")


@opaque
def read_form(answer: Answer) -> dict[str, Secret]:
    """Return the fields of a token endpoint's answer, none of them twice. The declared character set is ignored.

    Raises the problem that the answer reports, and ``malformed_answer``, ``intercepted``, ``empty_answer``.
    """
    _raise_for_status(answer, is_asked_as_a_person=False, claim="oauth_token")
    if not answer.body.strip():
        raise BitbucketServerError(Code.EMPTY_ANSWER, claim="oauth_token")
    pairs = _pairs(read_text(answer))
    fields = dict(pairs)
    if "oauth_token" not in fields:
        raise interception(answer, "oauth_token")
    if len(fields) != len(pairs):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "A field stands in it twice.")
    return fields


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens that OAuth 2's token endpoint granted. If the server did not say, *refresh_token* is empty and
    *expires_in* (seconds) is ``None``."""

    access_token: Secret = field(repr=False)
    refresh_token: Secret = field(repr=False)
    expires_in: int | None


@opaque
def read_grant(answer: Answer) -> Grant:
    """Return what OAuth 2's token endpoint granted: a JSON object with a bearer token (RFC 6749, section 5.1).

    Raises the problem that the answer reports, and ``token_invalid``, ``malformed_answer``, ``intercepted``,
    ``empty_answer``.
    """
    _raise_oauth2_error(answer)
    _raise_for_status(answer, is_asked_as_a_person=False, claim="access_token")
    if not answer.body.strip():
        raise BitbucketServerError(Code.EMPTY_ANSWER, claim="access_token")
    document = _json(answer, claim="access_token")
    if not isinstance(document, dict):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not a JSON object.")
    kind = document.get("token_type")
    if type(kind) is not str or kind.lower() != "bearer":
        raise BitbucketServerError(Code.TOKEN_INVALID, "It is not a bearer token.", claim="token_type")
    access_token = _oauth2_token(document.get("access_token"), "access_token")
    refresh_token, lifetime = document.get("refresh_token"), document.get("expires_in")
    refresh_token = Secret() if refresh_token is None else _oauth2_token(refresh_token, "refresh_token")
    if lifetime is not None and (type(lifetime) is not int or not 0 < lifetime < _LONGEST_LIFETIME):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "The token's lifetime is not a number of seconds.")
    return Grant(access_token, refresh_token, lifetime)


@opaque
def read_revocation(answer: Answer) -> None:
    """Read the answer of OAuth 2's address for revoking tokens (RFC 7009, section 2.2), which is empty.

    Raises the problem that the answer reports, and ``intercepted``.
    """
    _raise_oauth2_error(answer)
    _raise_for_status(answer, is_asked_as_a_person=False)
    if answer.is_html:
        raise interception(answer)


def _oauth2_token(value: Any, claim: str) -> Secret:
    if type(value) is not str or not _OAUTH2_TOKEN.fullmatch(value):
        raise BitbucketServerError(Code.TOKEN_INVALID, claim=claim)
    return Secret(value)


def _raise_oauth2_error(answer: Answer) -> None:
    if answer.status not in {400, 401, 403}:
        return
    try:
        document = _json(answer, claim="access_token")
    except BitbucketServerError:
        return
    if isinstance(document, dict) and type(document.get("error")) is str:
        raise oauth2_problem(document["error"], _TOKEN_CALL_PROBLEMS, answer.status)


def oauth2_problem(
    error: str, problems: Mapping[str, Code] = _OAUTH2_PROBLEMS, status_code: int | None = None
) -> BitbucketServerError:
    """Return the one of *problems* that an ``error`` of OAuth 2 stands for; by default, of those of a callback.
    ``access_denied`` is the person's answer, and left to the caller."""
    provider_code = error if error in OAUTH2_ERRORS else "other"
    return _reported(problems.get(provider_code, Code.OAUTH_PROBLEM), provider_code, status_code)


def _pairs(text: str) -> list[tuple[str, Secret]]:
    if text.count("&") >= _MOST_PARAMETERS:
        return []
    return [(name, Secret(value)) for name, value in parse_qsl(text, keep_blank_values=True)]


def read_json(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in *answer*, without repeated keys and without numbers that JSON does not have.

    Raises the problem that the answer reports, ``intercepted`` and ``malformed_answer``.
    """
    _raise_for_status(answer)
    document = _json(answer)
    if not isinstance(document, dict):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not a JSON object.")
    return document


def read_document(answer: Answer) -> Any:
    """Return the JSON in *answer*, which REST gave, of any kind; ``None`` if it is empty.

    Raises the problem that the answer reports, ``intercepted`` and ``malformed_answer``.
    """
    _raise_for_status(answer, successes=range(200, 300))
    return _json(answer) if answer.body.strip() else None


def refuse_oauth_problem(answer: Answer) -> Answer:
    """Return *answer* itself, of any status. If it reports a problem of OAuth's, raise that."""
    if answer.status in {400, 401, 403}:
        _raise_oauth_problem(answer)
    return answer


def read_text(answer: Answer) -> str:
    """Return the text of *answer* without white space around it. Raises ``malformed_answer`` if it is not UTF-8."""
    try:
        return answer.body.decode().strip()
    except UnicodeDecodeError:
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not UTF-8.") from None


def _json(answer: Answer, claim: str = "profile") -> Any:
    if answer.is_html:
        raise interception(answer, claim)
    text = read_text(answer)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not JSON.") from None


def _raise_for_status(
    answer: Answer,
    successes: range = range(200, 201),
    *,
    is_asked_as_a_person: bool = True,
    claim: str = "profile",
) -> None:
    """Raise the problem of an *answer* whose status is none of *successes*.

    An empty 401 is about the account of the person who asks. If the application itself asks, no account is meant.
    """
    status = answer.status
    unavailable = unavailability(answer)
    if unavailable is not None:
        raise unavailable
    if status in successes:
        return
    if status == 429:
        raise BitbucketServerError(Code.RATE_LIMITED, status_code=status)
    if status in {400, 401, 403}:
        _raise_oauth_problem(answer)
        _raise_refusal(answer)
    if is_intercepted(answer):
        raise interception(answer, claim)
    if status == 401 and not answer.body and is_asked_as_a_person:
        raise BitbucketServerError(Code.ACCOUNT_NOT_ADMITTED, status_code=status)
    code = Code.SERVER_ERROR if 500 <= status < 600 else Code.REQUEST_REFUSED
    raise BitbucketServerError(code, f"It answered with status {status}.", status_code=status)


def _raise_refusal(answer: Answer) -> None:
    if wants_captcha(answer):
        raise BitbucketServerError(Code.CAPTCHA_WANTED, status_code=answer.status)
    if answer.status == 403 and _XSRF_REFUSAL in answer.body[:LONGEST_REFUSAL].lower():
        raise BitbucketServerError(Code.XSRF_CHECK_FAILED, status_code=answer.status)
    if answer.status not in {401, 403}:
        return
    try:
        document = json.loads(answer.body[:LONGEST_REFUSAL])
    except (ValueError, RecursionError):
        return
    match document:  # the first error that REST reports
        case {"errors": [{"exceptionName": str(name)}, *_]} if _EXCEPTION.fullmatch(name):
            exception = name.rpartition(".")[2]
            if exception:
                raise BitbucketServerError(
                    Code.NOT_PERMITTED, status_code=answer.status, facts={"exception": exception}
                )


def wants_captcha(answer: Answer) -> bool:
    """Return whether Bitbucket refuses a login until a CAPTCHA is solved, as the header of *answer* says."""
    return "captcha" in answer.headers.get("X-Authentication-Denied-Reason", "").lower()


def oauth_problem(answer: Answer) -> dict[str, str]:
    """Return the ``oauth_problem`` in *answer* and the parameters that go with it; empty if it reports none.

    Bitbucket writes them into the body as a form, and into one of two ``WWW-Authenticate`` headers.
    """
    reported: dict[str, str] = {}
    for header in answer.headers.getlist("WWW-Authenticate"):
        for name, value in islice(_HEADER_PARAMETER.findall(header), _MOST_PARAMETERS):
            reported.setdefault(name, unquote_plus(value))
    body = answer.body.decode("ascii", "replace")
    if body.count("&") < _MOST_PARAMETERS:
        reported.update((name, value) for name, value in parse_qsl(body) if name.startswith("oauth_"))
    return reported if reported.get("oauth_problem") else {}


def _raise_oauth_problem(answer: Answer) -> None:
    parameters = oauth_problem(answer)
    reported = parameters.get("oauth_problem")
    if not reported:
        return
    provider_code = reported if reported in OAUTH_PROBLEMS else "other"
    name = _OTHER_NAMES.get(provider_code, provider_code)
    code = Code(name) if name in PROBLEMS else Code.OAUTH_PROBLEM
    if provider_code == "parameter_rejected" and "oauth_callback" in parameters.get("oauth_parameters_rejected", ""):
        code = Code.CALLBACK_REFUSED
    if provider_code == "parameter_absent":
        # Every request has all parameters. Without the header, Bitbucket misses the consumer key among others.
        absent = parameters.get("oauth_parameters_absent", "oauth_consumer_key")
        code = Code.AUTHORIZATION_HEADER_LOST if "oauth_consumer_key" in absent else Code.REQUEST_CHANGED
    raise _reported(code, provider_code, answer.status)


def _reported(code: Code, provider_code: str, status_code: int | None) -> BitbucketServerError:
    """Return the problem that the server reported. A name that OAuth does not have may be any text: it is not shown."""
    reason = ""
    if code == Code.OAUTH_PROBLEM:
        is_known = provider_code != "other"
        reason = f"It reported {provider_code}." if is_known else "It reported a problem that OAuth does not have."
    return BitbucketServerError(
        code, reason, parameter=_CONFIGURED.get(code), provider_code=provider_code, status_code=status_code
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands in an object twice")
    return document


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")

"""The rules of OAuth 2 (RFC 6749, RFC 7636) as Bitbucket has them: what is checked, and how it is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

from ..oauth1.rules import AccountNotAdmittedError
from ..state.external_applications import ExternalApplication
from ..state.grants import (
    ACCESS_TOKEN_LIFETIME,
    CODE_LIFETIME,
    REFRESH_TOKEN_LIFETIME,
    AuthorizationRequest,
    Code,
    Grant,
)
from ..state.state import State
from ..state.users import User

Parameters = Mapping[str, Sequence[str]]
"""Every value of every parameter."""

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_METHODS = {"plain": "plain", "s256": "S256"}


class UntrustedRequestError(Exception):
    """An authorization request that is answered with a page, and never with a redirect; the text says why."""


class OAuth2Error(Exception):
    """A refusal with an ``error`` and a description for developers.

    *status* is that of the token endpoint's answer: 401 if the client is not admitted, 400 otherwise.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = 401 if error == "invalid_client" else 400


def answer_address(redirect_uri: str, parameters: Parameters, **answer: str) -> str:
    """Return *redirect_uri* with *answer* and the ``state`` of *parameters*, if there is one, behind its own query."""
    sent = answer | {"state": parameters["state"][0]} if "state" in parameters else answer
    parts = urlsplit(redirect_uri)
    return parts._replace(query="&".join(filter(None, (parts.query, urlencode(sent))))).geturl()


def trusted_redirect(parameters: Parameters, state: State) -> tuple[ExternalApplication, str]:
    """Return the request's application, and the address for its answer. Raises :class:`UntrustedRequestError`."""
    application = state.applications.by_client_id(_single(parameters, "client_id"))
    if application is None:
        raise UntrustedRequestError("No application link has this client ID.")
    redirect_uri = _single(parameters, "redirect_uri")
    if redirect_uri not in application.redirect_urls:
        raise UntrustedRequestError(f"The redirect address is not the Redirect URL of {application.name}.")
    return application, redirect_uri


def authorization_request(
    application: ExternalApplication, redirect_uri: str, parameters: Parameters
) -> AuthorizationRequest:
    """Check the rest of a request. Raises :class:`OAuth2Error` for the redirect address."""
    for name, values in parameters.items():
        if len(values) > 1:
            raise OAuth2Error("invalid_request", f"{name} is there twice.")
    response_type = _single(parameters, "response_type")
    if not response_type:
        raise OAuth2Error("invalid_request", "response_type is missing.")
    if response_type != "code":
        raise OAuth2Error("unsupported_response_type", "The response_type must be code.")
    scopes = tuple(_single(parameters, "scope").split())
    if not scopes or not application.scopes.issuperset(scopes):
        raise OAuth2Error("invalid_scope", "The link does not permit this scope.")
    challenge, method = _challenge(parameters)
    return AuthorizationRequest(application, redirect_uri, scopes, challenge, method)


def allow(request: AuthorizationRequest, user: User, state: State) -> Code:
    """Make a code for the *request* that *user* has just allowed."""
    code = Code(secrets.token_hex(16), request, user.id, state.clock.now())
    state.grants.add_code(code)
    return code


def token(parameters: Parameters, state: State) -> Grant:
    """Exchange a code or a refresh token: the token call. Raises :class:`OAuth2Error`.

    Like Bitbucket, it checks the code or refresh token first and the client secret last.
    """
    grant_type = _required(parameters, "grant_type")
    if grant_type == "authorization_code":
        return _exchange(parameters, state)
    if grant_type == "refresh_token":
        return _refresh(parameters, state)
    raise OAuth2Error("unsupported_grant_type", "The grant_type must be authorization_code or refresh_token.")


def revoke(parameters: Parameters, state: State) -> None:
    """Revoke an access token or refresh token, and the other one of its pair (RFC 7009). Raises :class:`OAuth2Error`.

    Like Bitbucket, it checks the client first. An unknown token, or one of another client, is no error.
    """
    application = _authenticated(parameters, state)
    value = _required(parameters, "token")
    grant = state.grants.by_access_token(value) or state.grants.by_refresh_token(value)
    if grant is not None and grant.client_id == application.client_id:
        state.grants.take(grant)


def bearer_grant(value: str, state: State) -> tuple[User, tuple[str, ...]] | None:
    """Return the person and the scopes of an access token. ``None`` if it is unknown, revoked or too old.

    Raises :class:`~.oauth1.rules.AccountNotAdmittedError`.
    """
    grant = state.grants.by_access_token(value)
    if grant is None or state.clock.now() > grant.created + ACCESS_TOKEN_LIFETIME:
        return None
    user = state.users.by_id(grant.user_id)
    if user is None or not user.active:
        raise AccountNotAdmittedError
    return user, grant.scopes


def _challenge(parameters: Parameters) -> tuple[str, str]:
    challenge, method = _single(parameters, "code_challenge"), _single(parameters, "code_challenge_method")
    if not challenge:
        if method:
            raise OAuth2Error("invalid_request", "code_challenge is missing.")
        return "", ""
    # social-core's own backend writes s256.
    known = _METHODS.get((method or "plain").lower())
    if known is None or not _VERIFIER.fullmatch(challenge):
        raise OAuth2Error("invalid_request", "The code_challenge cannot be used.")
    return challenge, known


def _authenticated(parameters: Parameters, state: State) -> ExternalApplication:
    application = state.applications.by_client_id(_single(parameters, "client_id"))
    secret = _single(parameters, "client_secret")
    is_right = application is not None and hmac.compare_digest(application.client_secret.encode(), secret.encode())
    if application is None or not is_right or state.faults.client_secret_refused:
        raise OAuth2Error("invalid_client", "The client ID or the client secret is not right.")
    return application


def _exchange(parameters: Parameters, state: State) -> Grant:
    value, redirect_uri = _required(parameters, "code"), _required(parameters, "redirect_uri")
    client_id = _required(parameters, "client_id")
    code, now = state.grants.code(value), state.clock.now()
    if code is None or now > code.created + CODE_LIFETIME or state.faults.codes_expired:
        raise OAuth2Error("invalid_request", "The code is not known, or has expired.")
    if state.grants.is_used(value):
        _refuse_second_use(value, state)
    asked = code.request
    if asked.application.client_id != client_id or asked.redirect_uri != redirect_uri:
        raise OAuth2Error("invalid_grant", "The code is not one of this client's.")
    if asked.code_challenge and not _verifies(_single(parameters, "code_verifier"), asked):
        raise OAuth2Error("invalid_grant", "The code_verifier does not belong to the code_challenge.")
    _authenticated(parameters, state)
    if not state.grants.use_code(value):
        _refuse_second_use(value, state)
    return state.grants.grant(client_id, asked.scopes, code.user_id, now, value)


def _refuse_second_use(code: str, state: State) -> NoReturn:
    state.grants.end_code(code)
    raise OAuth2Error("invalid_grant", "The code was used before. Its tokens are revoked.")


def _refresh(parameters: Parameters, state: State) -> Grant:
    value, client_id = _required(parameters, "refresh_token"), _required(parameters, "client_id")
    grant, now = state.grants.by_refresh_token(value), state.clock.now()
    if grant is None or grant.client_id != client_id or now > grant.created + REFRESH_TOKEN_LIFETIME:
        raise OAuth2Error("invalid_grant", "The refresh token is not one of this client's, or has expired.")
    _authenticated(parameters, state)
    if not state.grants.take(grant):
        raise OAuth2Error("invalid_grant", "The refresh token was used before.")
    return state.grants.grant(grant.client_id, grant.scopes, grant.user_id, now, grant.code)


def _verifies(verifier: str, request: AuthorizationRequest) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    if request.code_challenge_method == "plain":
        return hmac.compare_digest(verifier, request.code_challenge)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return hmac.compare_digest(digest, request.code_challenge)


def _required(parameters: Parameters, name: str) -> str:
    value = _single(parameters, name)
    if not value:
        raise OAuth2Error("invalid_request", f"{name} is missing.")
    return value


def _single(parameters: Parameters, name: str) -> str:
    """Return the value of a parameter that came once; empty otherwise."""
    values = parameters.get(name, ())
    return values[0] if len(values) == 1 else ""

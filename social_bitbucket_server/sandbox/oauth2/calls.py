"""The addresses of OAuth 2 that programs call: to get tokens, to revoke them, and to read the server's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, g, jsonify, request

from ..context import since_7_20, state
from ..oauth1.verification import ServerFailedError
from ..program_calls import empty, prepare
from ..state.external_applications import INCLUDED_SCOPES
from ..state.grants import ACCESS_TOKEN_LIFETIME
from .rules import OAuth2Error, revoke, token

blueprint = Blueprint("oauth2_calls", __name__)
prepare(blueprint)
blueprint.before_request(since_7_20)

_ROOT = '/rest/oauth2/<any("latest", "1.0"):_>'


@blueprint.errorhandler(OAuth2Error)
def refuse(refusal: OAuth2Error) -> Response:
    """Answer with the error and its description."""
    response = jsonify(error=refusal.error, error_description=refusal.description)
    response.status_code = refusal.status
    return response


@blueprint.after_request
def keep_out_of_caches(response: Response) -> Response:
    """Forbid caching, because answers hold tokens."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post(f"{_ROOT}/token")
def ask_for_token(_: str) -> Response:
    """Answer with an access token and a refresh token, for a code or for an older refresh token."""
    grant = token(_parameters(), state())
    return jsonify(
        access_token=grant.access_token,
        token_type="bearer",  # noqa: S106  # a kind of token
        expires_in=ACCESS_TOKEN_LIFETIME,
        refresh_token=grant.refresh_token,
        scope=" ".join(grant.scopes),
        created_at=int(state().wall_time()),
    )


@blueprint.post(f"{_ROOT}/revoke")
def end_token(_: str) -> Response:
    """End a token."""
    revoke(_parameters(), state())
    return empty(200)


@blueprint.get(f"{_ROOT}/.well-known/oauth-authorization-server")
def metadata(_: str) -> Response:
    """Return the server's metadata (RFC 8414)."""
    root = f"{state().base_url}/rest/oauth2/latest"
    return jsonify(
        issuer=state().base_url,
        authorization_endpoint=f"{root}/authorize",
        token_endpoint=f"{root}/token",
        revocation_endpoint=f"{root}/revoke",
        response_types_supported=["code"],
        grant_types_supported=["authorization_code", "refresh_token"],
        code_challenge_methods_supported=["plain", "S256"],
        token_endpoint_auth_methods_supported=["client_secret_post"],
        scopes_supported=sorted(INCLUDED_SCOPES),
    )


def _parameters() -> Mapping[str, Sequence[str]]:
    """Return the parameters of the query and of the form. Bitbucket reads no credentials from HTTP Basic."""
    if request.mimetype == "application/json":
        raise ServerFailedError
    parameters = {
        name: request.args.getlist(name) + request.form.getlist(name) for name in (*request.args, *request.form)
    }
    g.consumer_key = next(iter(parameters.get("client_id", ())), None)
    return parameters

"""The addresses where programs ask for tokens."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from ..context import message, state
from ..program_calls import empty, prepare
from ..state.oauth1_tokens import ACCESS_TOKEN_LIFETIME, SESSION_LIFETIME
from .rules import access_token, request_token

blueprint = Blueprint("oauth1_calls", __name__, url_prefix="/plugins/servlet/oauth")
prepare(blueprint)


@blueprint.route("/request-token", methods=["GET", "POST"])
def ask_for_request_token() -> Response:
    """Answer with a request token for a login that begins."""
    if request.method != "POST":
        return empty(200)
    token = request_token(message(), state())
    answer = {"oauth_token": token.value, "oauth_token_secret": token.secret}
    return _form(answer if token.callback is None else {**answer, "oauth_callback_confirmed": "true"})


@blueprint.route("/access-token", methods=["GET", "POST"])
def ask_for_access_token() -> Response:
    """Answer with an access token for an allowed request token, or for an older access token."""
    if request.method != "POST":
        return empty(200)
    token = access_token(message(), state())
    return _form(
        {
            "oauth_token": token.value,
            "oauth_token_secret": token.secret,
            "oauth_expires_in": str(ACCESS_TOKEN_LIFETIME),
            "oauth_session_handle": token.session_handle,
            "oauth_authorization_expires_in": str(SESSION_LIFETIME),
        }
    )


def _form(parameters: dict[str, str]) -> Response:
    return Response(urlencode(parameters), content_type="text/plain")

"""OAuth 1 over HTTP: the calls by which programs get tokens, and the page on which a person allows or denies access."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from ..context import message, signed_in, state
from ..pages.access import log_in_page, own_forms_only
from ..program_calls import empty, prepare
from ..state.oauth1_tokens import ACCESS_TOKEN_LIFETIME, SESSION_LIFETIME
from .rules import access_token, callback_address, realm, request_token, token_problem, undecided

calls = Blueprint("oauth1_calls", __name__, url_prefix="/plugins/servlet/oauth")
prepare(calls)
pages = Blueprint("oauth1_pages", __name__)
pages.before_request(own_forms_only)


@calls.route("/request-token", methods=["GET", "POST"])
def ask_for_request_token() -> Response:
    """Answer with a request token for a login that begins."""
    if request.method != "POST":
        return empty(200)
    token = request_token(message(), state())
    answer = {"oauth_token": token.value, "oauth_token_secret": token.secret}
    return _form(answer if token.callback is None else {**answer, "oauth_callback_confirmed": "true"})


@calls.route("/access-token", methods=["GET", "POST"])
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


@pages.route("/plugins/servlet/oauth/authorize", methods=["GET", "POST"])
def authorize() -> ResponseReturnValue:
    """Ask *Allow access?*, and send the browser back with the decision."""
    value = request.values.get("oauth_token", "")
    token = undecided(value, state())
    consumer = None if token is None else state().links.consumer(token.consumer_key)
    if token is None or consumer is None:
        return _bad_token(value)
    user = signed_in()
    if user is None:
        return log_in_page()
    requested = request.values.get("oauth_callback", "")
    if request.method != "POST":
        return render_template("oauth1/authorize.html", token=token, consumer=consumer, user=user, requested=requested)
    allow = "approve" in request.form
    decided = state().tokens.decide(token.value, user.id, allow=allow)
    if decided is None:
        return _bad_token(value)
    target = callback_address(decided, consumer, requested)
    if target is None:
        return render_template("oauth1/decided.html", token=decided, consumer=consumer, allow=allow)
    return Response(status=302, headers={"Location": target})


def _bad_token(value: str) -> Response:
    """Return a page for the person, with the problem in a header for programs."""
    challenge = f'{realm(state())}, oauth_problem="{token_problem(value, state())}"'
    return Response(render_template("oauth1/bad_token.html"), 401, {"WWW-Authenticate": challenge})

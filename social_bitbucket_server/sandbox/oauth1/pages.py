"""The page of OAuth 1 on which a person allows or denies access."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import signed_in, state
from ..pages.access import log_in_page, protect
from .rules import callback_address, realm, token_problem, undecided

blueprint = Blueprint("oauth1_pages", __name__)
protect(blueprint)


@blueprint.route("/plugins/servlet/oauth/authorize", methods=["GET", "POST"])
def authorize() -> AnyResponse | str:
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
    if request.method == "GET":
        return render_template("oauth1/authorize.html", token=token, consumer=consumer, user=user, requested=requested)
    allow = "approve" in request.form
    decided = state().tokens.decide(token.value, user.id, allow=allow)
    if decided is None:
        return _bad_token(value)
    target = callback_address(decided, consumer, requested)
    if target is None:
        return render_template("oauth1/decided.html", token=decided, consumer=consumer, allow=allow)
    return Response(status=302, headers={"Location": target})


def _bad_token(value: str) -> AnyResponse:
    """Return a page for the person, with the problem in a header for programs."""
    challenge = f'{realm(state())}, oauth_problem="{token_problem(value, state())}"'
    return Response(render_template("oauth1/bad_token.html"), 401, {"WWW-Authenticate": challenge})

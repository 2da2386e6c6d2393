"""The pages that people use on the way through a login: log in, allow access, look at what was allowed."""

from __future__ import annotations

from collections import Counter

from flask import Blueprint, Response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from ..context import signed_in, state
from ..oauth1.rules import callback_address, realm, token_problem, undecided
from .forms import log_in_page, protect, safe_next

blueprint = Blueprint("pages", __name__)
protect(blueprint)

_SHOWN_USERS = 7


@blueprint.get("/")
def home() -> str:
    """Show the home page with the people and the links."""
    return render_template(
        "home.html", users=state().users.all(), links=state().links.all() + state().applications.all()
    )


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> AnyResponse | str:
    """Sign in with a name and its password."""
    target = safe_next(request.values.get("next", ""))
    name = refusal = ""
    if request.method == "POST":
        name = request.form.get("j_username", "")
        user = state().users.by_password(name, request.form.get("j_password", ""))
        if user is None:
            state().failed_logins.add(name)
            refusal = "Name or password is not right. In the sandbox the password is the same as the name."
        elif not user.active:
            refusal = f"The account {user.name} is disabled, so it cannot log in."
        else:
            state().failed_logins.forget(name)
            session.clear()
            session["user_id"] = user.id
            return redirect(target, 303)
    users = state().users.all()
    page = render_template(
        "log_in.html", target=target, name=name, refusal=refusal, users=users[:_SHOWN_USERS], more=users[_SHOWN_USERS:]
    )
    return Response(page, 401 if refusal else 200)


@blueprint.post("/logout")
def log_out() -> AnyResponse:
    """Sign out."""
    session.clear()
    return redirect(f"{state().context}/", 303)


@blueprint.route("/plugins/servlet/oauth/authorize", methods=["GET", "POST"])
def authorize() -> AnyResponse | str:
    """*Allow access?*"""
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
        return render_template("authorize.html", token=token, consumer=consumer, user=user, requested=requested)
    allow = "approve" in request.form
    decided = state().tokens.decide(token.value, user.id, allow=allow)
    if decided is None:
        return _bad_token(value)
    target = callback_address(decided, consumer, requested)
    if target is None:
        return render_template("decided.html", token=decided, consumer=consumer, allow=allow)
    return Response(status=302, headers={"Location": target})


@blueprint.route("/plugins/servlet/oauth/users/access-tokens", methods=["GET", "POST"])
def granted_tokens() -> AnyResponse | str:
    """Which applications may act for the person, and taking that back."""
    user = signed_in()
    if user is None:
        return log_in_page()
    if request.method == "POST":
        state().tokens.revoke(user_id=user.id, consumer_key=request.form.get("consumer_key", ""))
        state().grants.revoke(user_id=user.id, client_id=request.form.get("client_id", ""))
        return redirect(state().context + request.path, 303)
    counts = Counter(token.consumer_key for token in state().tokens.granted(user_id=user.id))
    granted = [(consumer, counts[consumer.key]) for key in counts if (consumer := state().links.consumer(key))]
    clients = Counter(grant.client_id for grant in state().grants.granted(user_id=user.id))
    found = ((state().applications.by_client_id(client_id), count) for client_id, count in clients.items())
    applications = [(application, count) for application, count in found if application]
    return render_template("access_tokens.html", granted=granted, applications=applications)


def _bad_token(value: str) -> AnyResponse:
    """A page for the person, and the problem for programs in a header."""
    challenge = f'{realm(state())}, oauth_problem="{token_problem(value, state())}"'
    return Response(render_template("bad_token.html"), 401, {"WWW-Authenticate": challenge})

"""The pages of a person: the first page, logging in and out, and the applications that may act for them."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from ..context import signed_in, state
from .access import log_in_page, own_forms_only

blueprint = Blueprint("own_account", __name__)
blueprint.before_request(own_forms_only)

_SHOWN_USERS = 7


@blueprint.get("/")
def home() -> str:
    """Show the home page with the people and the links."""
    links = [*state().links.all(), *state().applications.all()]
    return render_template("home.html", users=state().users.all(), links=links)


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> AnyResponse | str:
    """Sign in with a name and its password."""
    target = _safe(request.values.get("next", ""))
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


@blueprint.route("/plugins/servlet/oauth/users/access-tokens", methods=["GET", "POST"])
def granted_tokens() -> AnyResponse | str:
    """Show the applications that may act for the person, or revoke their tokens."""
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


def _safe(target: str) -> str:
    """Return *target* if it is a page of this sandbox, otherwise the first page."""
    root = f"{state().context}/"
    is_plain = target.isprintable() and "\\" not in target and not target.startswith("//")
    if is_plain and target.startswith(root) and not urlsplit(target).netloc:
        return target
    return root

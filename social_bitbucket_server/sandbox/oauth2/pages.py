"""The pages of OAuth 2: an administrator links an external application, a person allows it access."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import signed_in, since_7_20, state
from ..pages.access import admin_only, log_in_page
from ..pages.application_links import LIST
from ..pages.forms import confirmation_refusal, protect
from ..state.external_applications import ExternalApplication
from ..state.links import LinkRefusedError
from .rules import (
    OAuth2Error,
    UntrustedRequestError,
    allow,
    answer_address,
    authorization_request,
    state_of,
    trusted_redirect,
)

PROVIDER = "/plugins/servlet/oauth2/provider"
AUTHORIZE = '/rest/oauth2/<any("latest", "1.0"):_>/authorize'

PERMISSIONS = (
    ("System admin", (("SYSTEM_ADMIN", "Write"),)),
    ("Admin", (("ADMIN_WRITE", "Write"),)),
    ("Projects", (("PROJECT_ADMIN", "Admin"),)),
    ("Repositories", (("REPO_READ", "Read"), ("REPO_WRITE", "Write"), ("REPO_ADMIN", "Admin"))),
    ("Account", (("ACCOUNT_WRITE", "Write"),)),
)
"""The form's columns and their boxes."""

LABELS = {scope: f"{column}: {label}" for column, boxes in PERMISSIONS for scope, label in boxes}
"""Each scope as the form names it."""

WORDS = {
    "PUBLIC_REPOS": "view public projects and repositories",
    "ACCOUNT_WRITE": "update your account",
    "REPO_READ": "view projects and repositories",
    "REPO_WRITE": "update projects and repositories",
    "REPO_ADMIN": "administer repositories",
    "PROJECT_ADMIN": "administer projects",
    "ADMIN_WRITE": "administer Bitbucket",
    "SYSTEM_ADMIN": "administer Bitbucket's system",
}
"""Each scope in the words of Atlassian's page "OAuth 2.0 scopes for incoming links", which people see, too. The client
side has a table of its own: the sandbox shares nothing with it."""

blueprint = Blueprint("oauth2_pages", __name__)
protect(blueprint)
blueprint.before_request(since_7_20)


@blueprint.route(PROVIDER, methods=["GET", "POST"])
@admin_only
def configure() -> AnyResponse | str:
    """Show the form for an incoming link, or make the link."""
    if request.method == "GET":
        return _form()
    urls = filter(None, (url.strip() for url in request.form.get("redirect_url", "").split(",")))
    try:
        application = state().applications.add(
            request.form.get("name", "").strip(), urls, request.form.getlist("permission")
        )
    except LinkRefusedError as refusal:
        return Response(_form(str(refusal)), 400)
    return redirect(f"{state().context}{PROVIDER}/{application.id}", 303)


@blueprint.get(f"{PROVIDER}/<application_id>")
@admin_only
def credentials(application_id: str) -> str:
    """Show the client ID and the client secret, after *Save*."""
    application = _application(application_id)
    permissions = [LABELS[scope] for scope in LABELS if scope in application.permissions]
    return render_template("oauth2/credentials.html", application=application, permissions=permissions)


@blueprint.route(f"{PROVIDER}/<application_id>/delete", methods=["GET", "POST"])
@admin_only
def delete(application_id: str) -> AnyResponse | str:
    """Delete a link, after a question."""
    application = _application(application_id)
    refusal = confirmation_refusal(application.name)
    if refusal is not None:
        grants = state().grants.granted(client_id=application.client_id)
        people = len({grant.user_id for grant in grants})
        page = render_template(
            "oauth2/delete.html", link=application, tokens=len(grants), people=people, refusal=refusal
        )
        return Response(page, 400 if refusal else 200)
    state().grants.revoke(client_id=application.client_id)
    state().applications.remove(application_id)
    return redirect(state().context + LIST, 303)


@blueprint.route(AUTHORIZE, methods=["GET", "POST"])
def authorize(_: str) -> AnyResponse | str:
    """Ask *Allow access?*, and send the browser back with the decision."""
    parameters = dict(request.values.lists())
    try:
        redirect_uri = trusted_redirect(parameters, state())[1]
    except UntrustedRequestError as reason:
        text = f"{reason} Go back to the application that sent you here, and tell the people who run it."
        title = "This request for access is not valid"
        return Response(render_template("message.html", title=title, text=text), 400)
    user = signed_in()
    if user is None:
        return log_in_page()
    try:
        asked = authorization_request(parameters, state())
    except OAuth2Error as refusal:
        said = {"error": refusal.error, "error_description": refusal.description}
        return _back(answer_address(redirect_uri, state_of(parameters), **said))
    if request.method == "GET":
        sent = [(name, values[0]) for name, values in parameters.items()]
        return render_template("oauth2/authorize.html", asked=asked, words=WORDS, user=user, sent=sent)
    if "approve" not in request.form:
        return _back(asked.answer(error="access_denied", error_description="The person denied access."))
    return _back(asked.answer(code=allow(asked, user, state()).value))


def _application(application_id: str) -> ExternalApplication:
    return state().applications.get(application_id) or abort(404)


def _form(refusal: str = "") -> str:
    return render_template("oauth2/configure.html", columns=PERMISSIONS, typed=request.form, refusal=refusal)


def _back(address: str) -> AnyResponse:
    return Response(status=302, headers={"Location": address})

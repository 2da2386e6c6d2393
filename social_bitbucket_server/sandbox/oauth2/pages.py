"""The pages of OAuth 2: an administrator links an external application, a person allows it access."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from ..context import signed_in, since_7_20, state
from ..pages.access import admins_only, log_in_page, protect, question
from ..pages.application_links import LIST
from ..state.external_applications import ExternalApplication
from ..state.links import LinkRefusedError
from .rules import (
    OAuth2Error,
    UntrustedRequestError,
    allow,
    answer_address,
    authorization_request,
    trusted_redirect,
)

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
for_admins = Blueprint("oauth2_pages_for_admins", __name__, url_prefix="/plugins/servlet/oauth2/provider")
for pages in (blueprint, for_admins):
    protect(pages)
    pages.before_request(since_7_20)
for_admins.before_request(admins_only)


@for_admins.route("", methods=["GET", "POST"])
def configure() -> ResponseReturnValue:
    """Show the form for an incoming link, or make the link."""
    if request.method == "GET":
        return render_template("oauth2/configure.html", columns=PERMISSIONS, typed=request.form, refusal="")
    name, urls = request.form.get("name", "").strip(), request.form.get("redirect_url", "").split(",")
    try:
        application = state().applications.add(
            name, filter(None, map(str.strip, urls)), request.form.getlist("permission")
        )
    except LinkRefusedError as error:
        refusal = str(error)
        return render_template("oauth2/configure.html", columns=PERMISSIONS, typed=request.form, refusal=refusal), 400
    return redirect(f"{state().context}{for_admins.url_prefix}/{application.id}", 303)


@for_admins.get("/<application_id>")
def credentials(application_id: str) -> str:
    """Show the client ID and the client secret, after *Save*."""
    application = _application(application_id)
    permissions = [LABELS[scope] for scope in LABELS if scope in application.permissions]
    return render_template("oauth2/credentials.html", application=application, permissions=permissions)


@for_admins.route("/<application_id>/delete", methods=["GET", "POST"])
def delete(application_id: str) -> ResponseReturnValue:
    """Delete a link, after a question."""
    application = _application(application_id)
    asked = question("oauth2/delete.html", application, state().grants.granted(client_id=application.client_id))
    if asked is None:
        state().grants.revoke(client_id=application.client_id)
        state().applications.remove(application_id)
    return asked or redirect(state().context + LIST, 303)


@blueprint.route('/rest/oauth2/<any("latest", "1.0"):_>/authorize', methods=["GET", "POST"])
def authorize(_: str) -> ResponseReturnValue:
    """Ask *Allow access?*, and send the browser back with the decision."""
    parameters = dict(request.values.lists())
    try:
        application, redirect_uri = trusted_redirect(parameters, state())
    except UntrustedRequestError as reason:
        text = f"{reason} Go back to the application that sent you here, and tell the people who run it."
        return render_template("message.html", title="This request for access is not valid", text=text), 400
    user = signed_in()
    if user is None:
        return log_in_page()

    def back(**answer: str) -> Response:
        return Response(status=302, headers={"Location": answer_address(redirect_uri, parameters, **answer)})

    try:
        asked = authorization_request(application, redirect_uri, parameters)
    except OAuth2Error as refusal:
        return back(error=refusal.error, error_description=refusal.description)
    if request.method == "GET":
        sent = [(name, values[0]) for name, values in parameters.items()]
        return render_template("oauth2/authorize.html", asked=asked, words=WORDS, user=user, sent=sent)
    if "approve" not in request.form:
        return back(error="access_denied", error_description="The person denied access.")
    return back(code=allow(asked, user, state()).value)


def _application(application_id: str) -> ExternalApplication:
    return state().applications.get(application_id) or abort(404)

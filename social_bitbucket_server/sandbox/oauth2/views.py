"""OAuth 2 over HTTP: the calls of programs, the page on which a person allows access, and the administrators' links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, abort, g, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from ..context import signed_in, state
from ..oauth1.rules import ServerFailedError
from ..pages.access import admins_only, log_in_page, own_forms_only, question
from ..pages.application_links import LIST
from ..program_calls import empty, prepare
from ..state.external_applications import INCLUDED_SCOPES, ExternalApplication
from ..state.grants import ACCESS_TOKEN_LIFETIME
from ..state.links import LinkRefusedError
from .rules import (
    OAuth2Error,
    UntrustedRequestError,
    allow,
    answer_address,
    authorization_request,
    revoke,
    token,
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

_ROOT = '/rest/oauth2/<any("latest", "1.0"):_>'

calls = Blueprint("oauth2_calls", __name__)
prepare(calls)
pages = Blueprint("oauth2_pages", __name__)
pages.before_request(own_forms_only)
for_admins = Blueprint("oauth2_pages_for_admins", __name__, url_prefix="/plugins/servlet/oauth2/provider")
for_admins.before_request(own_forms_only)


@calls.before_request
@pages.before_request
@for_admins.before_request
def since_7_20() -> None:
    """Answer 404 in older versions, which have no OAuth 2."""
    if not state().new_dialog:
        abort(404)


for_admins.before_request(admins_only)


@calls.errorhandler(OAuth2Error)
def refuse(refusal: OAuth2Error) -> ResponseReturnValue:
    """Answer with the error and its description."""
    return jsonify(error=refusal.error, error_description=refusal.description), refusal.status


@calls.after_request
def keep_out_of_caches(response: Response) -> Response:
    """Forbid caching, because answers hold tokens."""
    response.headers["Cache-Control"] = "no-store"
    return response


@calls.post(f"{_ROOT}/token")
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


@calls.post(f"{_ROOT}/revoke")
def end_token(_: str) -> Response:
    """End a token."""
    revoke(_parameters(), state())
    return empty(200)


@calls.get(f"{_ROOT}/.well-known/oauth-authorization-server")
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


@for_admins.route("", methods=["GET", "POST"])
def configure() -> ResponseReturnValue:
    """Show the form for an incoming link, or make the link."""
    refusal = ""
    if request.method == "POST":
        name, urls = request.form.get("name", "").strip(), request.form.get("redirect_url", "").split(",")
        redirect_urls, permissions = filter(None, map(str.strip, urls)), request.form.getlist("permission")
        try:
            application = state().applications.add(name, redirect_urls, permissions)
            return redirect(f"{state().context}{for_admins.url_prefix}/{application.id}", 303)
        except LinkRefusedError as error:
            refusal = str(error)
    page = render_template("oauth2/configure.html", columns=PERMISSIONS, typed=request.form, refusal=refusal)
    return page, 400 if refusal else 200


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


@pages.route(f"{_ROOT}/authorize", methods=["GET", "POST"])
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
    if request.method != "POST":
        sent = [(name, values[0]) for name, values in parameters.items()]
        return render_template("oauth2/authorize.html", asked=asked, words=WORDS, user=user, sent=sent)
    if "approve" not in request.form:
        return back(error="access_denied", error_description="The person denied access.")
    return back(code=allow(asked, user, state()).value)


def _application(application_id: str) -> ExternalApplication:
    return state().applications.get(application_id) or abort(404)

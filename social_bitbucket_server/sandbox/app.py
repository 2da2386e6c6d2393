"""The Flask application of one sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from types import MappingProxyType
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, abort, g, render_template, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException, MisdirectedRequest
from werkzeug.http import http_date

from .context import EXTENSION, message, raw_target, signed_in, state
from .hosts import is_own, named_host
from .oauth1 import views as oauth1
from .oauth2 import views as oauth2
from .pages import application_links, own_account
from .pages import faults as faults_page
from .pages.access import form_token
from .program_calls import json_error
from .rest import application_links as applinks_rest
from .rest import resources
from .state.records import Answer, RequestRecord
from .state.state import State
from .state.users import User

MOST_BODY_BYTES = 1_000_000
_OUTSIDE = "bitbucket_sandbox.outside_of_context"
_PAGES = {
    403: ("For admins only", "Only an administrator can open this page. Log out, and log in again as admin."),
    404: ("No such page", "The sandbox has the pages that a login needs, and no others."),
}


def create_app(state: State, port: int, on_answer: Callable[[Answer], None] | None = None) -> WSGIApplication:
    """Return an application that serves *state* below its context path.

    *on_answer* is called with every answer except style sheets.
    """
    app = Flask(__name__, static_url_path="/sandbox/static")
    app.secret_key = secrets.token_bytes(32)
    app.config.update(
        MAX_CONTENT_LENGTH=MOST_BODY_BYTES,
        # Cookies belong to a host, not to a port: two sandboxes on one host must not sign each other out.
        SESSION_COOKIE_NAME=f"bitbucket_sandbox_{port}",
        SESSION_COOKIE_PATH=state.context or "/",
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.json = _JSON(app)
    app.extensions[EXTENSION] = state
    app.before_request(_refuse_other_hosts)
    app.before_request(_record)
    app.before_request(_refuse_forms_from_elsewhere)
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _error_page)
    app.context_processor(lambda: {"sandbox": state, "signed_in": signed_in(), "form_token": form_token})
    for blueprint in (
        oauth1.calls,
        oauth1.pages,
        oauth2.calls,
        oauth2.pages,
        oauth2.for_admins,
        applinks_rest.blueprint,
        resources.blueprint,
        own_account.blueprint,
        application_links.blueprint,
        faults_page.blueprint,
        faults_page.programs,
    ):
        app.register_blueprint(blueprint)

    @app.after_request
    def report(response: Response) -> Response:
        if on_answer is not None and request.endpoint != "static":
            user: User | None = g.get("user") or signed_in()
            name = None if user is None else user.name
            on_answer(Answer(request.method, raw_target()[0], response.status_code, name, g.get("consumer_key")))
        return response

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Flask fails to route a name that is malformed.
        if named_host(environ.get("HTTP_HOST", "")) is None:
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
            start_response("400 Bad Request", headers)
            return [b"The request does not name the host that it is for.\n"]
        path, context = environ["PATH_INFO"], state.context
        if path == context or path.startswith(f"{context}/"):
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = context, path[len(context) :] or "/"
        else:
            environ[_OUTSIDE] = True
        return app(environ, start_response)

    return application


class _JSON(DefaultJSONProvider):
    ensure_ascii = False
    mimetype = "application/json;charset=UTF-8"


def _refuse_other_hosts() -> None:
    configured = urlsplit(state().base_url).hostname or ""
    host = named_host(request.environ["HTTP_HOST"]) or ""
    if not is_own(host, {configured, *state().names}):
        raise MisdirectedRequest(
            "The sandbox does not answer for this host name. If it is a name of this machine, start the sandbox with "
            "--name NAME, or in Python with Sandbox(names=[NAME])."
        )


def _record() -> None:
    path, query = raw_target()
    if not request.path.startswith("/sandbox/"):
        headers = MappingProxyType({name.lower(): value for name, value in request.headers})
        oauth_parameters = MappingProxyType(message().oauth_parameters)
        form = MappingProxyType(request.form.to_dict())
        state().requests.add(RequestRecord(request.method, path, query, headers, oauth_parameters, form))
    if request.environ.get(_OUTSIDE):
        abort(404)


def _refuse_forms_from_elsewhere() -> Response | None:
    """Refuse changes without JSON and without the header, as Bitbucket's XSRF filter does.

    A page of another site cannot make a browser send either.
    """
    is_concerned = request.method in {"POST", "PUT"} and request.path.startswith("/rest/")
    is_exempt = request.path.startswith("/rest/oauth2/") or request.is_json
    has_header = request.headers.get("X-Atlassian-Token", "").lower() in {"no-check", "nocheck"}
    if not is_concerned or is_exempt or has_header:
        return None
    return Response("XSRF check failed", 403, content_type="text/plain; charset=utf-8")


def _add_headers(response: Response) -> Response:
    response.headers["Date"] = http_date(state().wall_time())
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    return response


def _error_page(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, MisdirectedRequest):
        return Response(f"{error.description}\n", status, content_type="text/plain; charset=utf-8")
    if request.environ.get(_OUTSIDE):
        text = f"Nothing is here. This sandbox is at {state().base_url}\n"
        return Response(text, status, content_type="text/plain; charset=utf-8")
    if request.path.startswith("/rest/"):
        return json_error(status, error.name, "RequestException")
    title, text = _PAGES.get(status, (error.name, error.description or ""))
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return Response(render_template("message.html", title=title, text=text), status, headers)

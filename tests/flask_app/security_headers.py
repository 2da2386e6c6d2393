"""Security headers of every page, and checks that refuse requests before any page is made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Request, Response, render_template, request
from flask.typing import ResponseReturnValue

from social_bitbucket_server.flask.organizations import errors, form_targets

from .config import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_IS_FOR_ANOTHER_HOST = "tests.is_for_another_host"
_LOOKS = {"static", "bitbucket.static"}
_UNSAFE_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


class WrongHostError(Exception):
    """The request was addressed to another host than this application's."""


class ForeignFormError(Exception):
    """A form was sent by a page of another site."""


class QuietRequest(Request):
    """A request that shows neither its query, which may hold a verifier, nor a set-up link's token wherever errors and
    logs print it."""

    def __repr__(self) -> str:
        path = re.sub(r"\A(/setup/)[^/]+", r"\1…", self.path)
        return f"<{type(self).__name__} {self.method} {path!r}>"


def protect(app: Flask, settings: Settings) -> None:
    """Refuse requests for other hosts and forms of other sites, and send the security headers with every answer."""
    app.request_class = QuietRequest
    app.wsgi_app = _at_the_public_address(app.wsgi_app, settings.public_base_url)  # type: ignore[assignment,method-assign]

    @app.before_request
    def refuse_other_hosts() -> None:
        """The pages' looks are for everybody, so that the page that says so is readable."""
        if request.endpoint not in _LOOKS and _IS_FOR_ANOTHER_HOST in request.environ:
            raise WrongHostError

    @app.before_request
    def refuse_forms_of_other_sites() -> None:
        """Browsers say where a request comes from; those that do not are left to the CSRF token."""
        if request.method in _UNSAFE_METHODS and request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
            raise ForeignFormError

    @app.after_request
    def send_security_headers(response: Response) -> Response:
        targets = " ".join(["'self'", *form_targets()])
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
            f"form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
        )
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if request.endpoint not in _LOOKS:
            response.headers["Cache-Control"] = "no-store"
            response.vary.add("Cookie")
        if settings.is_https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response


def _at_the_public_address(application: WSGIApplication, public_base_url: str) -> WSGIApplication:
    """Return *application* so that every request names scheme and host of *public_base_url*; one for another host is
    marked.

    Flask cannot route or link to a malformed host. Behind a proxy that ends TLS, it would redirect an address without
    its last slash to ``http://``, together with the query.
    """
    scheme, _, host = public_base_url.partition("://")

    def marking(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", "").lower() != host:
            environ[_IS_FOR_ANOTHER_HOST], environ["HTTP_HOST"] = True, host
        environ["wsgi.url_scheme"] = scheme
        return application(environ, start_response)

    return marking


def handle_errors(app: Flask) -> None:
    """Register the pages of what is refused here."""
    app.register_error_handler(ForeignFormError, errors.form_refused)

    @app.errorhandler(WrongHostError)
    def wrong_host(_error: WrongHostError) -> ResponseReturnValue:
        """Say which host is right."""
        right = app.extensions["settings"].public_base_url
        return render_template("wrong_host.html", right=right), 400

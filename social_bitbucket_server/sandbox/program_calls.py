"""Common parts of all calls that programs make: the faults, and the way a refusal is written."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from flask import Blueprint, Response, g, jsonify, render_template

from .context import message, raw_target, state
from .oauth1.rules import AccountNotAdmittedError, OAuthProblemError, ServerFailedError, realm


def prepare(blueprint: Blueprint) -> None:
    """Give a blueprint of such calls the faults and the refusals."""
    blueprint.before_request(_fail_on_purpose)
    blueprint.after_request(_challenge)
    blueprint.register_error_handler(OAuthProblemError, _refusal)
    blueprint.register_error_handler(ServerFailedError, _server_error)
    blueprint.register_error_handler(AccountNotAdmittedError, lambda _: empty(401))


def json_error(status: int, text: str, exception: str) -> Response:
    """Return a REST error in Bitbucket's shape."""
    name = f"com.atlassian.bitbucket.{exception}"
    response = jsonify({"errors": [{"context": None, "message": text, "exceptionName": name}]})
    response.status_code = status
    return response


def empty(status: int) -> Response:
    """Return an answer without body and content type."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


def _fail_on_purpose() -> Response | None:
    faults = state().faults
    g.consumer_key = message().get("oauth_consumer_key")
    if faults.only_path not in raw_target()[0]:
        return None
    if faults.delay:
        state().closing.wait(faults.delay)
    if faults.interception == "redirect":
        return Response(status=302, headers={"Location": f"{state().base_url}/login"})
    if faults.interception == "page":
        return Response(render_template("intercepted.html"))
    if faults.rate_limited:
        response = json_error(429, "You have made too many requests.", "ratelimit.RateLimitExceededException")
        response.headers["Retry-After"] = str(faults.retry_after)
        response.headers["X-RateLimit-Limit"] = "60"
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers["X-RateLimit-FillRate"] = "1"
        response.headers["X-RateLimit-Interval-Seconds"] = "1"
        return response
    return _server_error() if faults.server_error else None


def _refusal(problem: OAuthProblemError) -> Response:
    body = urlencode(problem.parameters, quote_via=quote, safe="")
    response = Response(body, problem.status, content_type="application/x-www-form-urlencoded;charset=UTF-8")
    parameters = "".join(f', {name}="{quote(value, safe="")}"' for name, value in problem.parameters.items())
    response.headers.add("WWW-Authenticate", realm(state()) + parameters)
    return response


def _server_error(_: object = None) -> Response:
    return Response(render_template("server_error.html"), 500)


def _challenge(response: Response) -> Response:
    if response.status_code == 401:
        response.headers.add("WWW-Authenticate", realm(state()))
    return response

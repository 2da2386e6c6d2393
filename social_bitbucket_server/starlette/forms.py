"""Forms: one with a button as HTML, and that of a request, read without trust."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, HTTPConnection, Request

from ..any_framework import check_form_token, form_token
from ..login import form_with_button
from ..problems import BitbucketServerError, Code

_MOST_BYTES = 16 * 1024


class HTML(str):
    """A text that Jinja takes as HTML, and does not escape again."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def button(connection: HTTPConnection, action: str, label: str, next_path: str | None = None) -> HTML:
    """Return a form that posts this session's form token to the address *action*, and *next_path* if there is one."""
    fields = {"form_token": form_token(connection.session), "next": next_path}
    return HTML(form_with_button(action, label, fields))


async def read_checked_form(request: Request) -> list[tuple[str, str]]:
    """Return names and values of the form, if its form token is this session's. Its bytes may be no text.

    Raises ``SocialAuthBaseException`` for all other forms, and for one that is too long, of which no more is read.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise _refusal("It is too long.")
    except ClientDisconnect:
        raise _refusal("The browser did not send all of it.") from None
    form = parse_qsl(body.decode(errors="replace"))
    check_form_token(request.session, dict(form).get("form_token"), request.headers.get("Sec-Fetch-Site"))
    return form


def _refusal(reason: str) -> Exception:
    return BitbucketServerError(Code.FORM_EXPIRED, reason, parameter="form").as_social_error(None, "begin")

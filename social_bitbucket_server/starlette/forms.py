"""The form of a request, read without trust: its size is limited, and its bytes may be no text."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from ..any_framework import check_form_token
from ..problems import BitbucketServerError, Code

_MOST_BYTES = 16 * 1024


async def read_checked_form(request: Request) -> list[tuple[str, str]]:
    """Return names and values of the form, if its form token is this session's.

    Raises ``SocialAuthBaseException`` for all other forms, and for one that is too long.
    """
    form = parse_qsl((await _body(request)).decode(errors="replace"))
    check_form_token(request.session, dict(form).get("form_token"), request.headers.get("Sec-Fetch-Site"))
    return form


async def _body(request: Request) -> bytes:
    """Return the body. Read no further than the limit."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise _refusal("It is too long.")
    except ClientDisconnect:
        raise _refusal("The browser did not send all of it.") from None
    return bytes(body)


def _refusal(reason: str) -> Exception:
    return BitbucketServerError(Code.FORM_EXPIRED, reason, parameter="form").as_social_error(None, "begin")

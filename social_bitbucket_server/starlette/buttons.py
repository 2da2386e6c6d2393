"""Forms with one button, as HTML that a template does not escape again."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from ..any_framework import form_token
from ..login import form_with_button


class HTML(str):
    """A text that Jinja takes as HTML."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def button(connection: HTTPConnection, action: str, label: str, next_path: str | None = None) -> HTML:
    """Return a form that posts this session's form token to the address *action*, and *next_path* if there is one."""
    fields = {"form_token": form_token(connection.session), "next": next_path}
    return HTML(form_with_button(action, label, fields))

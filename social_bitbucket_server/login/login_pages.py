"""The button that begins a login, and a page around it, as HTML. No framework plays a part."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from ..integration import OAUTH1, OAUTH2, SettingsOf
from .error_pages import page

HEADERS_OF_LOGIN_PAGE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def has_server(backend: str, settings: Mapping[str, Any]) -> bool:
    """Return whether the application's *settings* name a server, or integrations, for this *backend* alone."""
    return SettingsOf(backend, settings).has_own("URL", "INTEGRATIONS")


def button_label(backend: str, settings: Mapping[str, Any]) -> str:
    """Return the words on the button of *backend*, which tell the two backends of an application apart."""
    has_another = backend == OAUTH2 and has_server(OAUTH1, settings)
    return "Log in with Bitbucket (OAuth 2)" if has_another else "Log in with Bitbucket"


def form_with_button(action: str, label: str, fields: Mapping[str, str | None]) -> str:
    """Return a form that posts *fields* to the address *action*. Fields without a value are left out."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n'
        for name, value in fields.items()
        if value
    )
    button = f'<button type="submit">{escape(label)}</button>'
    return f'<form method="post" action="{escape(action)}">\n{hidden}{button}\n</form>'


def login_page(backend: str, settings: Mapping[str, Any], form: str) -> str:
    """Return a whole page with *form*, which is HTML, and with what a person should know before they press its
    button."""
    keeps_tokens = SettingsOf(backend, settings).get("STORE_ACCESS_TOKEN")
    question = _QUESTION_OF_OAUTH2 if backend == OAUTH2 else _QUESTION_OF_OAUTH1
    kept = "" if keeps_tokens else " No token is kept."
    return page("Log in with Bitbucket", _CONTENT.format(question=question, kept=kept, form=form))


_QUESTION_OF_OAUTH1 = """\
Bitbucket then asks whether this application may access your account. It may say read and write access,
because it has no smaller permission for logins."""
_QUESTION_OF_OAUTH2 = "Bitbucket then asks whether this application may access your account, and says for what."
_CONTENT = """\
<p>You log in with your Bitbucket account. This application never sees your password.</p>
<p>{question} This application only asks who you are.{kept}</p>
{form}"""

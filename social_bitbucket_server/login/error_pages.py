"""A page for a login that failed: what happened, what to do, who can do it, and a number to quote. No framework plays a
part: it comes as text with its status and headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from social_core.exceptions import AuthCanceled, SocialAuthBaseException

from ..problems import Who, http_status, problem_to_show, reference_of, setting_to_show, when_to_try_again


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """An answer to a browser; *body* is HTML."""

    body: str
    status: int
    headers: Mapping[str, str]


def error_page(error: SocialAuthBaseException, login_page: str = "/") -> ErrorPage:
    """Return the page for *error*, with a link back to *login_page*. It shows nothing that Bitbucket or the browser
    sent."""
    problem, status = problem_to_show(error), http_status(error)
    title = problem.title if problem else str(error)
    remedy = problem.remedy if problem else "Go back to the login page and begin again."
    who = f" This is for {problem.who.value}." if problem and problem.who is not Who.PERSON else ""
    setting = setting_to_show(error)
    content = _CONTENT.format(
        meaning=f"<p>{escape(problem.meaning)}</p>\n" if problem else "",
        setting=f"<p>Setting: <code>{escape(setting)}</code></p>\n" if setting else "",
        remedy=escape(remedy + who),
        login_page=escape(login_page),
        reference=reference_of(error),
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return ErrorPage(page(title, content), status, headers | when_to_try_again(error))


def is_declined_login(error: SocialAuthBaseException) -> bool:
    """Return whether *error* ends a login that was declined in Bitbucket and was to log the person in.

    Such a person may go back to the login page. A person who connects or tries an account is logged in already.
    """
    return isinstance(error, AuthCanceled) and "purpose" not in error.context.get("facts", {})


def page(title: str, content: str) -> str:
    """Return a whole page with the text *title* as its heading and *content*, which is HTML, below."""
    return _PAGE.format(title=escape(title), content=content)


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<main>
<h1>{title}</h1>
{content}
</main>
</html>"""
_CONTENT = """\
{meaning}{setting}<p><strong>What to do:</strong> {remedy}</p>
<p><a href="{login_page}">Back to the login</a></p>
<p><small>Reference {reference}</small></p>"""

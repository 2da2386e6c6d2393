"""Every failure as a page: what happened, what to do, who can do it, and a number to quote."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace

from flask import Blueprint, Flask, g, redirect, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from social_core.exceptions import AuthCanceled, AuthPolicyError, SocialAuthBaseException
from sqlalchemy.exc import NoResultFound
from werkzeug.exceptions import HTTPException, TooManyRequests

from ...login import reference
from ...organizations import EventCode, event_of_failed_login
from ...problems import PROBLEMS, Code, Problem, Who, http_status, problem_to_show, when_to_try_again
from ...sqlalchemy.organizations import clock
from . import recording
from .current import extension, store
from .current import session as database
from .limits import visitor
from .templating import render
from .words import duration

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Words:
    """Words about a failure that is none of :data:`PROBLEMS`, with the same attributes."""

    title: str
    meaning: str
    remedy: str
    who: str = Who.PERSON


_UNKNOWN = Words(
    "The login could not be completed.",
    "Something came back from the Bitbucket Server that this application does not expect.",
    "Look the reference number up in the log.",
    Who.OPERATOR,
)
_FORM_TOO_OLD = Words(
    "This form is too old to be sent.",
    "The page was open for more than an hour, the browser keeps no cookies, or another site opened the form.",
    "Go back, reload the page, and send the form again.",
)


def words_of(problem: str) -> Words | Problem:
    """Return the words about *problem* for the person who can fix it. *problem* is the code of one of the library's
    problems or of this application's own."""
    return _FORM_TOO_OLD if problem == "form_refused" else PROBLEMS.get(problem) or _UNKNOWN


def handle_errors(app: Flask | Blueprint) -> None:
    """Register the pages for everything that can go wrong, for one blueprint or for a whole application.

    A blueprint leaves its crashes to the application. Flask would ask it first about errors that the application
    raises and handles itself.
    """
    app.register_error_handler(SocialAuthBaseException, login_failed)
    app.register_error_handler(CSRFError, form_refused)
    app.register_error_handler(404, not_found)
    app.register_error_handler(405, wrong_method)
    app.register_error_handler(429, too_often)
    app.register_error_handler(HTTPException, refused)
    if isinstance(app, Flask):
        app.register_error_handler(Exception, crashed)
    else:
        app.register_error_handler(NoResultFound, not_found)  # an integration was deleted after it was looked up


def login_failed(error: SocialAuthBaseException) -> ResponseReturnValue:
    """A login that did not succeed. Nothing that Bitbucket or the browser sent is shown."""
    database.rollback()
    make_reference(reference(error))
    problem = error.context.get("problem", "")
    if not _is_repeated(error):
        recording.record(
            _event(problem),
            outcome="failure",
            code=error.code,
            problem=problem or None,
            stage=error.stage,
            parameter=error.parameter,
            claim=error.claim,
            provider_code=error.provider_code,
            integration_id=g.get("bitbucket_integration_id"),
            upgrade=g.get("bitbucket_is_of_an_upgrade") or None,
        )
    facts = error.context.get("facts", {})
    if problem == Code.ADDRESS_BLOCKED:
        recording.record(EventCode.OUTBOUND_BLOCKED, outcome="failure", **facts)
    if problem == Code.ACCOUNT_INACTIVE:
        store.people.disable_whom_bitbucket_disabled(facts["uid"])
    organization = g.get("bitbucket_organization")
    if isinstance(error, AuthCanceled) and organization is not None:
        page = "account.connect_page" if facts.get("purpose") == "connect" else "organization.login"
        return redirect(url_for(f"bitbucket.{page}", slug=organization.slug, e="declined"), 303)
    words = problem_to_show(error) or _UNKNOWN
    return _page(
        words,
        http_status(error),
        when_to_try_again(error),
        # What keeps everybody out is told in words of its own; one person's account is that person's matter.
        needs_mending=words.who != Who.PERSON and not isinstance(error, AuthPolicyError),
    )


def form_refused(_error: Exception) -> ResponseReturnValue:
    """A form without this session's token, or of another site."""
    make_reference()
    _note_refusal("form_refused")
    return _page(_FORM_TOO_OLD, 400)


def too_often(error: TooManyRequests) -> ResponseReturnValue:
    """More than one of the application's rate limits allows. A flood of them does not fill the events."""
    database.rollback()
    make_reference()
    _note_refusal(Code.TOO_OFTEN, limit=g.get("bitbucket_limited"), integration_id=g.get("bitbucket_integration_id"))
    wait = error.retry_after
    seconds = wait if isinstance(wait, int) and wait >= 0 else 60
    words = replace(words_of(Code.TOO_OFTEN), remedy=f"Wait {duration(seconds)}, then go back and try again.")
    if error.description != TooManyRequests.description:
        words = replace(words, title=str(error.description))
    return _page(words, 429, {"Retry-After": str(seconds)})


def not_found(_error: Exception) -> ResponseReturnValue:
    """Return the 404 page. It is the same for pages that never existed, are disabled, or belong to others."""
    return render("not_found.html"), 404


def wrong_method(_error: Exception) -> ResponseReturnValue:
    make_reference()
    words = Words(
        "This address cannot be opened directly.",
        "It belongs to a button on another page.",
        "Go back and use the button.",
    )
    return _page(words, 405)


def refused(error: HTTPException) -> ResponseReturnValue:
    """Any other answer that is not a page, a redirect among them."""
    if error.code is None or error.code < 400:
        return error
    make_reference()
    _note_refusal(str(error.code))
    words = Words(
        "The request could not be read.", "It is damaged, or larger than any page sends.", "Go back and try again."
    )
    return _page(words, error.code)


def crashed(error: Exception) -> ResponseReturnValue:
    """A mistake of ours: the traceback goes to the log alone."""
    database.rollback()
    make_reference()
    _LOG.error("Reference %s: %s", g.bitbucket_reference, type(error).__name__, exc_info=error)
    words = Words(
        "This page could not be made.",
        "The mistake is the application's, not yours. It is written down with the reference number.",
        "Look the reference number up in the log.",
        Who.OPERATOR,
    )
    return _page(words, 500)


def _note_refusal(code: str, *, limit: str | None = None, integration_id: str | None = None) -> None:
    """Record a request that was refused before it was known whose it is. Each address is recorded once a minute,
    because entries are not deleted for 90 days."""
    if extension().news.is_new(code, limit or "", visitor()):
        recording.record(
            EventCode.REQUEST_FAILURE, outcome="failure", code=code, limit=limit, integration_id=integration_id
        )


def _is_repeated(error: SocialAuthBaseException) -> bool:
    """Return whether callbacks of this address came to this problem so often within the last minute that another event
    says nothing new."""
    if error.stage != "callback":
        return False
    is_stranger = session.keys() <= {"csrf_token"}
    problem = error.context.get("problem") or error.code or ""
    what = (problem, visitor(), g.get("bitbucket_integration_id", ""))
    return extension().news.is_repeated_failure(*what, is_stranger=is_stranger)


def _event(problem: str) -> EventCode:
    if g.get("bitbucket_is_at_new_address"):
        return EventCode.INTEGRATION_MOVED  # which says nothing about the old address
    if problem == Code.LOGIN_NOT_PENDING and store.events.was_finished(recording.transaction()):
        return EventCode.LOGIN_REPLAY
    return event_of_failed_login(problem)


def make_reference(number: str = "") -> str:
    """Return a number for a person to quote: *number*, or a new one. What this request writes down carries it."""
    g.bitbucket_reference = number or secrets.token_hex(4).upper()
    return str(g.bitbucket_reference)


def _page(
    words: Words | Problem, status: int, headers: dict[str, str] | None = None, *, needs_mending: bool = False
) -> ResponseReturnValue:
    facts = {"needs_mending": needs_mending, "reference": g.bitbucket_reference, "at": clock.now()}
    return render("error.html", words=words, **facts), status, headers or {}

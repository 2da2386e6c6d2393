"""Every failure of a login as a page: what happened, what to do, who can do it, and a number to quote."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import get_script_prefix
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from social_core.exceptions import SocialAuthBaseException

from ..login import LoginBackend, is_declined_login
from ..organizations import EventCode, News, OAuth, event_of_failed_login
from ..problems import (
    PROBLEMS,
    Code,
    Problem,
    Who,
    http_status,
    problem_to_show,
    reference_of,
    setting_to_show,
    when_to_try_again,
)
from . import events
from .integrations import login_path
from .limits import visitor
from .models import AbstractIntegration, Event
from .strategy import DjangoStrategy

_LOG = logging.getLogger(__name__)
news = News()
"""Notices which failures of strangers are recorded already."""


@dataclass(frozen=True, slots=True)
class Words:
    """The translated texts of a page about a failure. *who* can carry out the remedy; empty if it is the person
    themselves. *setting* is the full name of the setting to correct, or empty."""

    title: str
    meaning: str
    remedy: str
    who: str = ""
    setting: str = ""


def show_error(
    request: HttpRequest,
    error: SocialAuthBaseException,
    integration: AbstractIntegration | None = None,
    oauth: OAuth | None = None,
    *,
    back: str = "",
) -> HttpResponse:
    """Return the page ``social_bitbucket_server/error.html`` for a login by *oauth* that failed, and record the event.
    A declined login goes back to the integration's login page.

    *back* is the address that the page leads back to; empty for the login page.
    """
    reference = reference_of(error)
    if not _is_repeated(request, error, integration):
        _write_down(error, integration, reference, oauth)
    if integration is not None:
        login_page = login_path(integration)
        if is_declined_login(error):
            return HttpResponseRedirect(f"{login_page}?declined", status=303)
    else:
        login_page = resolve_url(getattr(settings, "SOCIAL_AUTH_LOGIN_ERROR_URL", None) or get_script_prefix())
    context = {
        "words": words_for(error),
        "reference": reference,
        "login_page": login_page,
        "back": back,
        "integration": integration,
    }
    response = render(request, "social_bitbucket_server/error.html", context, status=http_status(error))
    add_never_cache_headers(response)
    response["Referrer-Policy"] = "no-referrer"
    for name, value in when_to_try_again(error).items():
        response[name] = value
    return response


def _is_repeated(request: HttpRequest, error: SocialAuthBaseException, integration: AbstractIntegration | None) -> bool:
    """Return whether this address came to this problem so often within the last minute that another event says nothing
    new. Otherwise anybody could fill the table. The log has a line for each request."""
    problem, session = error.context.get("problem") or error.code or "", getattr(request, "session", None)
    if problem != Code.TOO_OFTEN and error.stage != "callback":
        return False
    is_stranger = problem == Code.TOO_OFTEN or session is None or not session.keys()
    limit = error.context.get("facts", {}).get("limit", "")
    what = (problem, limit, visitor(request), integration.pk if integration is not None else "")
    return news.is_repeated_failure(*what, is_stranger=is_stranger)


def _write_down(
    error: SocialAuthBaseException, integration: AbstractIntegration | None, reference: str, oauth: OAuth | None
) -> None:
    """Record the event. A login by the version that is tried while people log in by the other one is a test of it.

    The person gets the page also if the database takes no event, such as before ``migrate``."""
    problem = error.context.get("problem", "")
    what = EventCode.REQUEST_FAILURE if problem == Code.TOO_OFTEN else event_of_failed_login(problem)
    is_login = what is not EventCode.REQUEST_FAILURE
    if is_login and integration is not None and oauth is not None and integration.oauth_versions.is_tried(oauth):
        what = EventCode.UPGRADE_TESTED
    try:
        with transaction.atomic(using=router.db_for_write(Event)):
            events.record(
                what,
                integration_id=integration.pk if integration is not None else "",
                problem=problem or error.code or "",
                stage=error.stage or "",
                reference=reference,
                # The backend tells the setting ``…_ON_EVENT`` in logins by social_django's views.
                is_told=isinstance(error.backend, LoginBackend)
                and not isinstance(error.backend.strategy, DjangoStrategy),
            )
    except DatabaseError as reason:
        _LOG.error("no event was written for reference=%s: %s", reference, reason)


def words_for(error: SocialAuthBaseException) -> Words:
    """Return the translated texts about *error*. They contain nothing that Bitbucket or the browser sent."""
    problem = problem_to_show(error)
    if problem is not None:
        return words_of(problem, setting_to_show(error))
    return Words(
        gettext("The login could not be completed."),
        gettext("Something came back from the Bitbucket Server that this application does not expect."),
        gettext("Look the reference number up in the list of events."),
        gettext(Who.OPERATOR.value),
    )


def words_of(problem: Problem, setting: str = "") -> Words:
    """Return the translated texts about *problem*."""
    who = "" if problem.who is Who.PERSON else gettext(problem.who.value)
    return Words(gettext(problem.title), gettext(problem.meaning), gettext(problem.remedy), who, setting)


def words_of_code(code: str) -> Words:
    """Return the texts about the problem of this code, which may be one that the library does not know."""
    if code in PROBLEMS:
        return words_of(PROBLEMS[code])
    title = gettext("The login could not be completed.")
    return Words(title, meaning="", remedy=gettext("Look the reference number up in the log."))

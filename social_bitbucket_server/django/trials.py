"""The trial login: a member of staff goes through Bitbucket's own pages and back, and nobody is logged in by it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from social_core.exceptions import AuthSessionError, SocialAuthBaseException

from ..organizations import TO_BE_MENDED, EventCode, OAuth
from ..problems import Code, may_come_back, reference_of
from . import events, integrations, login, moves
from .models import AbstractIntegration

_PAGE = "bitbucket_server_trial_page"
_RESULT = "bitbucket_server_trial"


def begin(
    request: HttpRequest,
    record: AbstractIntegration,
    page: str,
    oauth: OAuth | None = None,
    *,
    at_new_address: bool = False,
) -> HttpResponse:
    """Send the browser to Bitbucket. *page* is the path of the page that shows the result. The others are as in
    :func:`.login.try_login`. Call it for a POST whose CSRF token was checked.

    Raises ``SocialAuthBaseException`` if it cannot begin. At a new address that is a result, too: it says nothing about
    the old one. A refusal by the project's limit is no result.
    """
    try:
        response = login.try_login(request, record.pk, oauth=oauth, at_new_address=at_new_address)
    except SocialAuthBaseException as error:
        if not at_new_address or error.context.get("problem") == Code.TOO_OFTEN:
            raise
        result = {"integration": record.pk, "oauth": oauth, "tried": record.moving_to, **_failure(error)}
        _keep(request, record, result, EventCode.INTEGRATION_MOVED)
        return HttpResponseRedirect(page, status=303)
    request.session[_PAGE] = page
    return response


def complete(request: HttpRequest, record: AbstractIntegration, oauth: OAuth) -> HttpResponse:
    """Keep the result of the trial that came back by *oauth* in the session of the person who began it, and send the
    browser to the page that shows it.

    Raises ``SocialAuthBaseException`` if the trial belongs to another session, or is over, or if the browser can come
    back later, because the project's limit refuses it or many people are waiting for the server.
    """
    result: dict[str, Any] = {"integration": record.pk, "problem": "", "oauth": oauth.value}
    is_of_a_move = login.is_trial_at_new_address(request, oauth=oauth)
    if is_of_a_move:
        result["tried"] = record.moving_to
    try:
        trial = login.complete_trial(request, record.pk, oauth=oauth)
    except AuthSessionError:
        raise
    except SocialAuthBaseException as error:
        if may_come_back(error):
            raise
        result |= _failure(error)
    else:
        profile = trial.profile
        result |= {"id": profile.id, "name": profile.name, "display_name": profile.display_name}
        if is_of_a_move:
            result["is_same"] = moves.finish(record, profile, record.moving_to, login.person(request))
        result["findings"] = [[finding.kind.value, finding.name, finding.holds] for finding in trial.findings]
        result["roles"] = list(trial.roles) if trial.roles is not None else None
    what: EventCode | None = EventCode.INTEGRATION_TESTED
    if is_of_a_move:  # finish() has recorded it, and a failure says nothing about the old address
        what = EventCode.INTEGRATION_MOVED if result["problem"] else None
    elif result["problem"] and result["problem"] not in TO_BE_MENDED:
        what = None  # the problem is one person's own, which says nothing about others
    elif record.oauth_versions.is_tried(oauth):
        what = EventCode.UPGRADE_TESTED
    _keep(request, record, result, what)
    return HttpResponseRedirect(request.session.pop(_PAGE, integrations.login_path(record)), status=303)


def _failure(error: SocialAuthBaseException) -> dict[str, Any]:
    return {"problem": error.context.get("problem") or error.code or "", "reference": reference_of(error)}


def _keep(request: HttpRequest, record: AbstractIntegration, result: dict[str, Any], what: EventCode | None) -> None:
    """Keep the *result* in the session, and write it down as *what*, if that is an event."""
    request.session[_RESULT] = result
    if what is not None:
        events.record(
            what,
            integration_id=record.pk,
            user=login.person(request),
            problem=result["problem"],
            reference=result.get("reference", ""),
        )


def result_of(request: HttpRequest, record: AbstractIntegration) -> dict[str, Any] | None:
    """Return the result of this session's last trial, or ``None`` if *record* was not tried last."""
    result: dict[str, Any] | None = request.session.get(_RESULT)
    return result if result is not None and result["integration"] == record.pk else None

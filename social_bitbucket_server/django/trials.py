"""The trial login: a member of staff goes through Bitbucket's own pages and back, and nobody is logged in by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponseRedirect
from social_core.exceptions import AuthSessionError, SocialAuthBaseException

from ..organizations import TO_BE_MENDED, EventCode, OAuth
from ..problems import reference_of
from . import events, integrations, login

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from .models import AbstractIntegration

_PAGE = "bitbucket_server_trial_page"
_RESULT = "bitbucket_server_trial"


def begin(request: HttpRequest, record: AbstractIntegration, page: str, oauth: OAuth | None = None) -> HttpResponse:
    """Send the browser to Bitbucket. *page* is the path of the page that shows the result, and *oauth* is as in
    :func:`.login.begin`. Call it for a POST whose CSRF token was checked. Raises ``SocialAuthBaseException``."""
    response = login.try_login(request, record.pk, oauth=oauth)
    request.session[_PAGE] = page
    return response


def complete(request: HttpRequest, record: AbstractIntegration, oauth: OAuth) -> HttpResponse:
    """Keep the result of the trial that came back by *oauth* in the session of the person who began it, and send the
    browser to the page that shows it.

    Raises ``SocialAuthBaseException`` if the trial belongs to another session, or is over.
    """
    result: dict[str, Any] = {"integration": record.pk, "problem": "", "oauth": oauth.value}
    try:
        trial = login.complete_trial(request, record.pk, oauth=oauth)
    except AuthSessionError:
        raise
    except SocialAuthBaseException as error:
        result |= {"problem": error.context.get("problem") or error.code or "", "reference": reference_of(error)}
    else:
        profile = trial.profile
        result |= {"id": profile.id, "name": profile.name, "display_name": profile.display_name}
        result["findings"] = [[finding.kind.value, finding.name, finding.holds] for finding in trial.findings]
    if not result["problem"] or result["problem"] in TO_BE_MENDED:  # what is one person's own says nothing about others
        events.record(
            EventCode.UPGRADE_TESTED if record.oauth_versions.is_tried(oauth) else EventCode.INTEGRATION_TESTED,
            integration_id=record.pk,
            user=login.person(request),
            problem=result["problem"],
            reference=result.get("reference", ""),
        )
    request.session[_RESULT] = result
    return HttpResponseRedirect(request.session.pop(_PAGE, integrations.login_path(record)), status=303)


def result_of(request: HttpRequest, record: AbstractIntegration) -> dict[str, Any] | None:
    """Return the result of this session's last trial, or ``None`` if *record* was not tried last."""
    result: dict[str, Any] | None = request.session.get(_RESULT)
    return result if result is not None and result["integration"] == record.pk else None

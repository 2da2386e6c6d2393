"""The trial login: the owner goes through Bitbucket's own page and back, and nobody is logged in by it."""

from __future__ import annotations

from typing import Any

from flask import redirect, session, url_for
from social_core.exceptions import AuthSessionError, SocialAuthBaseException
from werkzeug.wrappers import Response

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.organizations import EventCode, OAuth
from social_bitbucket_server.problems import Code

from . import audit, database, moves
from .errors import make_reference
from .models import IntegrationRecord

_RESULT = "trial"
_LONGEST_NAME = 40  # the session is a cookie, which has little room


def complete(record: IntegrationRecord, callback_path: str, oauth: OAuth) -> Response:
    """Keep what came of the trial for the page that shows it, in the session of the owner who began it.

    Raises ``SocialAuthBaseException`` where the trial belongs to another session, or is over.
    """
    integration_id, page = record.id, url_for("settings.trial", slug=record.organization.slug, integration=record.id)
    result: dict[str, Any] = {"integration": integration_id, "oauth": oauth.value}
    tried, is_of_an_upgrade = record.moving_to, record.oauth_versions.is_tried(oauth)
    try:
        trial = bitbucket.complete_trial(callback_path, oauth.backend)
    except AuthSessionError:
        raise
    except SocialAuthBaseException as error:
        database.session.rollback()
        problem = error.context.get("problem", "")
        result |= {"problem": problem or error.code, "reference": make_reference(bitbucket.reference(error))}
        outcome = "interrupted" if problem == Code.LOGIN_DECLINED else "failed"
        if moves.is_tried():
            result["tried"] = tried or ""
    else:
        profile = trial.profile
        result |= {"id": str(profile.id), "name": _short(profile.name), "display_name": _short(profile.display_name)}
        result["findings"] = [[finding.kind.value, _short(finding.name), finding.holds] for finding in trial.findings]
        problem, outcome = "", "passed"
        if moves.is_tried():
            result |= {"tried": tried or "", "is_same": "yes" if moves.finish(record, profile, tried or "") else ""}
    audit.record(
        EventCode.UPGRADE_TESTED if is_of_an_upgrade else EventCode.INTEGRATION_TESTED,
        outcome=outcome,
        integration_id=integration_id,
        problem=problem or None,
        trial=True,
    )
    session[_RESULT] = result
    return redirect(page, 303)


def result_of(record: IntegrationRecord) -> dict[str, Any] | None:
    """Return the result of this session's last trial, or ``None`` if *record* was not tried last."""
    result = session.get(_RESULT)
    return result if result and result["integration"] == record.id else None


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

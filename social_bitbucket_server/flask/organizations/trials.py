"""The trial login: the admin goes through Bitbucket's own page and back, and nobody is logged in by it.

A trial at a server's new address decides whether it is the same server that moved.
"""

from __future__ import annotations

from typing import Any

from flask import redirect, session
from social_core.exceptions import AuthSessionError, SocialAuthBaseException
from werkzeug.wrappers import Response

from ...login import reference
from ...organizations import TO_BE_MENDED, EventCode, OAuth
from ...problems import may_come_back
from ...sqlalchemy.organizations import IntegrationMixin, trying
from .. import logins
from . import recording
from .current import session as database
from .current import store
from .errors import make_reference
from .navigation import address_of

_RESULT = "bitbucket_trial"
_MOVE = "bitbucket_move"
_LONGEST_NAME = 40  # the session is a cookie, which has little room


def note_trial_of_move() -> None:
    """Keep in mind, for when it comes back, that the trial that began in this request is at the new address."""
    session[_MOVE] = recording.transaction()


def complete(record: IntegrationMixin, callback_path: str, oauth: OAuth) -> Response:
    """Keep what came of the trial for the page that shows it, in the session of the admin who began it.

    Raises ``SocialAuthBaseException`` if the trial belongs to another session, or is over, or if the browser can come
    back later, because many people are waiting for the server.
    """
    page, integration_id = address_of("integrations.trial", record), record.id
    result: dict[str, Any] = {"integration": integration_id, "oauth": oauth.value}
    is_of_a_move = recording.transaction() is not None and session.get(_MOVE) == recording.transaction()
    tried, is_of_an_upgrade = record.moving_to, record.oauth_versions.is_tried(oauth)
    what: EventCode | None = EventCode.UPGRADE_TESTED if is_of_an_upgrade else EventCode.INTEGRATION_TESTED
    if is_of_a_move:
        result["tried"] = tried or ""
    try:
        with trying(tried if is_of_a_move else None):
            trial = logins.complete_trial(callback_path, oauth.backend)
    except AuthSessionError:
        raise
    except SocialAuthBaseException as error:
        if may_come_back(error):
            raise
        database.rollback()
        problem = error.context.get("problem", "")
        result |= {"problem": problem or error.code, "reference": make_reference(reference(error))}
        # One person's own problem says nothing about other people's logins.
        outcome = "failed" if problem in TO_BE_MENDED else "interrupted"
        if is_of_a_move:
            what = EventCode.INTEGRATION_MOVED  # which says nothing about the old address
    else:
        profile = trial.profile
        result |= {"id": str(profile.id), "name": _short(profile.name), "display_name": _short(profile.display_name)}
        result["findings"] = []
        for finding in trial.findings:
            # Without its permission, a condition means that people can see it.
            about, permission = finding.kind.parts(finding.name)
            name = f"{_short(about)}:{permission}" if permission else _short(about)
            result["findings"].append([finding.kind.value, name, finding.holds])
        result["roles"] = [_short(role) for role in trial.roles] if trial.roles is not None else None
        problem, outcome = "", "passed"
        if is_of_a_move:
            is_same = store.moves.finish(record, profile, tried or "")
            result["is_same"] = "yes" if is_same else ""
            what = what if is_same else None  # its event is written
    if what is not None:
        recording.record(what, outcome=outcome, integration_id=integration_id, problem=problem or None, trial=True)
    session[_RESULT] = result
    return redirect(page, 303)


def result_of(record: IntegrationMixin) -> dict[str, Any] | None:
    """Return the result of this session's last trial, or ``None`` if *record* was not tried last."""
    result = session.get(_RESULT)
    return result if result and result["integration"] == record.id else None


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

"""The test of an integration's connection, stage by stage, while somebody watches."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from typing import Any, cast

from flask import Flask, Response, current_app, request
from markupsafe import Markup

from ...integration import Integration, OAuth2Integration
from ...onboarding import Outcome, Result, Stage, check_up, first_failure
from ...organizations import EventCode, KeyState, OAuth
from ...sqlalchemy.organizations import IntegrationMixin, KeyPairMixin
from . import navigation, recording
from .current import session, store

PLACE = "<!-- the stages -->"
"""Placeholder for the stages in the page that is shown."""

_LOG = logging.getLogger(__name__)


class ConnectionTest:
    """The test of *record* by one *oauth*, signed with *pair* where it is not the active one, to be iterated once: each
    stage's result comes as soon as it is there.

    How it came out is written down, also where whoever watched went away before the end. *crash* is the reference
    number of a mistake of ours, which ends it. It goes on when the request that began it is over, and holds nothing
    of the database's while the server is asked.
    """

    def __init__(self, record: IntegrationMixin, oauth: OAuth, pair: KeyPairMixin | None = None) -> None:
        self.results: list[Result] = []
        self.crash = ""
        self._app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]  # a proxy's method
        self._integration_id, self._organization_id = record.id, record.organization_id
        self._address = request.remote_addr
        self._oauth = oauth
        self._key_id = pair.id if pair is not None else None
        self._is_of_an_upgrade = record.oauth_versions.is_tried(oauth)
        self._callback = navigation.absolute(navigation.callback_path(record, oauth))
        self._limits = store.limits

    def __iter__(self) -> Iterator[Result]:
        outcome = "interrupted"
        try:
            for result in check_up(self._integration, self._callback, limits=self._limits):
                self.results.append(result)
                if result.stage is Stage.BITBUCKET and "version" in result.facts:
                    with self._app.app_context():
                        store.integrations.note_version(self._integration_id, result.facts["version"])
                yield result
            outcome = Outcome.PASSED if self.has_passed else Outcome.FAILED
        except Exception as error:  # noqa: BLE001  # half of the page is sent already
            self.crash = secrets.token_hex(4).upper()
            _LOG.error("Reference %s: %s", self.crash, type(error).__name__, exc_info=error)
        finally:
            self._write_down(outcome)

    @property
    def has_passed(self) -> bool:
        """Whether no stage failed, all were reached, and no mistake of ours ended the test."""
        return not self.crash and all(result.outcome.lets_logins_work for result in self.results)

    def _integration(self) -> Integration | OAuth2Integration:
        with self._app.app_context():
            record, pair = session.get_one(store.models.integration, self._integration_id), self._pair()
            if pair is None:
                return store.integrations.ready_for(record, self._oauth)
            return store.integrations.signing_with(record, pair)

    def _pair(self) -> KeyPairMixin | None:
        """The key pair to test with, unless it was retired meanwhile."""
        pair = session.get(store.models.key_pair, self._key_id) if self._key_id is not None else None
        return pair if pair is not None and pair.sealed_private_key is not None else None

    def _write_down(self, outcome: str) -> None:
        failed = first_failure(self.results)
        with self._app.app_context():
            # People go on logging in whatever comes of OAuth 2 before its first login, or of a key pair that waits.
            if self._is_of_an_upgrade:
                event = EventCode.UPGRADE_TESTED
            else:
                pair = self._pair()
                waits = pair is not None and pair.state is KeyState.PENDING
                is_refused = waits and outcome == Outcome.FAILED
                event = EventCode.KEY_REFUSED if is_refused else EventCode.INTEGRATION_TESTED
            recording.record(
                event,
                outcome=outcome,
                organization_id=self._organization_id,
                integration_id=self._integration_id,
                problem=failed.problem.code if failed is not None and failed.problem is not None else None,
                address=self._address,
                reference=self.crash or None,
            )
            if failed is not None and failed.blocked:
                recording.record(
                    EventCode.OUTBOUND_BLOCKED,
                    outcome="failure",
                    organization_id=self._organization_id,
                    integration_id=self._integration_id,
                    address=self._address,
                    **failed.blocked,
                )


def test_connection(record: IntegrationMixin) -> bool:
    """Test the connection of *record* by the OAuth version that people log in by, and write down how it came out.

    Return whether all stages passed. It needs a request context, whose address is written down.
    """
    test = ConnectionTest(record, record.ways[0])
    for _result in test:
        pass
    return test.has_passed


def shown(
    test: ConnectionTest, page: str, *, edit_page: str = "", public_key: str = "", afterwards: str = "", then: str = ""
) -> Response:
    """*page* with the stages of *test* at :data:`PLACE`, each sent when it is there.

    *edit_page*: where the integration can be changed, for those who may. *public_key*: what Bitbucket should have.
    *afterwards*: what is shown below the stages if all of them passed. *then*: the stage that a person does next;
    empty if the page has none.
    """
    parts: Any = current_app.jinja_env.get_template("bitbucket_server/stages.html").module
    beginning, _, end = Markup(page).partition(PLACE)  # noqa: S704  # a rendered template

    def pieces() -> Iterator[str]:
        yield beginning + parts.begin()
        for result in test:
            yield parts.stage(result, edit_page, public_key)
        if test.crash:
            yield parts.crash(test.crash)
        if then:
            yield parts.stage_to_come(then, test.has_passed)
        yield parts.end() + Markup(afterwards if test.has_passed else parts.summary(test.results)) + end  # noqa: S704

    # A proxy in front must not wait for the end either.
    return Response(pieces(), headers={"X-Accel-Buffering": "no"})

"""The older identity of a person who logs in for the first time: found, compared and carried over, or left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from social_core.storage import UserMixin

from ..account import FIELD_OF_NAME, Outcome, older_uid, outcome_at_login, with_origin
from ..integration import BACKENDS, CarryOver, Key, read_carry_over
from ..problems import BitbucketServerError, Code
from .backend import LoginBackend
from .choice import by_id
from .identity import of_the_storage
from .logged_in_person import primary_key_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OlderIdentity:
    """The *identity* that the setting ``CARRY_OVER`` allows to be carried over to the new *uid*, if more agrees."""

    backend: LoginBackend[Any, Any]
    rule: CarryOver
    identity: Any
    uid: str
    response: Mapping[str, Any]

    @classmethod
    def find(cls, backend: LoginBackend[Any, Any], uid: str, response: Mapping[str, Any]) -> OlderIdentity | None:
        """Return the older identity of the person of *response*, or ``None``. Raises ``setting_invalid``."""
        rules = read_carry_over(backend.setting("CARRY_OVER"), has_single_server=backend.has_single_server)
        rule = rules.get(response["integration"])
        wanted = older_uid(rule, response) if rule is not None else None
        if rule is None or wanted is None or (rule.provider, wanted) == (backend.name, uid):
            return None
        identity = backend.strategy.storage.user.get_social_auth(rule.provider, wanted)
        if identity is None or str(identity.uid) != wanted:  # some databases compare without case
            return None
        return cls(backend, rule, identity, uid, response)

    def carry_over(self) -> UserMixin | None:
        """Carry the identity over, and return it as it is then; ``None`` if it stays as it is. It is written down."""
        outcome = self._outcome()
        user = self.identity.user
        if outcome is Outcome.CARRIED_OVER:
            move = self._of_the_storage("move_identity")
            # False if a login at the same moment was faster; then that one carried it over.
            if move(self.identity, self.backend.name, self.uid, with_origin(self.identity, self.rule.provider)):
                self._note(outcome, user)
            users: Any = self.backend.strategy.storage.user
            carried: UserMixin | None = users.get_social_auth(self.backend.name, self.uid)
            return carried
        self._note(outcome, user)
        return None

    def _outcome(self) -> Outcome:
        users = self.backend.strategy.storage.user
        known = (users.get_social_auth(name, self.uid) for name in BACKENDS)
        if any(identity is not None and identity.user != self.identity.user for identity in known):
            return Outcome.OF_ANOTHER_ACCOUNT
        server = by_id(self.backend, self.response["integration"]).server.url
        email = getattr(self.identity.user, "email", None)
        return outcome_at_login(self.identity, email, self.response, self.rule, server, self._others())

    def _others(self) -> list[Any]:
        """Return the identities of other people at this server that keep the same name."""
        if self.rule.key is Key.ID:
            return []
        name = str(self.identity.uid)
        keeping = self._of_the_storage("identities_that_keep")
        found = keeping(list(BACKENDS), FIELD_OF_NAME[self.rule.key], name)
        namespace = self.uid.rpartition(":")[0]
        return [each for each in found if each.uid != self.uid and each.uid.rpartition(":")[0] == namespace]

    def _note(self, outcome: Outcome, user: Any) -> None:
        users = self.backend.strategy.storage.user
        integration_id = self.response["integration"]
        is_carried = outcome is Outcome.CARRIED_OVER
        level = logging.INFO if is_carried else logging.WARNING
        _LOG.log(level, "integration=%s user=%s: %s", integration_id, primary_key_of(users, user), outcome)
        note = of_the_storage(self.backend, "note_older_identity")
        if note is not None:
            note(integration_id, user, is_carried_over=is_carried)

    def _of_the_storage(self, name: str) -> Callable[..., Any]:
        function = of_the_storage(self.backend, name)
        if function is None:
            reason = f"The storage has no method {name}."
            raise BitbucketServerError(Code.SETTING_INVALID, reason, parameter="CARRY_OVER")
        return function

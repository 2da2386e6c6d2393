"""A login on its way through social-core's pipeline: which person of which organization is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from social_core.exceptions import SocialAuthBaseException
from sqlalchemy.exc import IntegrityError

from ...account import EXTRA_DATA_KEY, ROLES_KEY
from ...organizations import EventCode
from ...problems import BitbucketServerError, Code
from . import clock
from .models import IntegrationMixin
from .part import Part

_KEPT = (EXTRA_DATA_KEY, "integration", ROLES_KEY)
_ATTEMPTS = 5


class Logins(Part):
    """Steps of logins. Nobody is ever found by e-mail address or name: the identity alone says who it is."""

    def find_identity(
        self, backend: Any, uid: str, user: Any = None, social: Any = None, id_key: str = ""
    ) -> dict[str, Any]:
        """Return the identity *uid*, by whichever OAuth it was used before: it names integration and account, and is
        one row. *user* is the person who connects it, and *social* an identity that another step has found; either may
        be ``None``. *id_key* is core's name for the part of the profile that the uid is made of. An identity
        without one gets it."""
        if social is None:
            social = self._store.identities.with_uid(uid)
            if social is None:
                return {}
            self._refuse_identity_of_another(backend, user, social)
            social.id_key = social.id_key or id_key
        return {"social": social, "user": social.user, "is_new": False, "new_association": False}

    def find_or_create_person(
        self,
        backend: Any,
        uid: str,
        details: Mapping[str, Any],
        integration_id: str,
        user: Any = None,
        id_key: str = "",
    ) -> dict[str, Any]:
        """Make the identity *uid*, for *user*, who connects it, or for a new person of the integration's organization.

        Of two first logins at once, one creates the person and the other one finds it.
        """
        refused: IntegrityError | None = None
        for _attempt in range(_ATTEMPTS):
            # The library has just asked for it.
            record = self._session.get(self._models.integration, integration_id)
            if record is None or not self._lets_in(record) or not uid.startswith(f"{record.namespace}:"):
                raise _error(Code.INTEGRATION_CHANGED, backend)
            if user is not None:
                self._refuse_to_connect(backend, user, record)
            try:
                social = self._add(user, record, details, provider=backend.name, uid=uid, id_key=id_key)
            except IntegrityError as error:
                refused, social = error, self._store.identities.with_uid(uid)
                if social is None:
                    continue
                self._refuse_identity_of_another(backend, user, social)
                return {"social": social, "user": social.user, "is_new": False, "new_association": False}
            event = EventCode.USER_CREATED if user is None else EventCode.IDENTITY_CONNECTED
            self._note(event, record, user_id=social.user_id)
            return {"social": social, "user": social.user, "is_new": user is None, "new_association": True}
        raise _error(Code.ACCOUNT_REFUSED, backend) from refused

    def refuse_disabled_person(self, backend: Any, social: Any, integration_id: str) -> None:
        """Stop the login of somebody who was disabled."""
        if social.integration_id != integration_id:
            raise _error(Code.IDENTITY_IN_USE, backend)
        if social.disabled_at is not None:
            raise _error(Code.PERSON_DISABLED, backend)

    def keep_token_and_roles(self, social: Any, data: Mapping[str, Any]) -> None:
        """Keep of *data*, the extra data of a login, the sealed access token with the integration that it is for, and
        the roles; of the profile nothing. Where tokens are not wanted any more, this is the end of one that was
        kept."""
        kept = {name: data[name] for name in _KEPT if data.get(name)}
        if social.extra_data != kept:
            social.extra_data = kept

    def update_person(
        self, social: Any, details: Mapping[str, Any], *, is_new: bool = False, new_association: bool = False
    ) -> None:
        """Take over names and the e-mail address, and nothing else, from the Bitbucket that the person logged in with.
        Connecting another one takes over nothing.

        Something changes with each login, so that SQLite holds its lock from here on: the integration is looked at once
        more afterwards, and must stay as it is until the login is committed.
        """
        if new_association and not is_new:
            return
        before, social.name = social.name, details["username"]
        if before != social.name:
            self._note(EventCode.USER_RENAMED, social.integration, user_id=social.user_id)
        if not is_new:
            self._store.update_person(social.user, details, before)
            social.last_login_at = clock.now()
        self._session.flush()

    def _lets_in(self, record: IntegrationMixin) -> bool:
        return record.disabled_at is None and self._store.may_log_in(record.organization)

    def _add(self, user: Any, record: IntegrationMixin, details: Mapping[str, Any], **key: str) -> Any:
        """Raises IntegrityError where somebody has it already, or took the new person's user name meanwhile."""
        person = user or self._store.new_person(record.organization, details)
        social = self._models.identity(
            user=person, integration_id=record.id, name=details["username"], extra_data={}, sessions_ended=0, **key
        )
        social.last_login_at = None if user is not None else clock.now()  # nobody logs in by connecting an account
        with self._session.begin_nested():
            self._session.add(social)
        return social

    def _refuse_identity_of_another(self, backend: Any, user: Any, social: Any) -> None:
        if user is not None and social.user != user:
            raise _error(Code.IDENTITY_IN_USE, backend)

    def _refuse_to_connect(self, backend: Any, user: Any, record: IntegrationMixin) -> None:
        """Only those connect whom the application lets, and everybody one account for each integration."""
        if not self._store.may_connect(user, record.organization):
            raise _error(Code.PERSON_CHANGED, backend)
        self._store.identities.lock_person(user)  # two at once wait for each other
        if self._store.identities.is_connected(user, record):
            raise _error(Code.ALREADY_CONNECTED, backend)


def _error(code: Code, backend: Any) -> SocialAuthBaseException:
    return BitbucketServerError(code).as_social_error(backend, "pipeline")

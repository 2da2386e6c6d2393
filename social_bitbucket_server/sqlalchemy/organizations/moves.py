"""A new base URL: the same server that moved, as a trial login shows, or another one, where everybody begins anew."""

from __future__ import annotations

from ...account import Profile
from ...integration import ServerURL
from ...organizations import EventCode, shows_same_server
from .models import IntegrationMixin
from .part import Part


class Moves(Part):
    """Servers that move, and servers that are replaced."""

    def begin(self, record: IntegrationMixin, server_url: ServerURL) -> None:
        """Wait for a trial login at *server_url*. Until then people log in at the old address."""
        record.moving_to = str(server_url)
        self._note(EventCode.INTEGRATION_MOVE_BEGUN, record)
        self._session.commit()

    def give_up(self, record: IntegrationMixin) -> None:
        """Stay at the old address."""
        if record.moving_to is not None:
            record.moving_to = None
            self._note(EventCode.INTEGRATION_MOVE_GIVEN_UP, record)
        self._session.commit()

    def finish(self, record: IntegrationMixin, profile: Profile, tried: str) -> bool:
        """Take the address *tried* if *profile*, which answered there, is somebody whom the integration knows by the
        same number and the same user name. Return whether that is so. Nothing changes where it is not."""
        self._store.integrations.lock(record)  # others may have changed it meanwhile
        identity = self._store.identities.with_uid(f"{record.namespace}:{profile.id}")
        known_username = identity.name if identity is not None else None
        is_same = shows_same_server(profile, known_username) and record.moving_to == tried
        if is_same:
            record.base_url, record.moving_to = tried, None
        self._note(EventCode.INTEGRATION_MOVED, record, outcome="success" if is_same else "failure")
        self._session.commit()
        return is_same

    def take_over(self, record: IntegrationMixin, server_url: ServerURL) -> None:
        """Take *server_url* for the new address of the same server. The caller knows that it is."""
        self._store.integrations.lock(record)
        record.base_url, record.moving_to = str(server_url), None
        self._note(EventCode.INTEGRATION_MOVED, record)
        self._session.commit()

    def begin_anew(self, record: IntegrationMixin, server_url: ServerURL) -> int:
        """Make *server_url*, which is another server, the base URL. Return how many people that concerned.

        Nobody is recognized any more: the identities are deleted and never come back to life, because the namespace is
        never used again. The people stay, without this way to log in. The client secret is the old server's, and is
        erased.
        """
        concerned = self._store.integrations.take_another_server(record, server_url)
        self._store.key_rotation.retire_replaced(record)
        self._note(EventCode.INTEGRATION_UPDATED, record, insecure=server_url.scheme == "http")
        self._note(EventCode.INTEGRATION_BEGAN_ANEW, record, people=concerned)
        self._session.commit()
        return concerned

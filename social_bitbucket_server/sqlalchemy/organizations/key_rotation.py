"""A new key pair in place of an integration's old one: it waits beside it until Bitbucket accepts it.

A login that Bitbucket refuses with the old one tries the one that waits. No private key is erased before its successor
was accepted.
"""

from __future__ import annotations

from sqlalchemy import select

from ...integration import Integration
from ...oauth import Client
from ...organizations import EventCode, KeyPairs, KeyState, may_be_about_the_key
from ...problems import BitbucketServerError
from ...transport import default_transport
from . import clock, integrations
from .models import IntegrationMixin, KeyPairMixin
from .part import Part


class KeyRotation(Part):
    """New key pairs in place of old ones. *callback*: where logins of the integration by OAuth 1 come back to."""

    def begin(self, record: IntegrationMixin, *, with_new_link: bool = False) -> bool:
        """Make a key pair that waits for Bitbucket, in place of one that waits already, and for *with_new_link* a
        consumer key. Return false, and make nothing, where an old link waits for its removal: there would be three.
        """
        key = integrations.make_private_key()
        self._store.integrations.lock(record)
        pairs = self._pairs(record)
        if not pairs.may_begin(with_new_link=with_new_link):
            return False
        if pairs.pending is not None:
            self._retire(record, pairs.pending)
        link_in_use = pairs.active.consumer_key if pairs.active is not None and not with_new_link else None
        consumer_key = link_in_use or self._store.integrations.add_link(record)
        self._store.integrations.add_key_pair(record, key, KeyState.PENDING, consumer_key)
        if with_new_link:
            self._note(EventCode.CONSUMER_KEY_CREATED, record)
        self._session.commit()
        return True

    def verify(self, record: IntegrationMixin, callback: str) -> bool:
        """Sign a request with the key that waits, under its consumer key. If Bitbucket accepts it, make it the active
        one. Return whether that happened; false if no key waits.

        Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept it or cannot be asked.
        """
        pair = record.pending_key_pair
        if pair is None:
            return False
        public_key = pair.public_key
        self._ask(self._store.integrations.signing_with(record, pair), callback)
        return self._promote(record, public_key)

    def give_up(self, record: IntegrationMixin, callback: str) -> bool:
        """Keep the old key pair, and erase the private key of the one that waits. Return whether one did.

        Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept the old one or cannot be
        asked.
        """
        pair = record.active_key_pair
        if pair is None or record.pending_key_pair is None:
            return False
        self._ask(self._store.integrations.signing_with(record, pair), callback)
        self._store.integrations.lock(record)
        pending = self._pairs(record).pending
        if pending is not None:
            self._retire(record, pending)
        self._session.commit()
        return pending is not None

    def note_removal(self, record: IntegrationMixin) -> None:
        """Note that the old application link is gone, and with it the logins that began with it."""
        self._store.integrations.lock(record)
        self.retire_replaced(record)
        self._session.commit()

    def retire_replaced(self, record: IntegrationMixin) -> None:
        """Erase the private key of the application link that was replaced, if there is one. The caller holds the lock,
        and commits."""
        replaced = self._pairs(record).replaced
        if replaced is not None:
            self._retire(record, replaced)

    def promote_after_a_login(self, integration: Integration) -> None:
        """Put the pending key pair in use after a login that was signed with it.

        The library calls this, because Bitbucket has the public key already.
        """
        record = self._store.integrations.find_enabled(integration.id)
        if record is not None:
            self._promote(record, integration.private_key.public.pem)

    def ask_as_a_login_does(self, record: IntegrationMixin, callback: str) -> None:
        """Sign a request with the active key pair of *record*, which has one. If Bitbucket refuses it and accepts the
        one that waits, that takes its place.

        Raises BitbucketServerError, and changes nothing, where Bitbucket accepts neither or cannot be asked.
        """
        active = record.active_key_pair
        if active is None:
            raise ValueError(record.id)
        integration = self._store.integrations.signing_with(record, active, pending=record.pending_key_pair)
        successor = integration.successor
        try:
            self._ask(integration, callback)
        except BitbucketServerError as refusal:
            if successor is None or not may_be_about_the_key(refusal.code, integration, successor):
                raise
            try:
                self._ask(successor, callback)
            except BitbucketServerError:
                raise refusal from None
            self._promote(record, successor.private_key.public.pem)

    def _ask(self, integration: Integration, callback: str) -> None:
        """Raises BitbucketServerError where Bitbucket does not accept the key pair of *integration*."""
        # Nobody waits for this request's connection meanwhile, and what was read before may have changed afterwards.
        self._session.rollback()
        with default_transport().begin_step(integration.tenant, self._store.limits) as budget:
            Client(integration, budget).request_token(callback)  # it is let go: nobody is sent to Bitbucket with it

    def _promote(self, record: IntegrationMixin, public_key: str) -> bool:
        """Put the waiting key pair in use if it is this one. Return whether it was."""
        self._store.integrations.lock(record)
        pairs = self._pairs(record)
        old, new = pairs.active, pairs.pending
        if old is None or new is None or new.public_key != public_key:
            return False
        if pairs.state_of_old is KeyState.RETIRED:
            self._retire(record, old)
        else:
            self._change_state(old, KeyState.REPLACED)
            old.replaced_at = clock.now()
            self._note(EventCode.CONSUMER_KEY_REPLACED, record)
        self._session.flush()  # there is one active key pair at a time
        self._change_state(new, KeyState.ACTIVE)
        self._note(EventCode.KEY_PROMOTED, record)
        self._session.commit()
        return True

    def _pairs(self, record: IntegrationMixin) -> KeyPairs[KeyPairMixin]:
        """Return the key pairs of *record*, which is locked, as they are now."""
        pair = self._models.key_pair
        pairs = select(pair).where(pair.integration_id == record.id, pair.stored_state != KeyState.RETIRED.value)
        return KeyPairs.of(self._session.scalars(pairs, execution_options={"populate_existing": True}))

    def _change_state(self, pair: KeyPairMixin, state: KeyState) -> None:
        """Give *pair* another *state*, and a record that opens in it. The caller commits."""
        pair.sealed_private_key = self._keys.private_key_sealed_for(state, pair) or None
        pair.stored_state = state.value

    def _retire(self, record: IntegrationMixin, pair: KeyPairMixin) -> None:
        """Retire it, and erase its private key. The caller commits."""
        pair.stored_state, pair.sealed_private_key = KeyState.RETIRED.value, None
        self._session.flush()
        self._note(EventCode.KEY_RETIRED, record)

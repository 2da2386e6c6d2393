"""A new base URL: the same server that moved, as a trial login shows, or another one, where everybody begins anew.

People are recognized by their number on the server; on another one somebody else has it.
"""

from __future__ import annotations

from flask import g, session

from social_bitbucket_server.account import Profile
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.organizations import EventCode, shows_same_server

from . import audit, database, identities, integrations, key_rotation
from .models import IntegrationRecord

_SESSION_KEY = "move"


def begin(record: IntegrationRecord, server_url: ServerURL) -> None:
    """Wait for a trial login at *server_url*; until then people log in at the old address."""
    record.moving_to = str(server_url)
    audit.record(EventCode.INTEGRATION_MOVE_BEGUN, integration_id=record.id)
    database.session.commit()


def give_up(record: IntegrationRecord) -> None:
    """Stay at the old address."""
    if record.moving_to is not None:
        record.moving_to = None
        audit.record(EventCode.INTEGRATION_MOVE_GIVEN_UP, integration_id=record.id)
    database.session.commit()


def try_it() -> None:
    """Let the trial that begins in this request go to the new address."""
    g.tries_the_move = True


def note_trial() -> None:
    """Keep in mind, for when it comes back, that the trial that began in this request is at the new address."""
    session[_SESSION_KEY] = g.transaction


def recognize_trial() -> None:
    """Let what comes back in this request be finished where it began: at the new address, if it is that trial."""
    g.tries_the_move = g.transaction is not None and session.get(_SESSION_KEY) == g.transaction


def is_tried() -> bool:
    """Return whether this request is about the trial at the new address."""
    return bool(g.get("tries_the_move"))


def finish(record: IntegrationRecord, profile: Profile, tried: str) -> bool:
    """Take the address *tried* if *profile*, which answered there, is somebody whom the integration knows by the same
    number and the same username; returns whether that is so. Nothing changes where it is not."""
    integrations.lock(record)  # others may have changed it meanwhile
    identity = identities.with_uid(f"{record.namespace}:{profile.id}")
    known_username = identity.name if identity is not None else None
    is_same = shows_same_server(profile, known_username) and record.moving_to == tried
    if is_same:
        record.base_url, record.moving_to = tried, None
    audit.record(EventCode.INTEGRATION_MOVED, outcome="success" if is_same else "failure", integration_id=record.id)
    database.session.commit()
    return is_same


def take_over(record: IntegrationRecord, server_url: ServerURL) -> None:
    """Take *server_url* for the new address of the same server. The caller knows that it is."""
    integrations.lock(record)
    record.base_url, record.moving_to = str(server_url), None
    audit.record(EventCode.INTEGRATION_MOVED, integration_id=record.id)
    database.session.commit()


def begin_anew(record: IntegrationRecord, server_url: ServerURL) -> int:
    """Make *server_url*, which is another server, the base URL. Returns how many people that concerned.

    Nobody is recognized any more: the identities are deleted and never come back to life, because the namespace is
    never used again. The people stay, without this way to log in. The client secret is the old server's, and is erased.
    """
    concerned = integrations.take_another_server(record, server_url)
    key_rotation.retire_replaced(record)
    audit.record(EventCode.INTEGRATION_UPDATED, integration_id=record.id, insecure=server_url.scheme == "http")
    audit.record(EventCode.INTEGRATION_BEGAN_ANEW, integration_id=record.id, people=concerned)
    database.session.commit()
    return concerned

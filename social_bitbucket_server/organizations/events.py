"""Events: their codes, and for each of them its kind and a sentence for the organization's admin.

Storage keeps the codes. They stay as they are, so that old events can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """Kinds of events, by which a list of them can be filtered."""

    LOGIN = "login"
    PERSON = "person"
    INTEGRATION = "integration"
    KEY = "key"
    OAUTH2 = "oauth2"
    SETUP_LINK = "setup_link"
    LOGIN_LINK = "login_link"
    ORGANIZATION = "organization"

    @property
    def label(self) -> str:
        """The kind in words, for a list of kinds."""
        return _LABELS[self]

    @property
    def codes(self) -> tuple[EventCode, ...]:
        """The events of this kind that the organization's admin sees."""
        return tuple(code for code in EventCode if code.kind is self and code.is_shown)


class EventCode(StrEnum):
    """Codes of everything that is recorded about organizations."""

    ADMIN_DENIED = "admin.denied"
    AUDIT_PRUNED = "audit.pruned"
    CA_CERTIFICATE_ENDING = "ca_certificate.ending"
    CLIENT_CERTIFICATE_ENDING = "client_certificate.ending"
    CONSUMER_KEY_CREATED = "consumer_key.created"
    CONSUMER_KEY_REPLACED = "consumer_key.replaced"
    IDENTITY_CARRIED_BACK = "identity.carried_back"
    IDENTITY_CARRIED_OVER = "identity.carried_over"
    IDENTITY_CONNECTED = "identity.connected"
    IDENTITY_DISCONNECTED = "identity.disconnected"
    IDENTITY_NOT_CARRIED_OVER = "identity.not_carried_over"
    INTEGRATION_BEGAN_ANEW = "integration.began_anew"
    INTEGRATION_CREATED = "integration.created"
    INTEGRATION_DELETED = "integration.deleted"
    INTEGRATION_DISABLED = "integration.disabled"
    INTEGRATION_ENABLED = "integration.enabled"
    INTEGRATION_ENFORCED = "integration.enforced"
    INTEGRATION_FAILING = "integration.failing"
    INTEGRATION_MOVE_BEGUN = "integration.move_begun"
    INTEGRATION_MOVE_GIVEN_UP = "integration.move_given_up"
    INTEGRATION_MOVED = "integration.moved"
    INTEGRATION_NOT_ENFORCED = "integration.not_enforced"
    INTEGRATION_STILL_FAILING = "integration.still_failing"
    INTEGRATION_TESTED = "integration.tested"
    INTEGRATION_UPDATED = "integration.updated"
    INTEGRATION_WORKING = "integration.working"
    KEY_CREATED = "key.created"
    KEY_DECRYPT_FAILED = "key.decrypt_failed"
    KEY_PROMOTED = "key.promoted"
    KEY_REFUSED = "key.refused"
    KEY_RETIRED = "key.retired"
    LOGIN_BEGIN = "login.begin"
    LOGIN_FAILURE = "login.failure"
    LOGIN_MIXUP = "login.mixup"
    LOGIN_REPLAY = "login.replay"
    LOGIN_SUCCESS = "login.success"
    LOGIN_LINK_CLOSED = "login_link.closed"
    LOGIN_LINK_OPENED = "login_link.opened"
    LOGIN_LINK_REPLACED = "login_link.replaced"
    ORGANIZATION_DISABLED = "organization.disabled"
    ORGANIZATION_ENABLED = "organization.enabled"
    OUTBOUND_BLOCKED = "outbound.blocked"
    OWNER_PASSWORD_CHANGED = "owner_password.changed"  # noqa: S105  # a code
    OWNER_PASSWORD_NOT_CHANGED = "owner_password.not_changed"  # noqa: S105  # a code
    OWNER_PASSWORD_REPLACED = "owner_password.replaced"  # noqa: S105  # a code
    RECHECK_REFUSED = "recheck.refused"
    RECHECK_UNANSWERED = "recheck.unanswered"
    REQUEST_FAILURE = "request.failure"
    SERVER_LOOKED_AT = "server.looked_at"
    SESSION_REVOKED = "session.revoked"
    SETUP_LINK_CREATED = "setup_link.created"
    SETUP_LINK_OPENED = "setup_link.opened"
    SETUP_LINK_REVOKED = "setup_link.revoked"
    UPGRADE_ABANDONED = "upgrade.abandoned"
    UPGRADE_FINISHED = "upgrade.finished"
    UPGRADE_NOT_ABANDONED = "upgrade.not_abandoned"
    UPGRADE_PREPARED = "upgrade.prepared"
    UPGRADE_TESTED = "upgrade.tested"
    USER_CREATED = "user.created"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_RENAMED = "user.renamed"

    @property
    def kind(self) -> EventKind:
        """The kind of the event."""
        return _ABOUT[self].kind

    @property
    def sentence(self) -> str:
        """A sentence for the organization's admin."""
        return _ABOUT[self].sentence

    @property
    def is_shown(self) -> bool:
        """Whether the organization's admin sees the event. The operator sees all of them in the log."""
        return _ABOUT[self].is_shown


@dataclass(frozen=True, slots=True)
class _About:
    """Facts about one event: its kind, its sentence, and whether the organization's admin sees it."""

    kind: EventKind
    sentence: str
    is_shown: bool = True


_LABELS = {
    EventKind.LOGIN: "Logins",
    EventKind.PERSON: "People",
    EventKind.INTEGRATION: "Integrations",
    EventKind.KEY: "Keys and application links",
    EventKind.OAUTH2: "OAuth 2",
    EventKind.SETUP_LINK: "Set-up links",
    EventKind.LOGIN_LINK: "Login link",
    EventKind.ORGANIZATION: "Organization",
}

_ABOUT = {
    EventCode.ADMIN_DENIED: _About(
        EventKind.ORGANIZATION, "A person who does not own this organization tried to open its settings."
    ),
    EventCode.AUDIT_PRUNED: _About(EventKind.ORGANIZATION, "Old events were deleted."),
    EventCode.CA_CERTIFICATE_ENDING: _About(
        EventKind.INTEGRATION, "A CA certificate ends within 30 days, or has ended."
    ),
    EventCode.CLIENT_CERTIFICATE_ENDING: _About(
        EventKind.INTEGRATION, "A client certificate ends within 30 days, or has ended."
    ),
    EventCode.CONSUMER_KEY_CREATED: _About(
        EventKind.KEY, "A new application link was prepared, with a consumer key of its own."
    ),
    EventCode.CONSUMER_KEY_REPLACED: _About(
        EventKind.KEY, "Logins go through a new application link. The old one can be removed in Bitbucket."
    ),
    EventCode.IDENTITY_CARRIED_BACK: _About(
        EventKind.PERSON, "A person's identity was given back to the backend that it came from."
    ),
    EventCode.IDENTITY_CARRIED_OVER: _About(
        EventKind.PERSON, "A person's account was carried over from another backend or configuration."
    ),
    EventCode.IDENTITY_CONNECTED: _About(EventKind.PERSON, "A person connected another Bitbucket account."),
    EventCode.IDENTITY_DISCONNECTED: _About(EventKind.PERSON, "A person disconnected a Bitbucket account."),
    EventCode.IDENTITY_NOT_CARRIED_OVER: _About(
        EventKind.PERSON, "A person's older account was not carried over, because it may be another person's."
    ),
    EventCode.INTEGRATION_BEGAN_ANEW: _About(
        EventKind.INTEGRATION, "An integration got another server, where every person begins anew."
    ),
    EventCode.INTEGRATION_CREATED: _About(EventKind.INTEGRATION, "An integration was added."),
    EventCode.INTEGRATION_DELETED: _About(EventKind.INTEGRATION, "An integration was deleted."),
    EventCode.INTEGRATION_DISABLED: _About(EventKind.INTEGRATION, "An integration was disabled."),
    EventCode.INTEGRATION_ENABLED: _About(EventKind.INTEGRATION, "An integration was enabled."),
    EventCode.INTEGRATION_ENFORCED: _About(EventKind.LOGIN_LINK, "An integration was made the only way in."),
    EventCode.INTEGRATION_FAILING: _About(EventKind.INTEGRATION, "An integration that worked began to fail."),
    EventCode.INTEGRATION_MOVE_BEGUN: _About(EventKind.INTEGRATION, "A server's new address waits for a trial login."),
    EventCode.INTEGRATION_MOVE_GIVEN_UP: _About(
        EventKind.INTEGRATION, "A server's new address was given up. People go on at the old one."
    ),
    EventCode.INTEGRATION_MOVED: _About(EventKind.INTEGRATION, "A trial login at a server's new address came back."),
    EventCode.INTEGRATION_NOT_ENFORCED: _About(EventKind.LOGIN_LINK, "All ways in were opened again."),
    EventCode.INTEGRATION_STILL_FAILING: _About(
        EventKind.INTEGRATION, "An integration has been failing for more than a day."
    ),
    EventCode.INTEGRATION_TESTED: _About(EventKind.INTEGRATION, "An integration's connection was tested."),
    EventCode.INTEGRATION_UPDATED: _About(EventKind.INTEGRATION, "An integration was changed."),
    EventCode.INTEGRATION_WORKING: _About(EventKind.INTEGRATION, "An integration that failed works again."),
    EventCode.KEY_CREATED: _About(EventKind.KEY, "A key pair was made."),
    EventCode.KEY_DECRYPT_FAILED: _About(EventKind.KEY, "A private key could not be opened."),
    EventCode.KEY_PROMOTED: _About(EventKind.KEY, "A new key pair is in use."),
    EventCode.KEY_REFUSED: _About(EventKind.KEY, "Bitbucket did not accept a new key pair."),
    EventCode.KEY_RETIRED: _About(EventKind.KEY, "A key pair was retired, and its private key erased."),
    EventCode.LOGIN_BEGIN: _About(EventKind.LOGIN, "A login began."),
    EventCode.LOGIN_FAILURE: _About(EventKind.LOGIN, "A login failed."),
    EventCode.LOGIN_MIXUP: _About(EventKind.LOGIN, "The answer to another login was refused."),
    EventCode.LOGIN_REPLAY: _About(EventKind.LOGIN, "A finished login was sent again, and refused."),
    EventCode.LOGIN_SUCCESS: _About(EventKind.LOGIN, "A person logged in."),
    EventCode.LOGIN_LINK_CLOSED: _About(EventKind.LOGIN_LINK, "The login link was closed."),
    EventCode.LOGIN_LINK_OPENED: _About(EventKind.LOGIN_LINK, "The login link was opened."),
    EventCode.LOGIN_LINK_REPLACED: _About(EventKind.LOGIN_LINK, "The login link was replaced."),
    EventCode.ORGANIZATION_DISABLED: _About(
        EventKind.ORGANIZATION, "The operator disabled the organization, and everybody was logged out."
    ),
    EventCode.ORGANIZATION_ENABLED: _About(EventKind.ORGANIZATION, "The operator enabled the organization."),
    EventCode.OUTBOUND_BLOCKED: _About(
        EventKind.INTEGRATION, "The application refused to connect to an address of a private network.", is_shown=False
    ),
    EventCode.OWNER_PASSWORD_CHANGED: _About(
        EventKind.ORGANIZATION, "The owner's password was changed, and the owner's other sessions were ended."
    ),
    EventCode.OWNER_PASSWORD_NOT_CHANGED: _About(
        EventKind.ORGANIZATION, "The owner's password was not changed, because the present one was wrong."
    ),
    EventCode.OWNER_PASSWORD_REPLACED: _About(
        EventKind.ORGANIZATION, "The operator set a new password for the owner, whose sessions were ended."
    ),
    EventCode.RECHECK_REFUSED: _About(EventKind.PERSON, "Bitbucket no longer lets a person log in."),
    EventCode.RECHECK_UNANSWERED: _About(
        EventKind.PERSON, "Bitbucket could not be asked whether a person may still log in. Nothing was changed."
    ),
    EventCode.REQUEST_FAILURE: _About(EventKind.LOGIN, "A request was refused."),
    EventCode.SERVER_LOOKED_AT: _About(EventKind.INTEGRATION, "A server was looked at before it was added."),
    EventCode.SESSION_REVOKED: _About(EventKind.PERSON, "A person was logged out."),
    EventCode.SETUP_LINK_CREATED: _About(EventKind.SETUP_LINK, "A set-up link was made."),
    EventCode.SETUP_LINK_OPENED: _About(EventKind.SETUP_LINK, "A set-up link was opened."),
    EventCode.SETUP_LINK_REVOKED: _About(EventKind.SETUP_LINK, "A set-up link was revoked."),
    EventCode.UPGRADE_ABANDONED: _About(
        EventKind.OAUTH2, "People log in by OAuth 1 alone again. The client secret was erased."
    ),
    EventCode.UPGRADE_FINISHED: _About(
        EventKind.OAUTH2, "A person logged in by OAuth 2, and OAuth 1 was switched off."
    ),
    EventCode.UPGRADE_NOT_ABANDONED: _About(
        EventKind.OAUTH2, "Bitbucket did not accept OAuth 1 any more, so people go on with OAuth 2."
    ),
    EventCode.UPGRADE_PREPARED: _About(EventKind.OAUTH2, "Client ID and client secret for OAuth 2 were entered."),
    EventCode.UPGRADE_TESTED: _About(EventKind.OAUTH2, "The connection by OAuth 2 was tested."),
    EventCode.USER_CREATED: _About(EventKind.PERSON, "A person was added."),
    EventCode.USER_DISABLED: _About(EventKind.PERSON, "A person was disabled."),
    EventCode.USER_ENABLED: _About(EventKind.PERSON, "A person was enabled."),
    EventCode.USER_RENAMED: _About(EventKind.PERSON, "A person has a new name in Bitbucket."),
}

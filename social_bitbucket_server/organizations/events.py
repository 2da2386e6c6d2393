"""Events: their codes, and for each of them its kind and a sentence for the organization's admin.

Storage keeps the codes. They stay as they are, so that old events can be read.
"""

from __future__ import annotations

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
        return {
            EventKind.LOGIN: "Logins",
            EventKind.PERSON: "People",
            EventKind.INTEGRATION: "Integrations",
            EventKind.KEY: "Keys and application links",
            EventKind.OAUTH2: "OAuth 2",
            EventKind.SETUP_LINK: "Set-up links",
            EventKind.LOGIN_LINK: "Login link",
            EventKind.ORGANIZATION: "Organization",
        }[self]

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
        return _KINDS[self]

    @property
    def sentence(self) -> str:
        """A sentence for the organization's admin."""
        return _SENTENCES[self.kind][self]

    @property
    def is_shown(self) -> bool:
        """Whether the organization's admin sees the event. The operator sees all of them in the log."""
        return self is not EventCode.OUTBOUND_BLOCKED


_SENTENCES = {
    EventKind.LOGIN: {
        EventCode.LOGIN_BEGIN: "A login began.",
        EventCode.LOGIN_FAILURE: "A login failed.",
        EventCode.LOGIN_MIXUP: "The answer to another login was refused.",
        EventCode.LOGIN_REPLAY: "A finished login was sent again, and refused.",
        EventCode.LOGIN_SUCCESS: "A person logged in.",
        EventCode.REQUEST_FAILURE: "A request was refused.",
    },
    EventKind.PERSON: {
        EventCode.IDENTITY_CARRIED_BACK: "A person's identity was given back to the backend that it came from.",
        EventCode.IDENTITY_CARRIED_OVER: "A person's account was carried over from another backend or configuration.",
        EventCode.IDENTITY_CONNECTED: "A person connected another Bitbucket account.",
        EventCode.IDENTITY_DISCONNECTED: "A person disconnected a Bitbucket account.",
        EventCode.IDENTITY_NOT_CARRIED_OVER: (
            "A person's older account was not carried over, because it may be another person's."
        ),
        EventCode.RECHECK_REFUSED: "Bitbucket no longer lets a person log in.",
        EventCode.RECHECK_UNANSWERED: (
            "Bitbucket could not be asked whether a person may still log in. Nothing was changed."
        ),
        EventCode.SESSION_REVOKED: "A person was logged out.",
        EventCode.USER_CREATED: "A person was added.",
        EventCode.USER_DISABLED: "A person was disabled.",
        EventCode.USER_ENABLED: "A person was enabled.",
        EventCode.USER_RENAMED: "A person has a new name in Bitbucket.",
    },
    EventKind.INTEGRATION: {
        EventCode.CA_CERTIFICATE_ENDING: "A CA certificate ends within 30 days, or has ended.",
        EventCode.CLIENT_CERTIFICATE_ENDING: "A client certificate ends within 30 days, or has ended.",
        EventCode.INTEGRATION_BEGAN_ANEW: "An integration got another server, where every person begins anew.",
        EventCode.INTEGRATION_CREATED: "An integration was added.",
        EventCode.INTEGRATION_DELETED: "An integration was deleted.",
        EventCode.INTEGRATION_DISABLED: "An integration was disabled.",
        EventCode.INTEGRATION_ENABLED: "An integration was enabled.",
        EventCode.INTEGRATION_FAILING: "An integration that worked began to fail.",
        EventCode.INTEGRATION_MOVE_BEGUN: "A server's new address waits for a trial login.",
        EventCode.INTEGRATION_MOVE_GIVEN_UP: "A server's new address was given up. People go on at the old one.",
        EventCode.INTEGRATION_MOVED: "A trial login at a server's new address came back.",
        EventCode.INTEGRATION_STILL_FAILING: "An integration has been failing for more than a day.",
        EventCode.INTEGRATION_TESTED: "An integration's connection was tested.",
        EventCode.INTEGRATION_UPDATED: "An integration was changed.",
        EventCode.INTEGRATION_WORKING: "An integration that failed works again.",
        EventCode.OUTBOUND_BLOCKED: "The application refused to connect to an address of a private network.",
        EventCode.SERVER_LOOKED_AT: "A server was looked at before it was added.",
    },
    EventKind.KEY: {
        EventCode.CONSUMER_KEY_CREATED: "A new application link was prepared, with a consumer key of its own.",
        EventCode.CONSUMER_KEY_REPLACED: (
            "Logins go through a new application link. The old one can be removed in Bitbucket."
        ),
        EventCode.KEY_CREATED: "A key pair was made.",
        EventCode.KEY_DECRYPT_FAILED: "A private key could not be opened.",
        EventCode.KEY_PROMOTED: "A new key pair is in use.",
        EventCode.KEY_REFUSED: "Bitbucket did not accept a new key pair.",
        EventCode.KEY_RETIRED: "A key pair was retired, and its private key erased.",
    },
    EventKind.OAUTH2: {
        EventCode.UPGRADE_ABANDONED: "People log in by OAuth 1 alone again. The client secret was erased.",
        EventCode.UPGRADE_FINISHED: "A person logged in by OAuth 2, and OAuth 1 was switched off.",
        EventCode.UPGRADE_NOT_ABANDONED: "Bitbucket did not accept OAuth 1 any more, so people go on with OAuth 2.",
        EventCode.UPGRADE_PREPARED: "Client ID and client secret for OAuth 2 were entered.",
        EventCode.UPGRADE_TESTED: "The connection by OAuth 2 was tested.",
    },
    EventKind.SETUP_LINK: {
        EventCode.SETUP_LINK_CREATED: "A set-up link was made.",
        EventCode.SETUP_LINK_OPENED: "A set-up link was opened.",
        EventCode.SETUP_LINK_REVOKED: "A set-up link was revoked.",
    },
    EventKind.LOGIN_LINK: {
        EventCode.INTEGRATION_ENFORCED: "An integration was made the only way in.",
        EventCode.INTEGRATION_NOT_ENFORCED: "All ways in were opened again.",
        EventCode.LOGIN_LINK_CLOSED: "The login link was closed.",
        EventCode.LOGIN_LINK_OPENED: "The login link was opened.",
        EventCode.LOGIN_LINK_REPLACED: "The login link was replaced.",
    },
    EventKind.ORGANIZATION: {
        EventCode.ADMIN_DENIED: "A person who does not own this organization tried to open its settings.",
        EventCode.AUDIT_PRUNED: "Old events were deleted.",
        EventCode.ORGANIZATION_DISABLED: "The operator disabled the organization, and everybody was logged out.",
        EventCode.ORGANIZATION_ENABLED: "The operator enabled the organization.",
        EventCode.OWNER_PASSWORD_CHANGED: (
            "The owner's password was changed, and the owner's other sessions were ended."
        ),
        EventCode.OWNER_PASSWORD_NOT_CHANGED: (
            "The owner's password was not changed, because the present one was wrong."
        ),
        EventCode.OWNER_PASSWORD_REPLACED: "The operator set a new password for the owner, whose sessions were ended.",
    },
}
_KINDS = {code: kind for kind, sentences in _SENTENCES.items() for code in sentences}

"""The tables: integrations, their application links and key pairs, and what happened.

An application with a table of organizations puts a model of its own in place of :class:`Integration`: it derives from
:class:`AbstractIntegration`, and ``SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATION_MODEL`` names it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django.apps import apps
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..crypto import PublicKey, Secret, new_consumer_key
from ..integration import Admission, BaseURLRules, ConnectTo, Roles, ServerURL, refuse_too_many
from ..organizations import EventCode, KeyPairs, KeyState, OAuthVersions
from ..problems import PROBLEMS, BitbucketServerError
from ..transport import AddressPolicy, read_ca_certificates, read_client_certificate
from . import configuration, sealed_keys

INTEGRATION_MODEL: str = getattr(
    settings, "SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATION_MODEL", "social_bitbucket_server.Integration"
)
"""The model of integrations, as ``app_label.Model``."""

_ANY_BASE_URL = BaseURLRules(plain_http_hosts=None)
_CONDITIONS = {"allow_groups", "allow_projects", "allow_repositories", "role_conditions"}


def new_id() -> str:
    """Return an opaque identifier of 96 random bits, safe in addresses."""
    return secrets.token_hex(12)


def new_namespace() -> str:
    """Return a namespace of 128 random bits, so that no two integrations ever have the same one."""
    return secrets.token_hex(16)


class AbstractIntegration(models.Model):
    """The configuration with which people of one organization log in through one Bitbucket Server.

    *id* is immutable and in the callback's address, *slug* in the login link. *namespace* is a part of the identity of
    each person who logs in here. *ca_certificates* (PEM) are trusted for this server instead of the machine's.
    *client_certificate* (PEM) is shown to a gateway that asks for one. *given_client_key* is its key if :meth:`clean`
    has to seal a new one. *connect_to* is where connections go, as ``host:port``; empty for the base URL's host.
    *allow_groups*, *allow_projects* and *allow_repositories* are lists of names: who of the server's people may log in.
    *role_conditions* says which roles they have: see :meth:`.Roles.read`.
    *server_version* is the version that the last check-up found. *login_key* is a part of the login link, and empty
    until that was replaced for the first time. *login_closed_at* is since when the login link lets nobody in, and
    *enforced_at* since when this integration is the only way into its organization. *revision* counts the changes by
    hand, *logins_ended* how often the logins under way were ended otherwise, and *sessions_ended* how often the
    sessions of everybody who logged in here were. *oauth1_ended_at* is since when OAuth 2 is the only way to log in;
    ``None`` while OAuth 1 works. *moving_to* is a new base URL that waits for its proof, or empty.
    """

    organization_field: ClassVar[str] = ""
    """Name of the field that says which organization it is of; empty if each integration is an organization's only
    one."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=80, help_text=_("The organization's name, as its people know it."))
    slug = models.SlugField(
        _("login link"),
        max_length=40,
        unique=True,
        help_text=_("The last part of the address where its people log in. It cannot be changed later."),
    )
    base_url = models.CharField(
        _("base URL"), max_length=255, help_text=_("Bitbucket's address, with the context path if it has one.")
    )
    namespace = models.CharField(max_length=32, unique=True, default=new_namespace, editable=False)
    ca_certificates = models.TextField(
        _("CA certificates"),
        blank=True,
        help_text=_("Only where Bitbucket's certificate was issued by the organization's own CA. As PEM."),
    )
    client_certificate = models.TextField(
        _("client certificate"),
        blank=True,
        default="",
        help_text=_("Only where a gateway in front of Bitbucket wants one: this application's certificate, as PEM."),
    )
    sealed_client_key = models.TextField(blank=True, default="", editable=False)
    connect_to = models.CharField(
        _("connect to"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("Only where this application cannot reach Bitbucket at the base URL's address: host and port."),
    )
    allow_groups = models.JSONField(
        _("groups"),
        default=list,
        blank=True,
        help_text=_("Members of one of these groups may log in. One on each line."),
    )
    allow_projects = models.JSONField(
        _("projects"),
        default=list,
        blank=True,
        help_text=_(
            "People who can see one of these projects may log in. Keys such as WEB, one on each line. WEB:write takes "
            "people who may write to it."
        ),
    )
    allow_repositories = models.JSONField(
        _("repositories"),
        default=list,
        blank=True,
        help_text=_(
            "People who can see one of these repositories may log in. Such as WEB/website or WEB/website:write, one on "
            "each line."
        ),
    )
    role_conditions = models.JSONField(_("roles"), default=dict, blank=True)
    server_version = models.CharField(_("Bitbucket's version"), max_length=32, blank=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True, editable=False)
    login_key = models.CharField(max_length=32, blank=True, default="", editable=False)
    login_closed_at = models.DateTimeField(null=True, editable=False)
    enforced_at = models.DateTimeField(null=True, editable=False)
    moving_to = models.CharField(max_length=255, blank=True, default="", editable=False)
    oauth1_ended_at = models.DateTimeField(null=True, editable=False)
    revision = models.PositiveIntegerField(default=0, editable=False)
    logins_ended = models.PositiveIntegerField(default=0, editable=False)
    sessions_ended = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    last_login_at = models.DateTimeField(_("last login"), null=True, editable=False)

    given_client_key = ""

    class Meta:
        abstract = True
        ordering: ClassVar[list[str]] = ["name", "id"]
        verbose_name = _("integration")
        verbose_name_plural = _("integrations")

    def __str__(self) -> str:
        return self.name

    def save(self, *arguments: Any, **options: Any) -> None:
        """Save the integration. Raises ValidationError if it is new and another one's namespace differs from its own in
        case alone, because some databases compare identities without case."""
        if self._state.adding:
            taken = type(self)._base_manager.filter(namespace__iexact=self.namespace)
            if set(taken.values_list("namespace", flat=True)) - {self.namespace}:
                raise ValidationError({"namespace": gettext("Choose a namespace that differs in more than case.")})
        super().save(*arguments, **options)

    def full_clean(
        self, exclude: Iterable[str] | None = None, validate_unique: bool = True, validate_constraints: bool = True
    ) -> None:
        """Clean the integration as Django does. An error of a field in *exclude* is left out, also one that
        :meth:`clean` found: a form that does not have the field could not show it. An error of conditions becomes one
        of the whole form, if the form has others: it may come from them."""
        excluded = set(exclude or ())
        try:
            super().full_clean(excluded, validate_unique, validate_constraints)
        except ValidationError as error:
            shown = {name: errors for name, errors in error.error_dict.items() if name not in excluded}
            if not excluded >= _CONDITIONS:
                for name in _CONDITIONS & excluded & error.error_dict.keys():
                    shown[NON_FIELD_ERRORS] = [*shown.get(NON_FIELD_ERRORS, ()), *error.error_dict[name]]
            if shown:
                raise ValidationError(shown) from error

    def clean(self) -> None:
        """Bring base URL, certificates and ``connect_to`` into their clean form, seal a new key of a client
        certificate, and check who may log in and the roles. Raises ValidationError that says what is wrong."""
        super().clean()
        errors = {}
        try:
            self.base_url = str(ServerURL.parse(self.base_url.strip(), configuration.outbound().base_url_rules))
        except BitbucketServerError as error:
            errors["base_url"] = f"{gettext('This base URL cannot be used.')} {gettext(error.reason)}"
        try:
            self.ca_certificates = read_ca_certificates(self.ca_certificates) if self.ca_certificates.strip() else ""
        except BitbucketServerError as error:
            errors["ca_certificates"] = f"{gettext(error.problem.title)} {gettext(error.reason)}"
        wrong = self._clean_client_certificate()
        if wrong:
            errors["client_certificate"] = wrong
        connect_to = self.connect_to.strip()
        try:
            self.connect_to = (
                str(ConnectTo.parse(connect_to, configuration.outbound().base_url_rules)) if connect_to else ""
            )
        except BitbucketServerError as error:
            errors["connect_to"] = f"{gettext(error.problem.title)} {gettext(error.reason)}"
        try:
            admission = self.admission
        except BitbucketServerError as error:
            errors[(error.parameter or "").lower()] = gettext(error.reason)
        else:
            try:
                refuse_too_many(self.roles.only(configuration.role_names()), admission)
            except BitbucketServerError as error:
                errors["role_conditions"] = error.reason
        if errors:
            raise ValidationError(errors)

    def _clean_client_certificate(self) -> str:
        """Read the client certificate with its key, the given one or the kept one. Return what is wrong with them."""
        given, self.given_client_key = Secret(self.given_client_key), ""
        if not self.client_certificate.strip():
            self.sealed_client_key = ""
            return gettext("Give the certificate that the key belongs to.") if given else ""
        if not given and not self.sealed_client_key:
            return gettext("Give the key of the client certificate, too.")
        try:
            key = given or sealed_keys.current().open_client_key(self)
        except BitbucketServerError:
            return ""  # a login says that the kept key cannot be opened
        try:
            shown = read_client_certificate(self.client_certificate, key)
            if given:
                self.sealed_client_key = sealed_keys.current().seal_client_key(shown.key, integration_id=self.pk)
        except BitbucketServerError as error:
            words = (error.problem.title, error.reason, error.problem.remedy)
            return " ".join(gettext(sentence) for sentence in words if sentence)
        self.client_certificate = shown.certificate
        return ""

    @property
    def server_url(self) -> ServerURL:
        """The base URL, to be shown; whether it may still be asked is decided when a login begins."""
        return ServerURL.parse(self.base_url, _ANY_BASE_URL)

    @property
    def login_revision(self) -> str:
        """The revision that a login under way is bound to: it ends when the integration is changed or disabled, or the
        ways to log in are."""
        return f"{self.revision}.{self.logins_ended}"

    @property
    def session_revision(self) -> str:
        """The revision that a session is bound to: it ends when the integration is disabled or gets another server, and
        when another one is made the only way in."""
        return f"{self.namespace}.{self.sessions_ended}"

    def address_policy(self) -> AddressPolicy:
        """Return the addresses that the server may have. Override it if organizations have networks of their own.
        Raises ``setting_invalid``."""
        return configuration.outbound(self.pk).address_policy(self.pk)

    @property
    def admission(self) -> Admission:
        """The conditions of a login. Without any, those of the settings apply. Raises ``setting_invalid``."""
        return Admission.read(self.allow_groups, self.allow_projects, self.allow_repositories)

    @property
    def roles(self) -> Roles:
        """The roles that its people have. Raises ``setting_invalid``."""
        return Roles.read(self.role_conditions)

    def shares_limits_of(self) -> str:
        """Return the organization whose integrations share the limits on waiting threads; empty for this one alone."""
        key = self.organization_key
        return "" if key is None else str(key)

    def others(self) -> models.QuerySet[AbstractIntegration]:
        """Return the other integrations of its organization."""
        rows = type(self)._base_manager
        if self.organization_key is None:
            return rows.none()
        return rows.filter(**{self.organization_field: self.organization_key}).exclude(pk=self.pk)

    @property
    def organization_key(self) -> Any:
        """The organization's key, or ``None`` if this is an organization's only integration."""
        if not self.organization_field:
            return None
        field = cast("models.Field[Any, Any]", self._meta.get_field(self.organization_field))
        return getattr(self, field.attname) or None

    @property
    def consumer_key(self) -> str:
        """The consumer key of the application link that logins go through; empty while there is no key pair."""
        pair = self.active_key_pair
        return pair.consumer_key if pair is not None else ""

    @property
    def active_key_pair(self) -> KeyPair | None:
        """The key pair that logins are signed with."""
        return self._key_pairs(state=KeyState.ACTIVE).first()

    @property
    def pending_key_pair(self) -> KeyPair | None:
        """The key pair that waits for Bitbucket to have its public key, if there is one."""
        return self._key_pairs(state=KeyState.PENDING).first()

    @property
    def replaced_key_pair(self) -> KeyPair | None:
        """The key pair of an application link that another one replaced, until that link is removed."""
        return self._key_pairs(state=KeyState.REPLACED).first()

    @property
    def client_credentials(self) -> ClientCredentials | None:
        """The credentials for OAuth 2 that Bitbucket made, if they were entered."""
        return ClientCredentials.objects.filter(integration_id=self.pk).first()

    @property
    def oauth_versions(self) -> OAuthVersions:
        """The OAuth versions by which people can log in."""
        return OAuthVersions(
            is_oauth1_ended=self.oauth1_ended_at is not None,
            has_client_credentials=self.client_credentials is not None,
        )

    @property
    def key_pairs_in_use(self) -> KeyPairs[KeyPair]:
        """All but the retired ones, as they are at one moment."""
        return KeyPairs.of(self._key_pairs().exclude(state=KeyState.RETIRED))

    def _key_pairs(self, **wanted: str) -> models.QuerySet[KeyPair]:
        return KeyPair.objects.select_related("link").filter(integration_id=self.pk, **wanted)


class Integration(AbstractIntegration):
    """The integration of an organization that is nothing else in this application. Several of one organization have the
    same text as *organization*."""

    organization_field = "organization"

    organization = models.CharField(
        _("organization"),
        max_length=80,
        blank=True,
        default="",
        help_text=_("Only for an organization with several Bitbucket Servers: the same text at each of them."),
    )


def integration_model() -> type[AbstractIntegration]:
    """Return the model of integrations that this application uses."""
    return cast("type[AbstractIntegration]", apps.get_model(INTEGRATION_MODEL))


class ApplicationLink(models.Model):
    """One of the links that an integration has in its Bitbucket. The oldest has the *number* 1. No two links have the
    same *consumer_key*, by which Bitbucket knows them."""

    consumer_key: models.CharField[str, str] = models.CharField(
        _("consumer key"), primary_key=True, max_length=64, default=new_consumer_key
    )
    integration = models.ForeignKey(INTEGRATION_MODEL, on_delete=models.CASCADE, related_name="application_links")
    number = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar[list[str]] = ["number"]
        verbose_name = _("application link")
        verbose_name_plural = _("application links")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["integration", "number"], name="social_bitbucket_server_one_link_of_each_number"
            )
        ]

    def __str__(self) -> str:
        return self.consumer_key


class _KeyPairs(models.QuerySet["KeyPair"]):
    """Key pairs whose state and place go together."""

    def update(self, **fields: Any) -> int:
        if "state" in fields:
            fields["place"] = _place(fields["state"])
        return super().update(**fields)


def _place(state: str) -> str | None:
    return None if state == KeyState.RETIRED else str(state)


class KeyPair(models.Model):
    """An integration's keys for one of its application links: the public one as text, which no other has, and the
    private one sealed."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    integration = models.ForeignKey(INTEGRATION_MODEL, on_delete=models.CASCADE, related_name="key_pairs")
    link: models.ForeignKey[ApplicationLink, ApplicationLink] = models.ForeignKey(
        ApplicationLink, on_delete=models.CASCADE, related_name="key_pairs"
    )
    state: models.CharField[str, str] = models.CharField(
        max_length=16, choices=[(state.value, _(state.meaning)) for state in KeyState]
    )
    fingerprint = models.CharField(max_length=64, unique=True)
    public_pem = models.TextField()
    sealed_private_key = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    replaced_at = models.DateTimeField(null=True)
    # The state, and NULL for retired pairs, because MariaDB has no unique constraints with conditions.
    place = models.CharField(max_length=16, null=True, editable=False)

    objects = _KeyPairs.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "id"]
        verbose_name = _("key pair")
        verbose_name_plural = _("key pairs")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["integration", "place"], name="social_bitbucket_server_one_of_each_state")
        ]

    def __str__(self) -> str:
        return self.fingerprint

    def save(self, *arguments: Any, **options: Any) -> None:
        """Save the pair, with its place."""
        self.place = _place(self.state)
        super().save(*arguments, **options)

    @property
    def consumer_key(self) -> str:
        """The consumer key of its application link in Bitbucket."""
        return self.link_id

    @property
    def public_key(self) -> PublicKey:
        """The half that Bitbucket gets."""
        return PublicKey.read(self.public_pem)


class SetupLink(models.Model):
    """One set-up link, with the SHA-256 of its token in hexadecimal, and nothing that would open it.

    There is no foreign key: the link of a deleted integration can say so. *namespace* is that of the integration when
    the link was made, and another one when it got another server. *opened_at* and *opened_from*, an address, describe
    the last visit.
    """

    token_sha256 = models.CharField(primary_key=True, max_length=64, editable=False)
    integration_id = models.CharField(max_length=32, db_index=True)
    namespace = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    opened_from = models.CharField(max_length=64, blank=True, default="")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at"]
        verbose_name = _("set-up link")
        verbose_name_plural = _("set-up links")

    def __str__(self) -> str:
        return self.token_sha256


class ClientCredentials(models.Model):
    """The credentials that Bitbucket made for logins by OAuth 2, with the client secret sealed."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    integration = models.OneToOneField(INTEGRATION_MODEL, on_delete=models.CASCADE, related_name="+")
    client_id: models.CharField[str, str] = models.CharField(_("client ID"), max_length=255)
    sealed_client_secret = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("client credentials")
        verbose_name_plural = _("client credentials")

    def __str__(self) -> str:
        return self.client_id


class EndedSessions(models.Model):
    """How often the sessions of a person that came through an integration were ended. There is no row before the first
    time. *user_id* is the user's key as text."""

    user_id = models.CharField(primary_key=True, max_length=64)
    times = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("ended sessions")
        verbose_name_plural = _("ended sessions")

    def __str__(self) -> str:
        return self.user_id


# Events that the organizations' extension for Flask records, and Django does not.
_OF_OTHERS = {
    EventCode.ADMIN_DENIED,
    EventCode.AUDIT_PRUNED,
    EventCode.IDENTITY_DISCONNECTED,
    EventCode.LOGIN_REPLAY,
    EventCode.ORGANIZATION_DISABLED,
    EventCode.ORGANIZATION_ENABLED,
    EventCode.OUTBOUND_BLOCKED,
    EventCode.OWNER_PASSWORD_CHANGED,
    EventCode.OWNER_PASSWORD_NOT_CHANGED,
    EventCode.OWNER_PASSWORD_REPLACED,
    EventCode.SERVER_LOOKED_AT,
    EventCode.USER_CREATED,
    EventCode.USER_RENAMED,
}
RECORDED = tuple(code for code in EventCode if code not in _OF_OTHERS)
"""Events that are recorded here. The list of events can be filtered by them."""


def event_choices() -> list[tuple[str, Any]]:
    """Return the codes of events with their translated sentences."""
    return [(code.value, _(code.sentence)) for code in RECORDED]


class Event(models.Model):
    """One thing that happened, with identifiers only: never a token, key, address, or text from the other side.

    There are no foreign keys: an event outlives what it is about. *user_id* is who logged in, was logged out or
    disabled, or, of events of integrations and keys, who administered them. *problem* is a code of the library's table.
    """

    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)
    what = models.CharField(_("what"), max_length=32, choices=event_choices)
    integration_id = models.CharField(_("integration"), max_length=32, blank=True, db_index=True)
    user_id = models.CharField(_("user"), max_length=64, blank=True)
    problem = models.CharField(_("problem"), max_length=64, blank=True)
    stage = models.CharField(_("stage"), max_length=32, blank=True)
    reference = models.CharField(_("reference"), max_length=16, blank=True, db_index=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.get_what_display()} {self.reference}".strip()

    @property
    def problem_title(self) -> str:
        """A sentence that says what went wrong; empty if nothing did."""
        return gettext(PROBLEMS[self.problem].title) if self.problem in PROBLEMS else ""

    @property
    def remedy(self) -> str:
        """The remedy for the problem; empty if nothing went wrong."""
        return gettext(PROBLEMS[self.problem].remedy) if self.problem in PROBLEMS else ""

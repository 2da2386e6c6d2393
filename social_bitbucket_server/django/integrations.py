"""Integrations between the database and the library: made, found for a login, set up, tested, and deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Max, QuerySet, Value
from django.db.models.functions import StrIndex
from django.urls import reverse
from django.utils import timezone
from social_django.utils import Storage

from ..crypto import PrivateKey
from ..integration import BACKENDS, Integration, OAuth2Integration
from ..login import LIFETIME
from ..onboarding import Dialog, Result, Step, dialog_of, first_failure, link_script, oauth2_worksheet, worksheet
from ..onboarding import check_up as run_check_up
from ..organizations import Assembler, EventCode, KeyState, OAuth, Unopened, WayOut, link_name, oldest_login_began
from ..problems import BitbucketServerError, Code
from . import configuration, events, sealed_keys
from .groups import leave_groups_of
from .models import (
    AbstractIntegration,
    ApplicationLink,
    ClientCredentials,
    KeyPair,
    integration_model,
    new_id,
    new_namespace,
)
from .storage import one_transaction

Administrator = AbstractBaseUser | AnonymousUser | None

LIFETIME_OF_LOGINS = timedelta(seconds=LIFETIME)
"""How long a login may take."""

_LOG = logging.getLogger(__name__)
_WRITTEN_ALONE = frozenset(
    {
        "enabled",
        "enforced_at",
        "last_login_at",
        "login_closed_at",
        "login_key",
        "logins_ended",
        "moving_to",
        "oauth1_ended_at",
        "revision",
        "server_version",
        "sessions_ended",
    }
)


class ChangedMeanwhileError(Exception):
    """The integration was changed or deleted since it was read."""

    def __init__(self) -> None:
        super().__init__("The integration was changed or deleted since it was read. Read it again, then change it.")


def find(integration_id: str) -> Integration | None:
    """Return the enabled integration with this id as logins by OAuth 1 expect it, or ``None``.

    The setting ``SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS`` names this function. Logins that were under way when OAuth
    2 took the place of OAuth 1 can be finished for as long as logins take. Raises ``sealed_key_unopenable``. Raises
    ``invalid_base_url`` or ``connect_to_invalid`` if the operator no longer allows the server.
    """
    record = find_enabled(id=integration_id)
    return for_oauth1(record) if record is not None else None


def find_oauth2(integration_id: str) -> OAuth2Integration | None:
    """Return the enabled integration with this id as logins by OAuth 2 expect it, or ``None``.

    The setting ``SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_INTEGRATIONS`` names this function. Raises what :func:`find`
    raises.
    """
    record = find_enabled(id=integration_id)
    return for_oauth2(record) if record is not None else None


def for_oauth1(record: AbstractIntegration) -> Integration | None:
    """Return *record* as logins by OAuth 1 expect it; ``None`` if it is for OAuth 2. Raises what :func:`find`
    raises."""
    now, ended_at = timezone.now(), record.oauth1_ended_at
    if ended_at is not None and ended_at < oldest_login_began(now=now, lifetime=LIFETIME_OF_LOGINS):
        return None
    # All at one moment: none is missed where the one that waits is put in use.
    pairs = record.key_pairs_in_use
    if pairs.active is None:
        return None
    replaced = pairs.finishing_logins(now=now, lifetime=LIFETIME_OF_LOGINS)
    return signing_with(record, pairs.active, pending=pairs.pending, replaced=replaced)


def for_oauth2(record: AbstractIntegration) -> OAuth2Integration | None:
    """Return *record* as logins by OAuth 2 expect it; ``None`` without client credentials. Raises what :func:`find`
    raises."""
    credentials = record.client_credentials
    return _ASSEMBLER.by_oauth2(record, credentials, _way_out(record)) if credentials is not None else None


def find_enabled(**key: str) -> AbstractIntegration | None:
    """Return the enabled integration with this ``id`` or ``slug``, or ``None``."""
    return integration_model()._default_manager.filter(enabled=True, **key).first()


def lock(integration_id: str) -> AbstractIntegration | None:
    """Return the integration of this id, which nobody else changes until the transaction ends.

    Databases that lock as a whole do so with the first change. A manager of the application's own may join other
    tables, whose rows cannot always be locked.
    """
    return integration_model()._base_manager.select_for_update().filter(pk=integration_id).first()


def signing_with(
    record: AbstractIntegration, pair: KeyPair, *, pending: KeyPair | None = None, replaced: KeyPair | None = None
) -> Integration:
    """Return *record* as the library expects it, with requests signed by the private key of *pair*.

    *pending* signs if Bitbucket has its public key already, and *replaced* in logins that began with it. Either of
    these two is left out if it cannot be opened. Raises what :func:`find` raises.
    """
    return _ASSEMBLER.signing_with(record, pair, _way_out(record), pending=pending, replaced=replaced)


def _way_out(record: AbstractIntegration) -> WayOut:
    return replace(configuration.outbound(record.pk).way_out(record.pk), address_policy=record.address_policy())


def _note_unopened(unopened: Unopened) -> None:
    """Write an event, and tell the operator in the log of a key that people go on without."""
    events.record(EventCode.KEY_DECRYPT_FAILED, integration_id=unopened.integration_id, problem=unopened.problem.code)
    if unopened.left_out is not None:
        is_pending = unopened.left_out is KeyState.PENDING
        remedy = "make another one" if is_pending else "logins that began with it have to begin again"
        message = "the %s private key of the integration %s cannot be opened; %s"
        _LOG.warning(message, unopened.left_out, unopened.integration_id, remedy)


_ASSEMBLER = Assembler(sealed_keys.current, _note_unopened, configuration.role_names)


def make_private_key() -> PrivateKey:
    """Return a new private key of the library's default size."""
    return PrivateKey.generate()


def all_or_nothing() -> AbstractContextManager[None]:
    """Keep changes of several rows together, in the databases of integrations and of identities. Those of integrations
    are committed last, so that a lock holds until then."""
    return one_transaction(KeyPair, Storage.user)


def create(record: AbstractIntegration, administrator: Administrator = None, *, oauth: OAuth = OAuth.ONE) -> None:
    """Save the new *record*, which was cleaned. For OAuth 1 it gets a key pair. For OAuth 2 it waits for its client
    credentials."""
    key = make_private_key() if oauth is OAuth.ONE else None
    record.oauth1_ended_at = timezone.now() if oauth is OAuth.TWO else None
    with all_or_nothing():
        record.save(force_insert=True)
        if key is not None:
            add_key_pair(record, key, KeyState.ACTIVE, add_link(record), administrator)
        events.record(EventCode.INTEGRATION_CREATED, integration_id=record.pk, user=administrator)


def add_link(record: AbstractIntegration) -> ApplicationLink:
    """Give *record* another application link, with a consumer key of its own."""
    last = ApplicationLink.objects.filter(integration_id=record.pk).aggregate(last=Max("number"))["last"]
    return ApplicationLink.objects.create(integration_id=record.pk, number=(last or 0) + 1)


def add_key_pair(
    record: AbstractIntegration,
    key: PrivateKey,
    state: KeyState,
    link: ApplicationLink,
    administrator: Administrator = None,
) -> None:
    """Give *record* a key pair for this *link*, with its private key sealed."""
    key_id = new_id()
    KeyPair.objects.create(
        id=key_id,
        integration_id=record.pk,
        link=link,
        state=state,
        fingerprint=key.public.fingerprint,
        public_pem=key.public.pem,
        sealed_private_key=sealed_keys.current().seal_private_key(
            key, integration_id=record.pk, key_id=key_id, state=state
        ),
    )
    events.record(EventCode.KEY_CREATED, integration_id=record.pk, user=administrator)


def change(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Save what was changed and cleaned, except for what :func:`enable`, logins and check-ups write, perhaps at this
    very moment. A login under way ends with ``integration_changed``.

    With another base URL the integration has another server, where user 42 is another person. It gets a new namespace,
    and the identities and client credentials of the old server are deleted. :func:`move` keeps them.

    Raises ChangedMeanwhileError, and saves nothing, if the integration was changed or deleted since *record* was read.
    """
    _save(record, administrator, may_begin_anew=True)


def move(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Save what was changed and cleaned, like :func:`change`, and keep all identities under a new base URL.

    For code alone: nothing proves that the new base URL is the same server's. Call it only if you know that. Another
    server gives people's numbers to others, who would log in to their accounts. For a proof, call :func:`.moves.begin`.

    Raises ChangedMeanwhileError.
    """
    _save(record, administrator, may_begin_anew=False)


def _save(record: AbstractIntegration, administrator: Administrator, *, may_begin_anew: bool) -> None:
    """Save the changes by hand. *may_begin_anew*: another base URL is another server's.

    A login locks its identity before its integration, so identities are deleted before the change is counted. From
    there on no login ends until the end of the transaction.
    """
    fields = {field.name for field in record._meta.concrete_fields if not field.primary_key} - _WRITTEN_ALONE
    with all_or_nothing():
        before = type(record)._base_manager.filter(pk=record.pk).first()
        begins_anew = may_begin_anew and (before is None or before.base_url != record.base_url)
        if begins_anew:
            _delete_identities(record)
        as_it_was_read = type(record)._base_manager.filter(pk=record.pk, revision=record.revision)
        if not as_it_was_read.update(revision=record.revision + 1):
            raise ChangedMeanwhileError
        if begins_anew:
            _delete_identities(record)  # those of logins that ended until this one could count
            ClientCredentials.objects.filter(integration_id=record.pk).delete()
            record.namespace, record.server_version, record.last_login_at = new_namespace(), "", None
            record.moving_to = ""
            fields |= {"server_version", "last_login_at", "moving_to"}
            events.record(EventCode.INTEGRATION_BEGAN_ANEW, integration_id=record.pk, user=administrator)
        if before is not None and before.enforced_at and before.organization_key != record.organization_key:
            record.enforced_at = None  # it was made the only way into another organization
            record.save(update_fields=["enforced_at"])
            events.record(EventCode.INTEGRATION_NOT_ENFORCED, integration_id=record.pk, user=administrator)
        record.save(update_fields=fields)
        events.record(EventCode.INTEGRATION_UPDATED, integration_id=record.pk, user=administrator)
    record.revision += 1


def enable(record: AbstractIntegration, administrator: Administrator = None, *, enabled: bool) -> None:
    """Let people log in through *record*, or nobody. Disabling it ends the logins under way and all sessions."""
    record.enabled = enabled
    record.save(update_fields=["enabled"])
    if not enabled:
        end_logins(record, sessions=True)
    what = EventCode.INTEGRATION_ENABLED if enabled else EventCode.INTEGRATION_DISABLED
    events.record(what, integration_id=record.pk, user=administrator)


def end_logins(record: AbstractIntegration, *, sessions: bool) -> None:
    """End the logins under way through *record*, and with *sessions* also those of everybody who logged in there."""
    counters = ["logins_ended", "sessions_ended"] if sessions else ["logins_ended"]
    type(record)._base_manager.filter(pk=record.pk).update(**{counter: F(counter) + 1 for counter in counters})
    record.refresh_from_db(fields=counters)


def delete(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Delete *record* with its key pairs and the identities of everybody who logs in through it. People stay, also
    those who have no other way in."""
    with all_or_nothing():
        if record.enforced_at is not None:
            events.record(EventCode.INTEGRATION_NOT_ENFORCED, integration_id=record.pk, user=administrator)
        events.record(EventCode.INTEGRATION_DELETED, integration_id=record.pk, user=administrator)
        _delete_identities(record)
        lock(record.pk)  # before its key pairs, as a key rotation does
        _delete_identities(record)  # those of logins that ended until now
        record.delete()


def _delete_identities(record: AbstractIntegration) -> None:
    """Delete the identities. Their people keep no groups that the integration gave."""
    leave_groups_of(record.pk, identities(record))
    identities(record).delete()


def identities(record: AbstractIntegration) -> QuerySet[Any]:
    """Return the identities that log in through *record*, in social_django's table.

    SQLite's LIKE, which ``startswith`` becomes, compares without case, and MySQL's INSTR does: both have to agree.
    """
    beginning = f"{record.namespace}:"
    rows: QuerySet[Any] = Storage.user.objects.alias(place=StrIndex("uid", Value(beginning)))
    return rows.filter(provider__in=BACKENDS, uid__startswith=beginning, place=1)


def people_without_another(record: AbstractIntegration) -> int:
    """Return how many people log in through *record* and have no other identity."""
    here = identities(record)
    others = Storage.user.objects.exclude(pk__in=here.values("pk"))
    return here.exclude(user__in=others.values("user")).values("user").distinct().count()


def reseal_keys() -> tuple[int, int]:
    """Seal every private key, client secret and key of a client certificate with the ring's newest key, so that the
    older ones can be taken out of it.

    Each is kept before the next is touched, so it can be interrupted and run again. Returns how many are sealed with
    the newest key now, and how many could not be opened and stay as they are.
    """
    done = failed = 0
    keys = sealed_keys.current()
    sealed_columns: tuple[tuple[Any, str, Callable[[Any], str]], ...] = (
        (KeyPair.objects, "sealed_private_key", keys.reseal_private_key),
        (ClientCredentials.objects, "sealed_client_secret", keys.reseal_client_secret),
        (integration_model()._base_manager, "sealed_client_key", keys.reseal_client_key),
    )
    for rows, column, reseal in sealed_columns:
        for row in rows.exclude(**{column: ""}).iterator():
            try:
                sealed = reseal(row)
            except BitbucketServerError:
                failed += 1
                continue
            # One that was changed meanwhile is left to the next run.
            done += rows.filter(pk=row.pk, **{column: getattr(row, column)}).update(**{column: sealed})
    return done, failed


def login_link(record: AbstractIntegration) -> str:
    """Return the address where the organization's people log in."""
    return configuration.origin() + login_path(record) + (f"?key={record.login_key}" if record.login_key else "")


def login_path(record: AbstractIntegration) -> str:
    """Return the path of the login page."""
    return reverse("social_bitbucket_server:login", args=[record.slug])


def callback(record: AbstractIntegration, oauth: OAuth = OAuth.ONE) -> str:
    """Return the address that a login comes back to. With OAuth 2 it is the Redirect URL in Bitbucket."""
    return configuration.origin() + callback_path(record.pk, oauth)


def callback_path(integration_id: str, oauth: OAuth) -> str:
    """Return the path that a login comes back to."""
    name = "complete" if oauth is OAuth.ONE else "complete-oauth2"
    return reverse(f"social_bitbucket_server:{name}", args=[integration_id])


def application_url(record: AbstractIntegration, link: ApplicationLink) -> str:
    """Return the Application URL of *link*: the login page, or an address that leads there, because Bitbucket refuses
    the same one twice."""
    if link.number == 1:
        return configuration.origin() + login_path(record)
    return configuration.origin() + reverse("social_bitbucket_server:link", args=[record.slug, link.number])


def application_link_name(record: AbstractIntegration, link: ApplicationLink) -> str:
    """Return the name of *link* in Bitbucket. It tells the links of one integration apart there."""
    return link_name(configuration.application_name(), record.name, link=link.number)


def worksheet_of(record: AbstractIntegration, pair: KeyPair, shown: Dialog | None = None) -> tuple[Step, ...]:
    """Return the worksheet for the application link of *pair*: what to enter where in Bitbucket.

    *shown* is the dialog of Bitbucket; ``None`` for that of the version that the last check-up found.
    """
    return worksheet(**_link_values(record, pair), dialog=shown or dialog_of(record.server_version))


def script_of(record: AbstractIntegration, pair: KeyPair) -> str:
    """Return the script by which a Bitbucket admin makes the application link of *pair*; it holds no secret."""
    return link_script(**_link_values(record, pair))


def _link_values(record: AbstractIntegration, pair: KeyPair) -> dict[str, Any]:
    return {
        "server_url": record.server_url,
        "application_url": application_url(record, pair.link),
        "application_name": application_link_name(record, pair.link),
        "consumer_key": pair.consumer_key,
        "consumer_name": configuration.application_name(),
        "public_key": pair.public_key,
    }


def oauth2_worksheet_of(record: AbstractIntegration, shown: Dialog | None = None) -> tuple[Step, ...]:
    """Return the worksheet for the link for OAuth 2. *shown* is as in :func:`worksheet_of`; the dialog up to 7.19 has
    no OAuth 2, and the next one is shown in its place."""
    dialog = shown or dialog_of(record.server_version)
    is_upgrade = record.oauth1_ended_at is None
    return oauth2_worksheet(
        dialog=Dialog.FROM_7_20 if dialog is Dialog.UP_TO_7_19 else dialog,
        server_url=record.server_url,
        redirect_url=callback(record, OAuth.TWO),
        application_name=link_name(configuration.application_name(), record.name, is_upgrade=is_upgrade),
    )


def check_up(
    record: AbstractIntegration,
    administrator: Administrator = None,
    *,
    oauth: OAuth | None = None,
    pending: KeyPair | None = None,
) -> Iterator[Result]:
    """Yield what each stage of the check-up by *oauth* finds, or, for ``None``, by the version that is known to work.
    At the end Bitbucket's version and the outcome are kept.

    *pending*: the key pair that waits, to test OAuth 1 with it; ``None`` for the active one.
    """
    results = []
    versions = record.oauth_versions
    by = OAuth.ONE if pending is not None else oauth or versions.choose(None) or OAuth.TWO

    def tested() -> Integration | OAuth2Integration:
        if pending is not None:
            return signing_with(record, pending)
        if by is OAuth.ONE:
            return active(record)
        by_oauth2 = for_oauth2(record)
        if by_oauth2 is None:
            raise BitbucketServerError(Code.SETTING_MISSING, parameter="client_id")
        return by_oauth2

    for result in run_check_up(tested, callback(record, by), limits=configuration.limits()):
        results.append(result)
        yield result
    version = next((result.facts["version"] for result in results if "version" in result.facts), "")
    if version:
        record.server_version = version[:32]
        # A check-up takes a while: the integration may be gone by now.
        integration_model()._default_manager.filter(pk=record.pk).update(server_version=record.server_version)
    failed = first_failure(results)
    problem = failed.problem.code if failed is not None and failed.problem is not None else ""
    stage = failed.stage.value if failed is not None else ""
    what = EventCode.UPGRADE_TESTED if versions.is_tried(by) else EventCode.INTEGRATION_TESTED
    if pending is not None and problem:  # people go on logging in with the old key
        what = EventCode.KEY_REFUSED
    events.record(what, integration_id=record.pk, user=administrator, problem=problem, stage=stage)


def active(record: AbstractIntegration) -> Integration:
    """Return *record* as logins by OAuth 1 expect it, even if it is disabled. Raises what :func:`find` raises, and
    ``private_key_missing``."""
    pair = record.active_key_pair
    if pair is None:
        raise BitbucketServerError(Code.PRIVATE_KEY_MISSING, parameter="private_key")
    return signing_with(record, pair)

"""Operations on social_django's storage that a login needs besides social-core's interface.

They need no model of this package, so they also serve projects that use social_django's own views alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from social_django.storage import BaseDjangoStorage

from ..account import ID_KEY
from ..organizations import EventCode


@contextmanager
def one_transaction(*models: Any) -> Iterator[None]:
    """Commit what is written to the databases of *models*, those of the first one last, or take all of it back with an
    exception."""
    aliases = dict.fromkeys(map(router.db_for_write, models))
    with ExitStack() as transactions:
        for alias in aliases:
            transactions.enter_context(transaction.atomic(using=alias))
        yield


def all_or_nothing(storage: type[BaseDjangoStorage]) -> AbstractContextManager[None]:
    """Commit the users and identities that are written inside, or take all of them back with an exception."""
    return one_transaction(storage.user.user_model(), storage.user)


def has_similar_identity(storage: type[BaseDjangoStorage], provider: str, uid: str) -> bool:
    """Return whether the database takes another identity for this one, because it compares without case."""
    found = storage.user.objects.filter(provider=provider, uid=uid).values_list("uid", flat=True)
    return bool(found) and uid not in found


def identities_that_keep(storage: type[BaseDjangoStorage], providers: list[str], field: str, value: str) -> list[Any]:
    """Return the identities of *providers* whose extra data has exactly this *value* in *field*."""
    identities: Any = storage.user.objects
    found = identities.filter(provider__in=providers, **{f"extra_data__{field}": value})
    return [identity for identity in found if identity.extra_data.get(field) == value]


def move_identity(
    storage: type[BaseDjangoStorage], identity: Any, provider: str, uid: str, extra_data: dict[str, Any]
) -> bool:
    """Make *identity* one of *provider* with this *uid* and *extra_data*. Return false if it has changed meanwhile."""
    unchanged = storage.user.objects.filter(pk=identity.pk, provider=identity.provider, uid=identity.uid)
    values = {"provider": provider, "uid": uid, "extra_data": extra_data}
    if hasattr(identity, "id_key"):
        values["id_key"] = ID_KEY
    return bool(unchanged.update(**values))


def note_older_identity(
    _storage: type[BaseDjangoStorage], integration_id: str, user: AbstractBaseUser, *, is_carried_over: bool
) -> None:
    """Record whether the older identity of *user* was carried over, if this package's table of events is there."""
    if not apps.is_installed("social_bitbucket_server.django"):
        return
    # Not at the top: without the application in INSTALLED_APPS its models cannot be imported.
    from . import events

    what = EventCode.IDENTITY_CARRIED_OVER if is_carried_over else EventCode.IDENTITY_NOT_CARRIED_OVER
    events.record(what, integration_id=integration_id, user=user)

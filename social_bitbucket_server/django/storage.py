"""Operations on social_django's storage that a login needs besides social-core's interface.

They need no model of this package, so they also serve projects that use social_django's own views alone.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from django.db import router, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from social_django.storage import BaseDjangoStorage


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

"""The identity where it is written: by the integration that the login began with, with exactly its uid, and once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from social_core.exceptions import SocialAuthBaseException
from social_core.storage import UserMixin, UserProtocol

from ..account import is_named_by_email
from ..problems import BitbucketServerError, Code
from .choice import by_id
from .digests import configuration_of
from .social_errors import problems_at

if TYPE_CHECKING:
    from .backend import LoginBackend

_PersonT = TypeVar("_PersonT")

_DJANGO = "social_django.storage"
_FOR_DJANGO = "social_bitbucket_server.django.storage"


def write_identity(
    backend: LoginBackend[Any, Any], write: Callable[[], _PersonT], uid: str, integration_id: str, configuration: str
) -> _PersonT:
    """Return what *write* returns, which writes a user and the identity *uid*.

    The integration must have this *configuration* before and after, in the transaction of the write. Bitbucket may take
    seconds to answer, and a halted pipeline may go on days later. Meanwhile an admin may have corrected the base URL,
    and then the answers are those of the wrong server.

    Some databases compare without case. So the identity that was found must have exactly this *uid*.

    Raises the social errors of ``integration_changed``, ``integration_unknown`` and ``identity_similar``; then nothing
    is written.
    """
    refuse_changed_integration = partial(_refuse_changed_integration, backend, integration_id, configuration)
    hold_integration = getattr(backend.strategy, "hold_integration", None)
    # A strategy that holds the integration has a transaction around all of this.
    all_or_nothing = of_the_storage(backend, "all_or_nothing") if hold_integration is None else None
    try:
        with (all_or_nothing or nullcontext)():
            refuse_changed_integration()
            if all_or_nothing is None and hold_integration is None:  # what the pipeline writes is not taken back
                known = backend.strategy.storage.user.get_social_auth(backend.name, uid)
                _refuse_similar_identity(backend, known, uid)
            person = write()
            _refuse_similar_identity(backend, getattr(person, "social_user", None), uid)
            if hold_integration is not None:
                hold_integration(integration_id)
            refuse_changed_integration()
    except Exception as error:
        if all_or_nothing is not None and _is_about_similar_identity(backend, error, uid):
            problem = BitbucketServerError(Code.IDENTITY_SIMILAR, parameter="namespace")
            raise problem.as_social_error(backend, "pipeline") from error
        raise
    return person


def find_person(
    backend: LoginBackend[Any, Any], authenticate: Callable[[], _PersonT], uid: str, user: UserProtocol | None
) -> _PersonT:
    """Return the person that *authenticate*, which runs core's pipeline, makes or finds for the identity *uid*. *user*
    connects it, or is ``None``.

    Two first logins of one person may run at once. Then one makes the account, and the other one finds it the second
    time.
    """
    try:
        return authenticate()
    except SocialAuthBaseException as error:
        if user is not None or not has_lost_race(backend, error, uid):
            raise
    return authenticate()


def has_lost_race(backend: LoginBackend[Any, Any], error: SocialAuthBaseException, uid: str) -> bool:
    """Return whether the database refused what another login had just written: this identity, or the user name."""
    cause = error.__cause__ or error.__context__
    if cause is None or not backend.strategy.storage.is_integrity_error(cause):
        return False
    users = backend.strategy.storage.user
    is_about_the_name = error.code == "username_in_use" and not is_named_by_email(users)
    return is_about_the_name or users.get_social_auth(backend.name, uid) is not None


def _refuse_changed_integration(backend: LoginBackend[Any, Any], integration_id: str, configuration: str) -> None:
    read_anew = getattr(backend.strategy.storage, "read_anew", None)
    if read_anew is not None:
        read_anew()
    with problems_at("pipeline", backend):
        integration = by_id(backend, integration_id)
        admission = backend.get_admission(integration)
        known = backend.may_have_begun_with(integration)
        if configuration not in (configuration_of(known_as, admission) for known_as in known):
            raise BitbucketServerError(Code.INTEGRATION_CHANGED)


def _refuse_similar_identity(backend: LoginBackend[Any, Any], identity: UserMixin | None, uid: str) -> None:
    if identity is not None and identity.provider == backend.name and str(identity.uid) != uid:
        raise BitbucketServerError(Code.IDENTITY_SIMILAR, parameter="namespace").as_social_error(backend, "pipeline")


def _is_about_similar_identity(backend: LoginBackend[Any, Any], error: Exception, uid: str) -> bool:
    has_similar_identity = of_the_storage(backend, "has_similar_identity")
    is_refused_by_the_database = backend.strategy.storage.is_integrity_error(error)
    return is_refused_by_the_database and has_similar_identity is not None and has_similar_identity(backend.name, uid)


def of_the_storage(backend: LoginBackend[Any, Any], name: str) -> Callable[..., Any] | None:
    """Return what the storage does besides social-core's interface: by itself, or for social_django's by
    :mod:`~social_bitbucket_server.django.storage`, which is imported then: Django is optional."""
    storage = backend.strategy.storage
    own = getattr(storage, name, None)
    if own is not None or not any(base.__module__ == _DJANGO for base in getattr(storage, "__mro__", ())):
        return cast("Callable[..., Any] | None", own)
    of_django = getattr(import_module(_FOR_DJANGO), name, None)
    return None if of_django is None else partial(of_django, storage)

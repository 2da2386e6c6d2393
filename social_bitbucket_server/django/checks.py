"""System checks: Django does not start with settings that would take a protection away, or that cannot work.

Each is one sentence that says what to do instead; docs/django.md lists them by their ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  # Django's names
from django.core.signals import setting_changed
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils.module_loading import import_string
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_core.utils import setting_name
from social_django import urls, views
from social_django.models import UserSocialAuth

from ..integration import (
    BACKENDS,
    OAUTH1,
    OAUTH2,
    pipelines_without_names,
    unread_settings,
    unsafe_settings,
    unusable_settings,
)
from ..login import lost_sessions
from ..problems import BitbucketServerError, Code
from . import configuration

_LOG = logging.getLogger(__name__)
_LABEL = "social_bitbucket_server"
_OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
_SESSION_MIDDLEWARE = "social_bitbucket_server.django.middleware.IntegrationSessionMiddleware"
_ERROR_MIDDLEWARE = (
    "social_bitbucket_server.django.middleware.LoginErrorMiddleware",
    "social_django.middleware.SocialAuthExceptionMiddleware",
)
_ALIKE = (
    "ALLOW_GROUPS",
    "ALLOW_PROJECTS",
    "ALLOW_REPOSITORIES",
    "CALLBACK_ORIGIN",
    "DISCONNECT_PIPELINE",
    "GROUPS_MAP",
    "LOGIN_SECONDS",
    "PATIENCE",
    "PIPELINE",
    "REVOKE_AT_LOGOUT",
    "SLOW_STEPS",
    "STORE_ACCESS_TOKEN",
)
_NEEDED_STEPS = ("social_details", "social_uid", "social_user")
_IDS = {
    "association_by_email": "E001",
    "certificates_unchecked": "E002",
    "redirects_anywhere": "E003",
    "callback_by_host_header": "E004",
    "https_contradicted": "E005",
    "tokens_in_the_clear": "E006",
    "namespace_of_several_servers": "E015",
    "names_that_differ_in_case_alone": "E019",
    "limits_unusable": "E022",
    "signatures_forbidden": "E023",
    "name_misspelt": "E030",
    Code.SETTING_MISSING: "E031",
    Code.SETTING_INVALID: "E032",
    Code.BACKEND_MISSING: "E033",
    "backend_broken": "E034",
}
_SAID_BY_LOGINS = f"{_LABEL}.{_IDS['signatures_forbidden']}"


def check_settings(**_arguments: Any) -> list[CheckMessage]:
    """Return the messages of the checks that run everywhere, not only with ``--deploy``."""
    unusable = list(unusable_settings(configuration.Settings(), settings.AUTHENTICATION_BACKENDS))
    wrong = (*unsafe_settings(configuration.Settings()), *unusable)
    found: list[CheckMessage] = [_error(_IDS.get(name, "E099"), sentence) for name, sentence in wrong]
    found += [_warning("W010", sentence) for sentence in unread_settings(configuration.Settings())]
    if any(name == "backend_broken" for name, _ in unusable):
        return found  # Django cannot import its backends, nor can the checks below
    for check in _CHECKS:
        found += check()
    return found


def refuse_unsafe_logins() -> None:
    """Refuse logins if :func:`check_settings` finds an error, in case no command ran the checks before the start.

    Settings without an error are not checked again. The sentences go to the log. Raises ``setting_invalid`` as core's
    error.
    """
    if _passed:
        return
    found_errors = [found for found in check_settings() if found.is_serious() and not found.is_silenced()]
    errors = [str(found.msg) for found in found_errors if found.id != _SAID_BY_LOGINS]
    for sentence in errors:
        _LOG.error("%s", sentence)
    if errors:
        raise BitbucketServerError(Code.SETTING_INVALID, errors[0]).as_social_error(None, "begin")
    _passed.append(True)


_passed: list[bool] = []


def _forget(**_change: Any) -> None:
    _passed.clear()


setting_changed.connect(_forget)  # tests change settings


def check_deployment(**_arguments: Any) -> list[CheckMessage]:
    """Return the additional messages of ``check --deploy``."""
    return list(_deployment())


def _deployment() -> Iterator[CheckMessage]:
    if not settings.SESSION_COOKIE_SECURE and not configuration.is_local():
        yield _error("E020", "Set SESSION_COOKIE_SECURE to True, so that sessions are never sent without TLS.")
    has_origin = configuration.setting("INTEGRATIONS") or configuration.setting("CALLBACK_ORIGIN")
    if "*" in settings.ALLOWED_HOSTS and not has_origin:
        yield _error(
            "E021",
            f"Set {_OWN}CALLBACK_ORIGIN, or name your hosts in ALLOWED_HOSTS, because the callback's address must not "
            "come from whatever Host header a request has.",
        )
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.signed_cookies":
        yield _warning(
            "W004",
            "Keep sessions on the server, by another SESSION_ENGINE, because a signed cookie that somebody copied "
            "stays logged in after the logout.",
        )


def check_columns(databases: Iterable[str] | None = None, **_arguments: Any) -> list[CheckMessage]:
    """Return what commands say that look at the database, such as ``migrate`` and ``check --database default``."""
    alias = router.db_for_read(UserSocialAuth)
    if alias not in (databases or ()) or _compares_exactly(connections[alias]):
        return []
    table = UserSocialAuth._meta.db_table
    return [
        _warning(
            "W005",
            f"Let the column uid of {table} compare exactly, such as with the collation utf8mb4_bin, because "
            "namespaces that differ in case alone belong to different servers.",
        )
    ]


def _compares_exactly(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the identities' column tells capital letters from small ones; true before it is there."""
    table = UserSocialAuth._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return True
        columns = connection.introspection.get_table_description(cursor, table)
        collation = next(column.collation for column in columns if column.name == "uid")
        if collation is None and connection.vendor == "mysql":
            cursor.execute("SELECT @@collation_database")
            (collation,) = cursor.fetchone()
    return not (collation or "").lower().endswith(("_ci", "nocase"))


def _key_ring() -> Iterator[CheckMessage]:
    if not configuration.setting("KEY_RING"):
        if configuration.has_integrations_in_database():
            yield _error(
                "E007",
                f"Set {_OWN}KEY_RING to the output of 'python manage.py bitbucket_server key-ring', and keep it apart "
                "from the database, because private keys are kept sealed.",
            )
        return
    try:
        configuration.key_ring()
    except BitbucketServerError as error:
        yield _error("E008", f"Mend {_OWN}KEY_RING, which is no key ring: {error.reason}")


def _outbound_and_limit() -> Iterator[CheckMessage]:
    try:
        configuration.outbound(None)
    except BitbucketServerError as error:
        yield _error("E009", f"Mend {error.setting}: {error.reason}")
    try:
        is_usable = configuration.limit() is None or callable(configuration.limit())
    except ImportError:
        is_usable = False
    if not is_usable:
        yield _error(
            "E039",
            f"Let {_OWN}LIMIT be the dotted path of a function that takes a request, what it is about to do, and a "
            f"key. There is no function at {configuration.setting('LIMIT')!r}.",
        )
    if configuration.setting("TEST_ADDRESSES") and not configuration.is_local():
        yield _error(
            "E010",
            f"Remove {_OWN}TEST_ADDRESSES, because only an application on this machine alone may let organizations "
            "reach them.",
        )


def _cookies() -> Iterator[CheckMessage]:
    if not settings.SESSION_COOKIE_HTTPONLY:
        yield _error("E011", "Set SESSION_COOKIE_HTTPONLY to True, so that no script reads a session.")
    for sentence in lost_sessions({"SESSION_COOKIE_SAMESITE": settings.SESSION_COOKIE_SAMESITE}, ""):
        yield _error("E012", sentence)
    if settings.SESSION_COOKIE_SAMESITE not in {"Lax", "Strict"}:
        yield _error("E013", 'Set SESSION_COOKIE_SAMESITE to "Lax", so that other sites do not act within a session.')
    cookie = {name: getattr(settings, name) for name in ("SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_SECURE")}
    origins = {str(configuration.setting("CALLBACK_ORIGIN", "", backend) or "") for backend in _checked_backends()}
    for origin in sorted(origins):
        for sentence in lost_sessions(cookie, origin):
            yield _error("E035", sentence)


def _cached_sessions() -> Iterator[CheckMessage]:
    if settings.SESSION_ENGINE != "django.contrib.sessions.backends.cache":
        return
    cache = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("BACKEND", "")
    if cache.endswith(".DummyCache"):
        yield _error("E036", "Keep sessions elsewhere than in DummyCache, which forgets a login before it returns.")
    if cache.endswith(".LocMemCache"):
        yield _warning(
            "W011",
            "Keep sessions elsewhere than in LocMemCache, because each process has its own, and a login may come back "
            "to another one.",
        )


def _pipeline() -> Iterator[CheckMessage]:
    own = [setting_name(backend, "PIPELINE") for backend in _checked_backends()]
    for name in dict.fromkeys(name if hasattr(settings, name) else setting_name("PIPELINE") for name in own):
        present = {step.rpartition(".")[2] for step in getattr(settings, name, DEFAULT_AUTH_PIPELINE) or ()}
        missing = [step for step in _NEEDED_STEPS if step not in present]
        if missing:
            places = [step for step in DEFAULT_AUTH_PIPELINE if step.rpartition(".")[2] in missing]
            yield _error("E014", f"Add to {name}, in the order of social-core's own pipeline: {', '.join(places)}.")
    for sentence in pipelines_without_names(configuration.Settings(), get_user_model()):
        yield _warning("W006", sentence)


def _transactions() -> Iterator[CheckMessage]:
    """Yield an error if social_django's callback could be used again after a failure. Our own view prevents that."""
    atomic = {alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]}
    if not atomic or configuration.has_integrations_in_database() or _has_middleware(_ERROR_MIDDLEWARE[0]):
        return
    _ = get_resolver().url_patterns  # urls.py is where the view is told
    if not atomic <= getattr(views.complete, "_non_atomic_requests", set()):
        yield _error(
            "E016",
            f"Add {_ERROR_MIDDLEWARE[0]} to MIDDLEWARE. It finishes our logins outside of the transaction of "
            "ATOMIC_REQUESTS, because that would let a callback that failed be used again.",
        )


def _middleware() -> Iterator[CheckMessage]:
    if configuration.has_integrations_in_database() and not _has_middleware(_SESSION_MIDDLEWARE):
        yield _error(
            "E017",
            f"Add {_SESSION_MIDDLEWARE} to MIDDLEWARE after AuthenticationMiddleware, because without it disabling an "
            "integration logs nobody out, and social_django's addresses begin logins that it does not end.",
        )
    at_stock_addresses = configuration.installed_backends() - configuration.backends_in_database()
    is_in_use = at_stock_addresses and _is_there(f"{urls.app_name}:begin", "x")
    if is_in_use and not any(map(_has_middleware, _ERROR_MIDDLEWARE)):
        yield _warning(
            "W002",
            f"Add {_ERROR_MIDDLEWARE[0]} to MIDDLEWARE, because without it every login that fails in social_django's "
            "views is a server error.",
        )


def _checked_backends() -> list[str]:
    """Return the backends whose settings are checked: those in use, or OAuth 1 if there is none yet."""
    return sorted(configuration.installed_backends() or {OAUTH1})


def _oauth2_like_oauth1() -> Iterator[CheckMessage]:
    """Yield an error for each setting that would change if an integration is upgraded to OAuth 2."""
    if not configuration.has_oauth2_in_database():
        return
    if OAUTH1 not in configuration.backends_in_database():
        yield _error(
            "E037",
            f"Set {_OWN}INTEGRATIONS to {configuration.FIND}, too, and add {BACKENDS[OAUTH1]} to "
            "AUTHENTICATION_BACKENDS, because integrations in the database may be for either OAuth.",
        )
    for name in _ALIKE:
        if configuration.setting(name) != configuration.setting(name, backend=OAUTH2):
            yield _error(
                "E038",
                f"Set {setting_name(OAUTH2, name)} to the value of {setting_name(OAUTH1, name)}, because both concern "
                "the same integrations, and nobody expects that an upgrade to OAuth 2 changes it.",
            )


def _wrapped_find() -> Iterator[CheckMessage]:
    many = configuration.setting("INTEGRATIONS")
    is_known = not many or isinstance(many, Mapping) or configuration.has_integrations_in_database()
    if not is_known and _is_there(f"{_LABEL}:login", "x"):
        yield _warning(
            "W003",
            f"Set {_OWN}INTEGRATIONS to {configuration.FIND} itself, or leave {_LABEL}.django.urls out, because its "
            "addresses look integrations up in the database, and around another function much that protects those is "
            "not in force.",
        )


def _is_there(name: str, argument: str) -> bool:
    """Return whether the application has an address of this name."""
    try:
        reverse(name, args=[argument])
    except NoReverseMatch:
        return False
    return True


def _has_middleware(name: str) -> bool:
    """Return whether ``MIDDLEWARE`` has the one called *name*, or one that derives from it."""
    wanted = import_string(name)
    present = (import_string(entry) for entry in settings.MIDDLEWARE)
    return any(isinstance(one, type) and issubclass(one, wanted) for one in present)


def _warning(number: str, sentence: str) -> Warning:
    return Warning(sentence, id=f"{_LABEL}.{number}")


def _error(number: str, sentence: str) -> Error:
    return Error(sentence, id=f"{_LABEL}.{number}")


_CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    _key_ring,
    _outbound_and_limit,
    _cookies,
    _cached_sessions,
    _pipeline,
    _transactions,
    _middleware,
    _wrapped_find,
    _oauth2_like_oauth1,
)

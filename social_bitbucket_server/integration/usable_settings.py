"""Settings with which no login could work: an application refuses to start with them, and says which they are.

What :mod:`.unsafe` refuses works, but is unsafe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any

from social_core.utils import module_member, setting_name

from ..crypto import KeyRing
from ..problems import BitbucketServerError, Code
from ..transport import refuse_unusable_proxy, ssl_context
from .admission import Admission
from .carry_over import read_carry_over
from .from_settings import (
    find_integration,
    find_oauth2_integration,
    listener_of,
    look_up_of,
    name_in_mapping,
    naming,
    setting_of_field,
    single_integration,
    single_oauth2_integration,
)
from .integration import AnyIntegration
from .roles import Roles, read_role_names, refuse_too_many, roles_for_several_servers
from .server import Server
from .setting_names import BACKENDS, OAUTH1, SettingsOf, similar_name, unknown_names
from .unsafe import UnsafeConfigurationError

_LOG = logging.getLogger(__name__)
_CARRY_OVER_STEP = "social_bitbucket_server.pipeline.carry_over_identity"


class Depth(IntEnum):
    """The depth of a check of settings. Each depth includes those before it."""

    NAMES = 1
    """The settings are there."""
    VALUES = 2
    """Their values can be used: keys, certificates and files are read."""
    PATHS = 3
    """There is something at dotted paths. An application's own modules must be loaded by then."""


def refuse_unusable_settings(settings: Mapping[str, Any], backends: Iterable[str], depth: Depth = Depth.PATHS) -> None:
    """Check an application's *settings*, by their full names, for *backends*, the dotted paths of those that it uses.
    *depth* says what is checked: a configuration file that is read before Django is set up can only use
    :attr:`Depth.VALUES`.

    Raises :class:`.UnsafeConfigurationError` that lists everything.
    """
    sentences = [sentence for _, sentence in unusable_settings(settings, backends, depth)]
    if sentences:
        raise UnsafeConfigurationError("\n".join(sentences))


def refuse_missing_settings(settings: Mapping[str, Any], backends: Iterable[str]) -> None:
    """Check *settings* while an application is made. It may still change values, as tests do, so those that cannot be
    used go to the log; so do names that nothing reads.

    Raises :class:`.UnsafeConfigurationError` for names that are missing or misspelt.
    """
    paths = list(backends)
    refuse_unusable_settings(settings, paths, Depth.NAMES)
    for sentence in unread_settings(settings):
        _LOG.warning("%s", sentence)
    for _, sentence in unusable_settings(settings, paths, Depth.VALUES):
        _LOG.error("%s", sentence)


def unusable_settings(
    settings: Mapping[str, Any], backends: Iterable[str], depth: Depth = Depth.PATHS
) -> Iterator[tuple[str, str]]:
    """Yield what :func:`refuse_unusable_settings` refuses: the kind of each fault, and a sentence about it."""
    installed = _Installed(backends, depth)
    for name, meant in unknown_names(settings):
        if meant:
            yield "name_misspelt", f"Rename {name} to {meant}, because nothing reads the first name."
    configured = [SettingsOf(backend, settings) for backend in BACKENDS]
    with_server = [found for found in configured if _has_server(found)]
    for path in installed.broken:
        yield "backend_broken", f"Correct {_list_of_backends(settings)}: There is nothing at {path}."
    for found in with_server:
        if installed.lacks(found.backend):
            why = f"because without it the settings that begin with {found.prefix}_ have no effect"
            yield Code.BACKEND_MISSING, f"Add {BACKENDS[found.backend]} to {_list_of_backends(settings)}, {why}."
        yield from _of_backend(found, settings, depth)
    if not with_server and installed.needs_a_server:
        url, integrations = (setting_name(min(installed.names), name) for name in ("URL", "INTEGRATIONS"))
        hint = _hint(url, settings)
        yield Code.SETTING_MISSING, f"Set {url}, or {integrations}, because logins need a Bitbucket Server.{hint}"


def unread_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence about each name that nothing reads and that looks like no other one, and about each role in a
    mapping of groups that is not configured."""
    for name, meant in unknown_names(settings):
        if not meant:
            yield f"Nothing reads {name}; docs/settings.md lists the settings that there are."
    for backend in BACKENDS:
        yield from _unknown_roles(SettingsOf(backend, settings))


class _Installed:
    """Those of our backends that are in an application's list, as far as that can be known.

    *broken* are the paths where nothing is. Before :attr:`Depth.PATHS` only our own paths are known.
    """

    def __init__(self, paths: Iterable[str], depth: Depth) -> None:
        self.names: set[str] = set()
        self.broken: list[str] = []
        self._has_own_look_up = False
        self._is_known = True
        for path in paths:
            if path in BACKENDS.values():
                self.names.add(next(name for name, own in BACKENDS.items() if own == path))
                continue
            if depth < Depth.PATHS:
                self._is_known = False
                continue
            try:
                found = module_member(path)
            except (ImportError, AttributeError, ValueError, BitbucketServerError):
                self.broken.append(path)
                continue
            if getattr(found, "name", None) in BACKENDS:
                self.names.add(found.name)
                ours = "social_bitbucket_server."
                others = (kind for kind in found.__mro__ if not kind.__module__.startswith(ours))
                self._has_own_look_up |= any("get_integration" in vars(kind) for kind in others)

    def lacks(self, backend: str) -> bool:
        """Return whether the backend of this name is certainly missing."""
        return self._is_known and backend not in self.names

    @property
    def needs_a_server(self) -> bool:
        """Whether a backend can only find its server by settings."""
        return self._is_known and bool(self.names) and not self._has_own_look_up


def _list_of_backends(settings: Mapping[str, Any]) -> str:
    full_name = setting_name("AUTHENTICATION_BACKENDS")
    return full_name if full_name in settings else "AUTHENTICATION_BACKENDS"


def _has_server(settings: SettingsOf) -> bool:
    """Return whether anything was set for a backend to reach a server by. OAuth 1's values may come from shared
    settings, which say nothing about OAuth 2."""
    names = ("URL", "INTEGRATIONS", "KEY", "SECRET", "PRIVATE_KEY", "PRIVATE_KEY_FILE")
    return settings.has_own(*names) or (settings.backend == OAUTH1 and bool(settings.get("URL")))


def _hint(wanted: str, settings: Mapping[str, Any]) -> str:
    similar = similar_name(wanted, settings)
    return f" There is {similar}: did you mean {wanted}?" if similar and settings[similar] else ""


def _of_backend(settings: SettingsOf, everything: Mapping[str, Any], depth: Depth) -> Iterator[tuple[str, str]]:
    def check(name: str, read: Callable[[], object]) -> Iterator[tuple[str, str]]:
        return _problems(read, lambda _: settings.name(name))

    for name in ("CONNECT_LOGGED_IN", "REVOKE_AT_LOGOUT", "STORE_ACCESS_TOKEN"):
        if isinstance(settings.get(name), str):
            full_name = settings.name(name)
            yield Code.SETTING_INVALID, f"Correct {full_name}: It is a text; write True or False, without quotes."
    listener = settings.get("ON_EVENT")
    if listener and (depth >= Depth.PATHS or not isinstance(listener, str)):
        yield from check("ON_EVENT", lambda: listener_of(listener))
    if settings.get("STORE_ACCESS_TOKEN") and settings.get("KEY_RING") and depth >= Depth.VALUES:
        yield from check("KEY_RING", lambda: KeyRing.parse(settings.get("KEY_RING")))
    if settings.get("INTEGRATIONS"):
        yield from _of_many(settings, depth)
    else:
        yield from _of_one(settings, everything, depth)
    rules, is_single = settings.get("CARRY_OVER"), not settings.get("INTEGRATIONS")
    yield from check("CARRY_OVER", lambda: read_carry_over(rules, has_single_server=is_single))
    if rules and _CARRY_OVER_STEP not in (settings.get("PIPELINE") or ()):
        pipeline, setting = settings.own_name("PIPELINE"), settings.name("CARRY_OVER")
        why = f"because without it {setting} has no effect"
        yield Code.SETTING_INVALID, f"Add {_CARRY_OVER_STEP} to {pipeline}, after social_user, {why}."
    conditions = ("ALLOW_GROUPS", "ALLOW_PROJECTS", "ALLOW_REPOSITORIES")
    yield from _problems(
        lambda: Admission.read(*map(settings.get, conditions)), lambda field: settings.name(field.upper())
    )
    yield from check("ROLES", lambda: _check_roles(settings, conditions))
    yield from check("ORGANIZATION_ROLES", lambda: read_role_names(settings.get("ORGANIZATION_ROLES")))


def _check_roles(settings: SettingsOf, conditions: tuple[str, ...]) -> None:
    if settings.get("ROLES") and settings.get("INTEGRATIONS"):
        raise roles_for_several_servers()
    try:
        roles, admission = Roles.read(settings.get("ROLES")), Admission.read(*map(settings.get, conditions))
    except BitbucketServerError:
        return  # the checks of each by itself say what is wrong
    refuse_too_many(roles, admission)


def _unknown_roles(settings: SettingsOf) -> Iterator[str]:
    """Yield a sentence for each role in core's mapping of groups, set for this backend alone, that nobody can have. If
    code looks integrations up, their roles are not known."""
    mapping = settings.get("GROUPS_MAP") if settings.has_own("GROUPS_MAP") else None
    integrations = settings.get("INTEGRATIONS")
    try:
        if not integrations:
            known = list(Roles.read(settings.get("ROLES")).names)
        elif isinstance(integrations, Mapping):
            roles = {key: Roles.read(_roles_in(found)) for key, found in integrations.items()}
            known = [f"{key}:{name}" for key, given in roles.items() for name in given.names]
        else:
            return
    except BitbucketServerError:
        return  # the check of roles says what is wrong
    unknown = [role for role in mapping if role not in known] if isinstance(mapping, Mapping) and known else []
    for role in unknown:
        yield (
            f"No role is called {role}, so {settings.name('GROUPS_MAP')} takes its groups from everybody who logs in. "
            f"The roles are {', '.join(known)}."
        )


def _roles_in(found: Any) -> Any:
    """Return the roles of an integration or its fields; another value is refused by its own check."""
    return found.get("roles") if isinstance(found, Mapping) else getattr(found, "roles", None)


def _of_one(settings: SettingsOf, everything: Mapping[str, Any], depth: Depth) -> Iterator[tuple[str, str]]:
    is_oauth1 = settings.backend == OAUTH1
    missing = [
        name for name in ("URL", "KEY", *(() if is_oauth1 else ("SECRET",))) if not _is_given(settings.get(name))
    ]
    for name in missing:
        full_name = settings.name(name)
        yield Code.SETTING_MISSING, f"Set {full_name}, because a login needs it.{_hint(full_name, everything)}"
    if is_oauth1 and not any(_is_given(settings.get(name)) for name in ("PRIVATE_KEY", "PRIVATE_KEY_FILE")):
        full_name = settings.name("PRIVATE_KEY")
        missing.append("PRIVATE_KEY")
        hint = _hint(full_name, everything)
        yield Code.SETTING_MISSING, f"Set {full_name}, or {full_name}_FILE, because requests are signed with it.{hint}"
    if missing or depth < Depth.VALUES:
        return
    read = single_integration if is_oauth1 else single_oauth2_integration
    yield from _problems(
        lambda: _reach(read(settings.get, settings.name)), lambda field: settings.name(setting_of_field(field))
    )


def _is_given(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _of_many(settings: SettingsOf, depth: Depth) -> Iterator[tuple[str, str]]:
    setting, integrations = settings.name("INTEGRATIONS"), settings.get("INTEGRATIONS")
    if not isinstance(integrations, Mapping):
        if depth >= Depth.PATHS or not isinstance(integrations, str):
            yield from _problems(lambda: look_up_of(integrations, setting), lambda _: setting)
        return
    if depth < Depth.VALUES:
        return
    find: Callable[..., Any] = find_integration if settings.backend == OAUTH1 else find_oauth2_integration
    for integration_id, fields in integrations.items():
        if fields is None:
            yield Code.SETTING_INVALID, f"Correct {setting}: {integration_id} has no fields."
        yield from _problems(
            lambda key=integration_id: _reach(find(integrations, key, setting)),  # type: ignore[misc]  # its default
            lambda field, key=integration_id: name_in_mapping(setting, key, field),  # type: ignore[misc]  # as above
        )


def _reach(integration: AnyIntegration | None) -> None:
    if integration is not None:
        refuse_unusable_way_to(integration.server)


def refuse_unusable_way_to(server: Server) -> None:
    """Read the CA certificates and proxies of *server*. Raises ``setting_invalid`` and ``ca_certificate_invalid``."""
    ssl_context(server.verify, server.ca_certificates)
    for proxy in filter(None, server.proxies.values()):
        refuse_unusable_proxy(proxy)


def _problems(read: Callable[[], object], full_name: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    try:
        with naming(full_name):
            read()
    except BitbucketServerError as error:
        what = error.reason or error.problem.title
        if error.code == Code.SETTING_MISSING:
            yield Code.SETTING_MISSING, f"Set {error.setting}, because a login needs it."
        else:
            yield Code.SETTING_INVALID, f"Correct {error.setting}: {what}"

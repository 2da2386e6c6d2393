"""Integrations from an application's settings: one server, or many by mapping or callable."""

from __future__ import annotations

import errno
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from social_core.backends.base import BaseAuth
from social_core.exceptions import AuthConfigurationError
from social_core.utils import module_member

from .admission import Admission
from .integration import Integration, OAuth2Integration
from .problems import BitbucketServerError
from .secret import Secret, opaque
from .server_url import BaseURLRules, ServerURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from .keys import PrivateKey

SINGLE_INTEGRATION_ID = "default"
"""The id of the integration where there is one server, by plain settings."""

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SHARED_FIELDS = frozenset(
    {
        "allow_groups",
        "allow_http",
        "allow_projects",
        "allow_repositories",
        "ca_certificates",
        "name",
        "namespace",
        "organization",
        "proxies",
        "timeout",
        "url",
        "verify",
    }
)
_FIELDS = _SHARED_FIELDS | {"consumer_key", "private_key", "private_key_file"}
_OAUTH2_FIELDS = _SHARED_FIELDS | {"client_id", "client_secret"}


def callback_origin(text: str) -> str:
    """Scheme and host of the callback, as they are configured. Raises ``setting_invalid``."""
    origin = text.rstrip("/") if isinstance(text, str) else ""
    if not _ORIGIN.fullmatch(origin) or not _is_address(origin):
        raise BitbucketServerError(
            "setting_invalid",
            "The callback's origin is scheme and host alone, such as https://app.example.com.",
            parameter="CALLBACK_ORIGIN",
        )
    return origin


def _is_address(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:  # a port that is too large, or brackets around something else than an IPv6 address
        return False


def configured_backend(paths: Iterable[str], name: str) -> type[BaseAuth[Any]]:
    """The backend called *name* among those at *paths*, the setting ``AUTHENTICATION_BACKENDS``.

    Core's own look-up empties and fills one mapping that all threads share: of the first logins of a process, one may
    find it empty. Raises core's error ``backend_missing``.
    """
    for path in paths:
        found: type[Any] = module_member(path)
        if issubclass(found, BaseAuth) and found.name == name:
            return found
    raise AuthConfigurationError(None, name, code="backend_missing", parameter="backend")


@opaque
def single_integration(setting: Callable[..., Any]) -> Integration:
    """The one server of plain settings; *setting* looks one up by its name without prefix.

    Raises ``setting_missing``, ``setting_invalid`` and the problems of base URLs and private keys.
    """
    fields = {
        **_single_server(setting),
        "consumer_key": setting("KEY"),
        "private_key": setting("PRIVATE_KEY"),
        "private_key_file": setting("PRIVATE_KEY_FILE"),
    }
    return integration_from_fields(SINGLE_INTEGRATION_ID, fields)


@opaque
def single_oauth2_integration(setting: Callable[..., Any]) -> OAuth2Integration:
    """The one server of plain settings for OAuth 2; *setting* looks one up by its name without prefix.

    Raises ``setting_missing``, ``setting_invalid`` and the problems of base URLs.
    """
    fields = {**_single_server(setting), "client_id": setting("KEY"), "client_secret": setting("SECRET")}
    return oauth2_integration_from_fields(SINGLE_INTEGRATION_ID, fields)


def _single_server(setting: Callable[..., Any]) -> dict[str, Any]:
    return {
        "url": setting("URL"),
        "verify": setting("VERIFY_SSL", True),
        "proxies": setting("PROXIES"),
        "timeout": setting("REQUESTS_TIMEOUT"),
        "allow_http": setting("ALLOW_HTTP", False),
        "namespace": "",
    }


@opaque
def find_integration(configured: Any, integration_id: str) -> Integration | None:
    """The integration *integration_id* among those *configured*: a mapping of id to :class:`Integration` or to its
    fields, or a callable that returns one, or the dotted path of such a callable."""
    found = _find(configured, integration_id)
    if found is None or isinstance(found, Integration):
        return found
    return integration_from_fields(integration_id, found)


@opaque
def find_oauth2_integration(configured: Any, integration_id: str) -> OAuth2Integration | None:
    """The same as :func:`find_integration` for OAuth 2."""
    found = _find(configured, integration_id)
    if found is None or isinstance(found, OAuth2Integration):
        return found
    return oauth2_integration_from_fields(integration_id, found)


def _find(configured: Any, integration_id: str) -> Any:
    if isinstance(configured, str):
        configured = module_member(configured)
    return configured(integration_id) if callable(configured) else configured.get(integration_id)


@opaque
def integration_from_fields(integration_id: str, fields: Mapping[str, Any]) -> Integration:
    """An integration from plain values.

    ``url`` and ``consumer_key`` are required, and ``private_key`` (text) or ``private_key_file`` (path). Optional:
    ``namespace`` (the id by default), ``name``, ``organization``, ``verify`` (``True`` or the path of a CA bundle),
    ``ca_certificates`` (PEM text), ``proxies``, ``timeout`` (seconds), ``allow_http``, and who may log in:
    ``allow_groups``, ``allow_projects``, ``allow_repositories`` (lists of names).
    """
    _check_fields(fields, _FIELDS, ("url", "consumer_key"))
    return Integration(
        consumer_key=fields["consumer_key"],
        private_key=_private_key(fields.get("private_key"), fields.get("private_key_file")),
        **_shared_values(integration_id, fields),
    )


@opaque
def oauth2_integration_from_fields(integration_id: str, fields: Mapping[str, Any]) -> OAuth2Integration:
    """An integration for OAuth 2 from plain values.

    ``url``, ``client_id`` and ``client_secret`` are required; optional is what is so for
    :func:`integration_from_fields`.
    """
    _check_fields(fields, _OAUTH2_FIELDS, ("url", "client_id", "client_secret"))
    return OAuth2Integration(
        client_id=fields["client_id"],
        client_secret=Secret(fields["client_secret"]),
        **_shared_values(integration_id, fields),
    )


def _check_fields(fields: Mapping[str, Any], known: AbstractSet[str], required: tuple[str, ...]) -> None:
    unknown = fields.keys() - known
    if unknown:
        raise BitbucketServerError(
            "setting_invalid", f"An integration has no {min(unknown)}.", parameter=str(min(unknown))
        )
    for name in required:
        if not fields.get(name):
            raise BitbucketServerError("setting_missing", f"It is the integration's {name}.", parameter=name)
        if not isinstance(fields[name], str):
            raise BitbucketServerError("setting_invalid", f"The integration's {name} is not a text.", parameter=name)


def base_url(fields: Mapping[str, Any]) -> ServerURL:
    """The base URL among an integration's plain values. Raises ``invalid_base_url``."""
    rules = BaseURLRules(plain_http_hosts=None if fields.get("allow_http") is True else frozenset())
    return ServerURL.parse(fields["url"], rules)


def _shared_values(integration_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": integration_id,
        "server_url": base_url(fields),
        "namespace": fields.get("namespace", integration_id),
        "name": fields.get("name", ""),
        "organization": fields.get("organization", ""),
        "verify": fields.get("verify", True),
        "ca_certificates": _ca_certificates(fields.get("ca_certificates")),
        "proxies": fields.get("proxies") or {},
        "timeout": fields.get("timeout") or 10.0,
        "admission": Admission.read(
            fields.get("allow_groups"), fields.get("allow_projects"), fields.get("allow_repositories")
        ),
    }


def _ca_certificates(text: str | None) -> str:
    if not text:
        return ""
    from .ca_certificates import read_ca_certificates  # what reads X.509 is large, and few integrations need it

    return read_ca_certificates(text)


def _private_key(text: str | None, path: str | os.PathLike[str] | None) -> PrivateKey:
    if text:
        return _read_key(text)
    if not path:
        raise BitbucketServerError("private_key_missing", parameter="private_key")
    try:
        return _read_key_file(os.fspath(path), _changed_at(path))
    except OSError as error:
        raise BitbucketServerError(
            "setting_invalid", f"The private key's file: {error.strerror}.", parameter="private_key_file"
        ) from error


def _changed_at(path: str | os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except ValueError as error:
        raise OSError(errno.EINVAL, "No file can have such a name") from error


@lru_cache(maxsize=256)
def _read_key(text: str) -> PrivateKey:
    return _parsed_key(text)


@lru_cache(maxsize=256)
def _read_key_file(path: str, changed: int) -> PrivateKey:  # noqa: ARG001  # a changed file is read again
    with open(path, "rb") as file:
        return _parsed_key(file.read())


def _parsed_key(text: str | bytes) -> PrivateKey:
    from .keys import PrivateKey  # with it comes cryptography, which not every process that imports a backend needs

    return PrivateKey.read(text)

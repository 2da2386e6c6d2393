"""Integrations from an application's settings: one server, or many by mapping or callable."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from social_core.backends.base import BaseAuth
from social_core.utils import module_member

from ..crypto import PrivateKey, Secret, opaque, pasted
from ..problems import BitbucketServerError, Code
from ..transport import ClientCertificate, read_ca_certificates, read_client_certificate
from .admission import Admission
from .integration import Integration, OAuth2Integration
from .roles import Roles
from .server import Server
from .server_url import OPERATOR_RULES, BaseURLRules, ConnectTo, ServerURL

_IntegrationT = TypeVar("_IntegrationT")

SINGLE_INTEGRATION_ID = "default"
"""The id of the integration where there is one server, by plain settings."""

TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""The values of texts, such as environment variables, for settings that are true or false."""

_PLAIN_HTTP_RULES = BaseURLRules(plain_http_hosts=None)
_LARGEST_FILE = 1024 * 1024
_read_client_certificate = lru_cache(maxsize=64)(read_client_certificate)
_read_url = lru_cache(maxsize=256)(ServerURL.parse)
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SHARED_FIELDS = frozenset(
    {
        "allow_groups",
        "allow_http",
        "allow_projects",
        "allow_repositories",
        "ca_certificates",
        "client_certificate",
        "client_certificate_file",
        "client_key",
        "client_key_file",
        "connect_to",
        "name",
        "namespace",
        "organization",
        "proxies",
        "roles",
        "timeout",
        "url",
        "verify",
    }
)
_FIELDS = _SHARED_FIELDS | {"consumer_key", "private_key", "private_key_file", "private_key_passphrase"}
_OAUTH2_FIELDS = _SHARED_FIELDS | {"client_id", "client_secret"}
_TEXTS = frozenset(
    {
        "client_certificate_file",
        "client_id",
        "client_key_file",
        "client_secret",
        "connect_to",
        "consumer_key",
        "private_key_file",
        "url",
        "verify",
    }
)
"""Fields whose texts are read without the white space around them."""
_FILES = frozenset({"client_certificate_file", "client_key_file", "private_key_file"})
_SETTINGS = {
    "url": "URL",
    "consumer_key": "KEY",
    "client_id": "KEY",
    "client_secret": "SECRET",
    "verify": "VERIFY_SSL",
    "timeout": "REQUESTS_TIMEOUT",
}
"""The settings whose names are not those of the fields in capitals."""


def callback_origin(text: str) -> str:
    """Return the scheme and host of the callback in the configured *text*. Raises ``setting_invalid``."""
    origin = text.rstrip("/") if isinstance(text, str) else ""
    try:
        is_address = urlsplit(origin).port != 0
    except ValueError:  # a port that is too large, or brackets around something else than an IPv6 address
        is_address = False
    if not _ORIGIN.fullmatch(origin) or not is_address:
        raise _invalid(
            "CALLBACK_ORIGIN", "The callback's origin is scheme and host alone, such as https://app.example.com."
        )
    return origin


def configured_backend(paths: Iterable[str], name: str) -> type[BaseAuth[Any]]:
    """Return the backend called *name* among those at *paths*, the setting ``AUTHENTICATION_BACKENDS``.

    Core's own look-up empties and fills one mapping that all threads share: of the first logins of a process, one may
    find it empty. Raises ``backend_missing`` as core's error.
    """
    for path in paths:
        found: type[Any] = module_member(path)
        if issubclass(found, BaseAuth) and found.name == name:
            return found
    raise BitbucketServerError(Code.BACKEND_MISSING, f"It is {name}.", parameter="backend").as_social_error(
        None, "begin"
    )


@contextmanager
def naming(full_name: Callable[[str], str]) -> Iterator[None]:
    """Let a problem with a field say what *full_name* calls the field."""
    try:
        yield
    except BitbucketServerError as error:
        if error.parameter is None:
            raise
        field = {"base_url": "url"}.get(error.parameter, error.parameter.lower())
        raise error.in_setting(full_name(field)) from None


def setting_of_field(field: str) -> str:
    """Return the name, without prefix, of the plain setting that an integration's *field* comes from."""
    return _SETTINGS.get(field, field.upper())


@opaque
def single_integration(setting: Callable[..., Any], full_name: Callable[[str], str] = str) -> Integration:
    """Return the integration of plain settings. *setting* looks a value up by the name without prefix. *full_name*
    returns the name for messages.

    Raises ``setting_missing``, ``setting_invalid`` and the problems of base URLs and private keys.
    """
    fields = {
        **_single_server(setting),
        "consumer_key": setting("KEY"),
        "private_key": setting("PRIVATE_KEY"),
        "private_key_file": setting("PRIVATE_KEY_FILE"),
        "private_key_passphrase": setting("PRIVATE_KEY_PASSPHRASE"),
    }
    return _remembered(integration_from_fields, fields, full_name)


@opaque
def single_oauth2_integration(setting: Callable[..., Any], full_name: Callable[[str], str] = str) -> OAuth2Integration:
    """Return the integration of plain settings for OAuth 2. The parameters are those of :func:`single_integration`.

    Raises ``setting_missing``, ``setting_invalid`` and the problems of base URLs.
    """
    fields = {**_single_server(setting), "client_id": setting("KEY"), "client_secret": setting("SECRET")}
    return _remembered(oauth2_integration_from_fields, fields, full_name)


def _remembered(
    make: Callable[[str, Mapping[str, Any]], _IntegrationT], fields: Mapping[str, Any], full_name: Callable[[str], str]
) -> _IntegrationT:
    """Return the integration that *make* makes of *fields*. The same values with unchanged files make it once."""
    with naming(lambda field: full_name(setting_of_field(field))):
        try:
            changed = tuple(_state_of(fields[name]) for name in _FILES if fields.get(name))
            return cast("_IntegrationT", _made_of(make, changed, tuple(fields), *fields.values()))
        except (OSError, TypeError):  # a file that cannot be read, or a value that can be changed and so has no hash
            return make(SINGLE_INTEGRATION_ID, fields)


@lru_cache(maxsize=16, typed=True)  # True is not 1
def _made_of(
    make: Callable[..., Any], _changed: tuple[tuple[int, ...], ...], names: tuple[str, ...], *values: Any
) -> Any:
    return make(SINGLE_INTEGRATION_ID, dict(zip(names, values, strict=True)))


def _single_server(setting: Callable[..., Any]) -> dict[str, Any]:
    return {
        "url": setting("URL"),
        "verify": setting("VERIFY_SSL", True),
        "client_certificate": setting("CLIENT_CERTIFICATE"),
        "client_certificate_file": setting("CLIENT_CERTIFICATE_FILE"),
        "client_key": setting("CLIENT_KEY"),
        "client_key_file": setting("CLIENT_KEY_FILE"),
        "connect_to": setting("CONNECT_TO"),
        "proxies": setting("PROXIES"),
        "timeout": setting("REQUESTS_TIMEOUT"),
        "allow_http": setting("ALLOW_HTTP", False),
        "namespace": "",
        "roles": setting("ROLES"),
    }


@opaque
def find_integration(configured: Any, integration_id: str, setting: str = "INTEGRATIONS") -> Integration | None:
    """Return the integration *integration_id* among those *configured*, or ``None``.

    *configured* maps ids to :class:`Integration` or to its fields, or is a callable that returns one, or the dotted
    path of such a callable. *setting* is the full name of that setting.
    """
    return _find(configured, integration_id, setting, Integration, integration_from_fields)


@opaque
def find_oauth2_integration(
    configured: Any, integration_id: str, setting: str = "INTEGRATIONS"
) -> OAuth2Integration | None:
    """Return the integration *integration_id* for OAuth 2, or ``None``. For the rest see :func:`find_integration`."""
    return _find(configured, integration_id, setting, OAuth2Integration, oauth2_integration_from_fields)


def name_in_mapping(setting: str, integration_id: object, field: str) -> str:
    """Return what messages call a *field* of an integration in the mapping that is the value of *setting*; an empty one
    is the whole integration."""
    entry = f'{setting}["{integration_id}"]'
    return f'{entry}["{field}"]' if field else entry


def _find(
    configured: Any,
    integration_id: str,
    setting: str,
    kind: type[_IntegrationT],
    make: Callable[[str, Mapping[str, Any]], _IntegrationT],
) -> _IntegrationT | None:
    found = look_up_of(configured, setting)(integration_id)
    if found is None or isinstance(found, kind):
        return found
    with naming(lambda field: name_in_mapping(setting, integration_id, field)):
        return make(integration_id, found)


def look_up_of(configured: Any, setting: str) -> Callable[[str], Any]:
    """Return what looks integrations up by their ids in *configured*, the value of *setting*. Raises
    ``setting_invalid``."""
    configured = _at_path(configured, "INTEGRATIONS", setting)
    found = configured if callable(configured) else getattr(configured, "get", None)
    if found is None:
        reason = "It is a mapping of ids to integrations, a callable, or the dotted path of one."
        raise _invalid("INTEGRATIONS", reason, setting)
    return cast("Callable[[str], Any]", found)


def listener_of(configured: Any, setting: str = "") -> Callable[[Any, Mapping[str, str]], object]:
    """Return the function that *configured*, the value of ``…_ON_EVENT``, is or names. Raises ``setting_invalid``, also
    for a coroutine function: logins run in threads, where nothing awaits it."""
    found = _at_path(configured, "ON_EVENT", setting)
    if not callable(found) or iscoroutinefunction(found):
        raise _invalid("ON_EVENT", "It is a function that is not asynchronous, or the dotted path of one.", setting)
    return cast("Callable[[Any, Mapping[str, str]], object]", found)


def _at_path(configured: Any, parameter: str, setting: str) -> Any:
    """Return what is at the dotted path *configured*, or *configured* itself if it is no text."""
    if not isinstance(configured, str):
        return configured
    try:
        return module_member(configured.strip())
    except (ImportError, AttributeError, TypeError, ValueError, BitbucketServerError) as error:
        raise _invalid(parameter, "There is nothing at this dotted path.", setting) from error


@opaque
def integration_from_fields(integration_id: str, fields: Mapping[str, Any]) -> Integration:
    """Return an integration from plain values.

    ``url`` and ``consumer_key`` are required, and ``private_key`` (text) or ``private_key_file`` (path). Optional:
    ``private_key_passphrase``, ``namespace`` (the id by default), ``name``, ``organization``, ``verify`` (``True`` or
    the path of a CA bundle), ``ca_certificates`` (text), ``client_certificate`` and ``client_key`` (text), or
    ``client_certificate_file`` and ``client_key_file`` (paths), ``connect_to`` (``host:port``), ``proxies``,
    ``timeout`` (seconds), ``allow_http``, who may log in: ``allow_groups``, ``allow_projects``, ``allow_repositories``
    (lists of names), and ``roles`` (a mapping of names to the ``groups``, ``projects`` and ``repositories`` of each).
    """
    with naming(str):
        fields = _checked_fields(fields, _FIELDS, ("url", "consumer_key"))
        return Integration(
            consumer_key=fields["consumer_key"],
            private_key=_private_key(fields),
            **_shared_values(integration_id, fields),
        )


@opaque
def oauth2_integration_from_fields(integration_id: str, fields: Mapping[str, Any]) -> OAuth2Integration:
    """Return an integration for OAuth 2 from plain values.

    ``url``, ``client_id`` and ``client_secret`` are required. The optional fields are those of
    :func:`integration_from_fields`, except for the private key's.
    """
    with naming(str):
        fields = _checked_fields(fields, _OAUTH2_FIELDS, ("url", "client_id", "client_secret"))
        return OAuth2Integration(
            client_id=fields["client_id"],
            client_secret=Secret(fields["client_secret"]),
            **_shared_values(integration_id, fields),
        )


def _checked_fields(given: Mapping[str, Any], known: frozenset[str], required: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the fields *given*, those in :data:`_TEXTS` without white space around them."""
    if not isinstance(given, Mapping):
        raise _invalid("", "An integration is a mapping of fields.")
    unknown = sorted(str(name) for name in given.keys() - known)
    if unknown:
        similar = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f" Did you mean {similar[0]}?" if similar else ""
        raise _invalid(unknown[0], f"An integration has no such field.{meant}")
    fields = {
        name: value.strip() if name in _TEXTS and isinstance(value, str) else value for name, value in given.items()
    }
    for name in required:
        if not fields.get(name):
            raise BitbucketServerError(Code.SETTING_MISSING, parameter=name)
        if not isinstance(fields[name], str):
            raise _invalid(name, "It is not a text.")
    for name in ("allow_http", "timeout", "verify"):
        value = fields.get(name)
        if not isinstance(value, str):
            continue
        # A text that reads like the number or the truth that it should be, as variables of the environment are.
        if name == "timeout" or value.lower() in TRUTHS:
            wanted = "a number" if name == "timeout" else "True or False"
            raise _invalid(name, f"It is a text; write {wanted}, without quotes.")
        if name == "allow_http":
            raise _invalid(name, "It is True or False.")
    return fields


def base_url(fields: Mapping[str, Any]) -> ServerURL:
    """Return the base URL among an integration's plain values. Raises ``invalid_base_url``."""
    return _read_url(fields["url"], _PLAIN_HTTP_RULES if fields.get("allow_http") is True else OPERATOR_RULES)


def _shared_values(integration_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": integration_id,
        "server": _server(fields),
        "namespace": fields.get("namespace", integration_id),
        "name": fields.get("name", ""),
        "organization": fields.get("organization", ""),
        "admission": Admission.read(
            fields.get("allow_groups"), fields.get("allow_projects"), fields.get("allow_repositories")
        ),
        "roles": Roles.read(fields.get("roles")),
    }


def _server(fields: Mapping[str, Any]) -> Server:
    url = base_url(fields)
    pasted_certificates = _text_or_bytes(fields, "ca_certificates")
    ca_certificates = read_ca_certificates(pasted_certificates) if pasted_certificates else ""
    certificate, key = _client_certificate(fields)
    return Server(
        url,
        verify=fields.get("verify", True),
        ca_certificates=ca_certificates,
        client_certificate=certificate,
        client_key=key,
        connect_to=ConnectTo.parse(fields["connect_to"]) if fields.get("connect_to") else None,
        proxies=fields.get("proxies") or {},
        timeout=fields.get("timeout") or 10.0,
    )


def _text_or_bytes(fields: Mapping[str, Any], name: str) -> str | bytes | None:
    """Return the field *name*. Raises ``setting_invalid`` for a value of another kind."""
    value = fields.get(name)
    if value and not isinstance(value, (str, bytes)):
        raise _invalid(name, "It is not a text.")
    return cast("str | bytes | None", value)


def _client_certificate(fields: Mapping[str, Any]) -> ClientCertificate:
    certificate = _text_of(fields, "client_certificate")
    key = _text_of(fields, "client_key")
    if not certificate or not key:  # the server refuses one without the other
        return ClientCertificate(certificate, key)
    try:
        return _read_client_certificate(certificate, key)
    except BitbucketServerError as error:
        where = error.parameter if fields.get(str(error.parameter)) else f"{error.parameter}_file"
        raise BitbucketServerError(error.code, error.reason, parameter=where) from None


def _text_of(fields: Mapping[str, Any], name: str) -> Secret:
    """Return the text of the field *name*, or of the file that the field beside it names."""
    text, path = fields.get(name), fields.get(f"{name}_file")
    if text and not isinstance(text, str):
        raise _invalid(name, "It is not a text.")
    if text or not path:
        return Secret(text or "")
    try:
        with open(path, "rb") as file:
            return Secret(pasted.as_text(file.read(_LARGEST_FILE)))
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "No file can have such a name"
        raise _invalid(f"{name}_file", f"{pasted.path_to_show(path)}: {reason}.") from None


def _private_key(fields: Mapping[str, Any]) -> PrivateKey:
    text, path = _text_or_bytes(fields, "private_key"), fields.get("private_key_file")
    passphrase = fields.get("private_key_passphrase")
    if passphrase is not None and not isinstance(passphrase, str):
        raise _invalid("private_key_passphrase", "It is not a text.")
    if text:
        return _read_key(text, passphrase)
    if not path:
        raise BitbucketServerError(Code.PRIVATE_KEY_MISSING, parameter="private_key")
    try:
        return _read_key_file(os.fspath(path), _state_of(path), passphrase)
    except BitbucketServerError as error:
        raise BitbucketServerError(error.code, error.reason, parameter="private_key_file") from None
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "It is not a path"
        # Without the error itself, which shows the path.
        raise _invalid("private_key_file", f"{pasted.path_to_show(path)}: {reason}.") from None


def _state_of(path: str | os.PathLike[str]) -> tuple[int, ...]:
    try:
        return pasted.state_of_file(path)
    except ValueError as error:
        raise OSError(errno.EINVAL, "No file can have such a name") from error


@lru_cache(maxsize=256)
def _read_key(text: str | bytes, passphrase: str | None) -> PrivateKey:
    return PrivateKey.read(text, passphrase)


@lru_cache(maxsize=256)
def _read_key_file(path: str, changed: tuple[int, ...], passphrase: str | None) -> PrivateKey:  # noqa: ARG001  # a changed file is read again
    with open(path, "rb") as file:
        return PrivateKey.read(file.read(), passphrase)


def _invalid(parameter: str, reason: str, setting: str = "") -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter, setting=setting)

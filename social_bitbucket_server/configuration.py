"""Integrations from an application's settings: one server, or many by mapping or callable."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from social_core.utils import module_member

from .integration import Integration
from .keys import PrivateKey
from .problems import BitbucketServerError
from .secret import opaque
from .server_url import BaseURLRules, ServerURL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SINGLE_INTEGRATION_ID = "default"
"""The id of the integration where there is one server, by plain settings."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
_FIELDS = frozenset(
    {
        "allow_http",
        "ca_certificates",
        "consumer_key",
        "name",
        "namespace",
        "private_key",
        "private_key_file",
        "proxies",
        "timeout",
        "url",
        "verify",
    }
)


def callback_origin(text: str) -> str:
    """Scheme and host of the callback, as they are configured. Raises ``setting_invalid``."""
    origin = text.rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise BitbucketServerError(
            "setting_invalid",
            "The callback's origin is scheme and host alone, such as https://app.example.com.",
            parameter="CALLBACK_ORIGIN",
        )
    return origin


@opaque
def single_integration(setting: Callable[..., Any]) -> Integration:
    """The one server of plain settings; *setting* looks one up by its name without prefix.

    Raises ``setting_missing``, ``setting_invalid`` and the problems of base URLs and private keys.
    """
    fields = {
        "url": setting("URL"),
        "consumer_key": setting("KEY"),
        "private_key": setting("PRIVATE_KEY"),
        "private_key_file": setting("PRIVATE_KEY_FILE"),
        "verify": setting("VERIFY_SSL", True),
        "proxies": setting("PROXIES"),
        "timeout": setting("REQUESTS_TIMEOUT"),
        "allow_http": setting("ALLOW_HTTP", False),
        "namespace": "",
    }
    return integration_from_fields(SINGLE_INTEGRATION_ID, fields)


@opaque
def find_integration(configured: Any, integration_id: str) -> Integration | None:
    """The integration *integration_id* among those *configured*: a mapping of id to :class:`Integration` or to its
    fields, or a callable that returns one, or the dotted path of such a callable."""
    if isinstance(configured, str):
        configured = module_member(configured)
    found = configured(integration_id) if callable(configured) else configured.get(integration_id)
    if found is None or isinstance(found, Integration):
        return found
    return integration_from_fields(integration_id, found)


@opaque
def integration_from_fields(integration_id: str, fields: Mapping[str, Any]) -> Integration:
    """An integration from plain values.

    ``url`` and ``consumer_key`` are required, and ``private_key`` (text) or ``private_key_file`` (path). Optional:
    ``namespace`` (the id by default), ``name``, ``verify`` (``True`` or the path of a CA bundle),
    ``ca_certificates`` (PEM text), ``proxies``, ``timeout`` (seconds), ``allow_http``.
    """
    unknown = fields.keys() - _FIELDS
    if unknown:
        raise BitbucketServerError(
            "setting_invalid", f"An integration has no {min(unknown)}.", parameter=str(min(unknown))
        )
    for required in ("url", "consumer_key"):
        if not fields.get(required):
            raise BitbucketServerError("setting_missing", f"It is the integration's {required}.", parameter=required)
    rules = BaseURLRules(plain_http_hosts=None if fields.get("allow_http") else frozenset())
    return Integration(
        id=integration_id,
        server_url=ServerURL.parse(fields["url"], rules),
        consumer_key=fields["consumer_key"],
        private_key=_private_key(fields.get("private_key"), fields.get("private_key_file")),
        namespace=fields.get("namespace", integration_id),
        name=fields.get("name", ""),
        verify=fields.get("verify", True),
        ca_certificates=_ca_certificates(fields.get("ca_certificates")),
        proxies=fields.get("proxies") or {},
        timeout=fields.get("timeout") or 10.0,
    )


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
        return _read_key_file(os.fspath(path), os.stat(path).st_mtime_ns)
    except OSError as error:
        raise BitbucketServerError(
            "setting_invalid", f"The private key's file: {error.strerror}.", parameter="private_key_file"
        ) from error


@lru_cache(maxsize=256)
def _read_key(text: str) -> PrivateKey:
    return PrivateKey.read(text)


@lru_cache(maxsize=256)
def _read_key_file(path: str, changed: int) -> PrivateKey:  # noqa: ARG001  # a changed file is read again
    with open(path, "rb") as file:
        return PrivateKey.read(file.read())

"""The integration that a command line gives: by options, by a file, or by the settings in the environment."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..integration import (
    SINGLE_INTEGRATION_ID,
    TRUTHS,
    Integration,
    OAuth2Integration,
    integration_from_fields,
    naming,
    oauth2_integration_from_fields,
    refuse_unusable_way_to,
    setting_of_field,
    single_integration,
    single_oauth2_integration,
)
from ..problems import BitbucketServerError, Code
from . import CommandError, file_name
from .key_files import PASSPHRASE_VARIABLE, ask_passphrase, may_ask_passphrase
from .key_files import read as read_key

_IntegrationT = TypeVar("_IntegrationT", Integration, OAuth2Integration)

PREFIX = "SOCIAL_AUTH_BITBUCKET_SERVER_"
OAUTH2_PREFIX = f"{PREFIX}OAUTH2_"
SECRET_VARIABLE = "BITBUCKET_CLIENT_SECRET"  # noqa: S105  # the variable's name

_OPTIONS = {
    "ca_certificates": "ca_file",
    "client_certificate_file": "client_certificate",
    "client_key_file": "client_key",
    "private_key": "private_key_file",
    "verify": "ca_file",
}
"""The options that are not called as the fields that they give."""

_TEXT: tuple[Any, str] = (str, "a text")
_TEXTS: tuple[Any, str] = (list, "a list of texts")
_KINDS: Mapping[str, tuple[Any, str]] = {
    "allow_groups": _TEXTS,
    "allow_http": (bool, "true or false"),
    "allow_projects": _TEXTS,
    "allow_repositories": _TEXTS,
    "proxies": (dict, "a table"),
    "roles": (dict, "a table"),
    "timeout": (int | float, "a number of seconds"),
    "verify": (str | bool, "a path"),
}


def add_integration_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`integration_of` reads."""
    parser.add_argument("--file", metavar="FILE", type=file_name, help="the integration, as TOML")
    parser.add_argument("--url", help="Bitbucket's base URL, with the context path if it has one")
    parser.add_argument("--consumer-key", metavar="KEY", help="the consumer key in the application link")
    parser.add_argument(
        "--private-key-file", metavar="FILE", type=file_name, help="the private key; - for standard input"
    )
    parser.add_argument("--ca-file", metavar="FILE", type=file_name, help="the CA certificates to trust")
    add_connection_options(parser)
    add_allow_http(parser)


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add options for a server behind a gateway, or at another address than the base URL's."""
    parser.add_argument(
        "--client-certificate",
        metavar="FILE",
        type=file_name,
        help="the client certificate that a gateway in front of Bitbucket wants",
    )
    parser.add_argument("--client-key", metavar="FILE", type=file_name, help="the key of that certificate")
    parser.add_argument(
        "--connect-to", metavar="HOST:PORT", help="where connections go instead of the base URL's host and port"
    )


def add_allow_http(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets the base URL of another machine begin with ``http://``."""
    parser.add_argument(
        "--allow-http",
        action="store_true",
        help="let the base URL begin with http://; an address of this machine always may",
    )


def integration_of(arguments: argparse.Namespace) -> Callable[[], Integration]:
    """Return a function that makes the integration from the options, the file, or the settings in the environment."""
    return _oauth1_integration(_given_fields(arguments), arguments)


def _oauth1_integration(fields: dict[str, Any], arguments: argparse.Namespace) -> Callable[[], Integration]:
    if fields:
        return lambda: _integration_from(fields, arguments)
    if f"{PREFIX}URL" not in os.environ:
        raise CommandError(
            "Which integration? Give --url, --consumer-key and --private-key-file, or a --file with them, or set "
            f"{PREFIX}URL and the other settings in the environment."
        )
    return lambda: _from_environment(single_integration, arguments, PREFIX)


def _integration_from(fields: dict[str, Any], arguments: argparse.Namespace) -> Integration:
    fields.setdefault("private_key_passphrase", os.environ.get(PASSPHRASE_VARIABLE))
    try:
        return _from_fields(integration_from_fields, arguments, fields)
    except BitbucketServerError as error:
        if error.code != Code.PRIVATE_KEY_ENCRYPTED or fields["private_key_passphrase"]:
            raise
        if not may_ask_passphrase(arguments.private_key_file):
            raise
    # Kept, so that a test that is repeated does not ask again.
    fields["private_key_passphrase"] = ask_passphrase("the private key")
    return _from_fields(integration_from_fields, arguments, fields)


def _from_fields(
    read: Callable[..., _IntegrationT], arguments: argparse.Namespace, fields: dict[str, Any]
) -> _IntegrationT:
    with naming(lambda field: _where(field, arguments)):
        integration = read(SINGLE_INTEGRATION_ID, fields)
        refuse_unusable_way_to(integration.server)
        return integration


def _from_environment(read: Callable[..., _IntegrationT], arguments: argparse.Namespace, prefix: str) -> _IntegrationT:
    """Return the integration of the settings in the environment, whose names begin with *prefix*."""

    def setting(name: str, default: Any = None) -> Any:
        if name == "ALLOW_HTTP" and arguments.allow_http:
            return True
        text = os.environ.get(f"{prefix}{name}")
        if text is None or name == "PROXIES":
            return default
        if name == "REQUESTS_TIMEOUT":
            try:
                return float(text)
            except ValueError:
                raise BitbucketServerError(
                    Code.SETTING_INVALID, "It is a number of seconds.", parameter=name, setting=f"{prefix}{name}"
                ) from None
        return TRUTHS.get(text.strip().lower(), text) if name in {"ALLOW_HTTP", "VERIFY_SSL"} else text

    with naming(lambda field: prefix + setting_of_field(field)):
        integration = read(setting, prefix.__add__)
        refuse_unusable_way_to(integration.server)
        return integration


def _where(field: str, arguments: argparse.Namespace) -> str:
    """Return what a message calls a *field*: the option that gives it, or the field of the file."""
    option = _OPTIONS.get(field, field)
    is_given = getattr(arguments, option, None) is not None
    if arguments.file and not is_given:
        return f"{field} in {arguments.file}"
    if field == "client_secret":
        return SECRET_VARIABLE
    return f"--{option.replace('_', '-')}"


def any_integration_of(arguments: argparse.Namespace) -> Callable[[], Integration | OAuth2Integration]:
    """Return a function as :func:`integration_of` does. With a client ID, it makes an integration for OAuth 2."""
    fields = _given_fields(arguments)
    if arguments.client_id:
        fields["client_id"] = arguments.client_id
    if "client_id" in fields:
        secret = {"client_secret": os.environ.get(SECRET_VARIABLE)}
        return lambda: _from_fields(oauth2_integration_from_fields, arguments, secret | fields)
    if not fields and f"{PREFIX}URL" not in os.environ and f"{OAUTH2_PREFIX}URL" in os.environ:
        return lambda: _from_environment(single_oauth2_integration, arguments, OAUTH2_PREFIX)
    return _oauth1_integration(fields, arguments)


def _given_fields(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in ("url", "consumer_key", "connect_to")}
    given = {name: value for name, value in given.items() if value is not None}
    # An option goes before all that the file says about the same.
    if arguments.private_key_file is not None:
        given |= {"private_key": None, "private_key_file": arguments.private_key_file}
    if arguments.private_key_file == "-":
        given |= {"private_key": read_key("-"), "private_key_file": None}
    if arguments.ca_file is not None:
        given |= {"ca_certificates": None, "verify": arguments.ca_file}
    for name in ("client_certificate", "client_key"):
        path = getattr(arguments, name)
        if path is not None:
            given |= {name: None, f"{name}_file": path}
    fields = {**(_read(Path(arguments.file)) if arguments.file else {}), **given}
    return fields | {"allow_http": True} if fields and arguments.allow_http else fields


def _read(path: Path) -> Mapping[str, Any]:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CommandError(f"{path} is not TOML: {error}.") from None
    if not fields:
        raise CommandError(f"{path} is empty; it needs url, consumer_key and private_key_file at least.")
    for name, value in fields.items():
        kind, words = _KINDS.get(name, _TEXT)
        if not isinstance(value, kind):
            raise CommandError(f"{path}: {name} must be {words}.")
    return fields

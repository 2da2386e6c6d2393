"""This library's settings in Flask that many organizations need, read once when the application starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ...crypto import KeyRing, Secret
from ...integration import SettingsOf, UnsafeConfigurationError, callback_origin, read_role_names
from ...organizations import (
    EVERYBODY,
    Ids,
    Outbound,
    SealedKeys,
    read_hosts,
    read_private_networks,
    read_proxies,
    read_test_addresses,
)
from ...problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

_SHARED = ("CALLBACK_ORIGIN", "KEY_RING", "STORE_ACCESS_TOKEN", "REVOKE_AT_LOGOUT", "VERIFY_SSL", "REQUESTS_TIMEOUT")
_IDS = Ids(
    re.compile(r"[^\s=,]+"),
    "'flask bitbucket-server list' prints the ids of organizations. Addresses do not count here, because anybody may "
    "get one.",
)


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """The settings of one application.

    *origin* is its scheme and host. *application_name* is what people read when Bitbucket asks them to allow the login.
    *outbound* says which servers organizations may connect. *keeps_tokens*: each person's access token is kept, sealed,
    so that Bitbucket can be asked for them between two logins. *role_names* are those of the roles that organizations'
    admins may give.
    """

    origin: str
    application_name: str
    keys: SealedKeys
    outbound: Outbound
    keeps_tokens: bool
    role_names: tuple[str, ...]

    @classmethod
    def read(cls, app: Flask) -> AppSettings:
        """Return the settings of *app*. Raises
        :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`."""
        settings = SettingsOf(BitbucketServerOAuth1.name, app.config)
        for name, what in (
            ("CALLBACK_ORIGIN", "scheme and host of this application, such as https://app.example.com"),
            ("KEY_RING", "a key ring, which seals private keys: 'social-bitbucket-server key-ring' prints a new one"),
        ):
            if not settings[name]:
                raise UnsafeConfigurationError(f"Set {settings.name(name)} to {what}.")
        _share_with_oauth2(app, settings)
        _hide_key_rings(app)
        try:
            origin = callback_origin(settings["CALLBACK_ORIGIN"])
            return cls(
                origin=origin,
                application_name=str(settings["APPLICATION_NAME"] or urlsplit(origin).hostname),
                keys=SealedKeys(KeyRing.parse(settings["KEY_RING"])),
                outbound=_outbound(settings),
                keeps_tokens=bool(settings["STORE_ACCESS_TOKEN"]),
                role_names=read_role_names(settings["ORGANIZATION_ROLES"]),
            )
        except BitbucketServerError as error:
            setting = error.setting or settings.name(error.parameter or "KEY_RING")
            raise UnsafeConfigurationError(f"Mend {setting}: {error.reason or error.problem.title}") from None


def _share_with_oauth2(app: Flask, settings: SettingsOf) -> None:
    """Let the backend for OAuth 2 have the same values, unless it has its own."""
    own = SettingsOf(BitbucketServerOAuth2.name, app.config)
    for name in _SHARED:
        if settings[name] is not None:
            app.config.setdefault(own.own_name(name), settings[name])


def _hide_key_rings(app: Flask) -> None:
    """Keep the key ring out of tracebacks and logs that show Flask's configuration, which every template's context
    holds."""
    for backend in (BitbucketServerOAuth1, BitbucketServerOAuth2):
        settings = SettingsOf(backend.name, app.config)
        app.config[settings.name("KEY_RING")] = Secret(settings["KEY_RING"])


def _outbound(settings: SettingsOf) -> Outbound:
    return Outbound(
        private_networks=read_private_networks(
            settings["PRIVATE_NETWORKS"] or {}, setting=settings.name("PRIVATE_NETWORKS"), ids=_IDS
        ),
        plain_http_hosts=read_hosts(settings["HTTP_HOSTS"] or (), setting=settings.name("HTTP_HOSTS")),
        proxies=_proxies(settings),
        test_addresses=read_test_addresses(settings["TEST_ADDRESSES"] or (), setting=settings.name("TEST_ADDRESSES")),
        verify=settings.get("VERIFY_SSL", True),
        timeout=settings["REQUESTS_TIMEOUT"] or 10.0,
    )


def _proxies(settings: SettingsOf) -> Mapping[str, Mapping[str, str]]:
    """Return the proxies by organization: a text names those of each, a mapping is for everybody."""
    given = settings["PROXIES"] or {}
    if isinstance(given, str):
        return read_proxies(given, setting=settings.name("PROXIES"), ids=_IDS)
    return {EVERYBODY: given}

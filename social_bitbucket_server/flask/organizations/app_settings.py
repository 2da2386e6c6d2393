"""This library's settings in Flask that many organizations need, read once when the application starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from ...backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ...crypto import KeyRing, Secret
from ...integration import SettingsOf, UnsafeConfigurationError, callback_origin, listener_of, read_role_names
from ...organizations import Ids, Outbound, SealedKeys, read_outbound
from ...problems import BitbucketServerError
from ...transport import Limits, default_transport

_SHARED = (
    "CALLBACK_ORIGIN",
    "KEY_RING",
    "LOGIN_SECONDS",
    "PATIENCE",
    "REQUESTS_TIMEOUT",
    "REVOKE_AT_LOGOUT",
    "SLOW_STEPS",
    "STORE_ACCESS_TOKEN",
    "VERIFY_SSL",
)
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
    so that Bitbucket can be asked for them between two logins. *on_event* is told of each event that is recorded.
    *limits* are those on waiting for one organization's servers. *role_names* are those of the roles that
    organizations' admins may give.
    """

    origin: str
    application_name: str
    keys: SealedKeys
    outbound: Outbound
    keeps_tokens: bool
    on_event: Any
    limits: Limits
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
        _hide_secrets(app)
        listener, setting = settings["ON_EVENT"], settings.name("ON_EVENT")
        try:
            origin = callback_origin(settings["CALLBACK_ORIGIN"])
            return cls(
                origin=origin,
                application_name=str(settings["APPLICATION_NAME"] or urlsplit(origin).hostname),
                keys=SealedKeys(KeyRing.parse(settings["KEY_RING"])),
                outbound=read_outbound(settings, _IDS),
                keeps_tokens=bool(settings["STORE_ACCESS_TOKEN"]),
                # A dotted path is followed later: its module may be loading now.
                on_event=listener_of(listener, setting) if listener and not isinstance(listener, str) else listener,
                limits=default_transport().limits.with_settings(settings.__getitem__),
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


def _hide_secrets(app: Flask) -> None:
    """Keep the key ring and the passwords of proxies out of tracebacks and logs that show Flask's configuration, which
    every template's context holds."""
    for backend in (BitbucketServerOAuth1, BitbucketServerOAuth2):
        settings = SettingsOf(backend.name, app.config)
        app.config[settings.name("KEY_RING")] = Secret(settings["KEY_RING"])
        if isinstance(settings["PROXIES"], str):
            app.config[settings.name("PROXIES")] = Secret(settings["PROXIES"])

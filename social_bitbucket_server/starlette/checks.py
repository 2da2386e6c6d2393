"""The check of an application, at its first request: by then its settings and middleware are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import HTTPConnection

from ..integration import SettingsOf, refuse_unsafe_settings, refuse_unusable_settings
from .session_middleware import refuse_lost_sessions


class Check:
    """Checks *settings* for the backends of these *names* and *paths*, once. If that fails, it fails every request."""

    def __init__(self, settings: Mapping[str, Any], names: Sequence[str], paths: Sequence[str]) -> None:
        self._settings, self._names, self._paths = settings, names, paths
        self._is_done = False

    def __call__(self, connection: HTTPConnection) -> None:
        """Raise :class:`~social_bitbucket_server.integration.UnsafeConfigurationError` if logins are unsafe, or could
        not work."""
        if self._is_done:
            return
        refuse_unsafe_settings(self._settings)
        refuse_unusable_settings(self._settings, self._paths)
        origins = (SettingsOf(name, self._settings).get("CALLBACK_ORIGIN") for name in self._names)
        refuse_lost_sessions(connection, map(str, origins))
        self._is_done = True

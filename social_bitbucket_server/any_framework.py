"""Log in with Bitbucket Server in any web framework: a request comes as plain values, and the address to go to comes
back.

Which page has the button, how sessions are kept and who is logged in is left to the application; docs/any-framework.md
shows a whole one.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from social_core.actions import do_auth, do_complete
from social_core.storage import BaseStorage
from social_core.utils import setting_name

from .backends import BitbucketServerOAuth1
from .crypto import Secret, opaque, plain
from .integration import (
    BACKENDS,
    SettingsOf,
    UnsafeConfigurationError,
    callback_origin,
    configured_backend,
    refuse_missing_settings,
    refuse_unsafe_settings,
    warn_of_missing_names,
)
from .login import LONGEST_NEXT, BaseStrategy, LoginBackend, Purpose, may_name_halted_login
from .problems import BitbucketServerError, Code

__all__ = ["Logins", "Visit", "check_form_token", "form_token"]

_FORM_TOKEN = "bitbucket_server_form_token"  # noqa: S105  # where a session keeps it


@dataclass(frozen=True, slots=True)
class Visit:
    """The data that a request brings.

    *session* is kept by the application for this browser alone: in a signed cookie or on the server, ``SameSite=Lax``.
    It holds texts, lists and mappings. *fields* are the names and values of the form that begins a login, or of the
    query that comes back from Bitbucket. Like the session, they are not shown in tracebacks. *integration* is the id of
    the integration, for an application that has many. *host* is the header ``Host``: the log says so if a login begins
    at another host than it comes back to. Leave it empty to omit this.
    """

    session: MutableMapping[str, Any] = field(repr=False)
    fields: Iterable[tuple[str, str]] = field(default=(), repr=False)
    integration: str = ""
    host: str = ""


class Logins:
    """The logins of one application.

    *settings*: a mapping, by their full names; ``SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN`` is required. *storage*:
    social-core's, such as :func:`~social_bitbucket_server.sqlalchemy.make_storage` returns. *backend*: the name
    of the backend. Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`.

    What waits for Bitbucket and the database blocks: call it in a thread where requests are served by a loop.
    """

    def __init__(
        self, settings: Mapping[str, Any], storage: type[BaseStorage], backend: str = BitbucketServerOAuth1.name
    ) -> None:
        refuse_unsafe_settings(settings)
        backends = setting_name("AUTHENTICATION_BACKENDS")
        refuse_missing_settings(settings, settings.get(backends) or _DEFAULTS[backends])
        warn_of_missing_names(settings, storage)
        found = SettingsOf(backend, settings)
        origin = found.get("CALLBACK_ORIGIN")
        if not origin:
            raise UnsafeConfigurationError(
                f"Set {found.own_name('CALLBACK_ORIGIN')} to the scheme and host of this application, such as "
                "https://app.example.com, because the callback must not come from a request."
            )
        self._settings, self._storage, self._backend_name = settings, storage, backend
        self._host = urlsplit(callback_origin(origin)).netloc

    def begin(self, visit: Visit, callback_path: str, user: Any = None) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to, with status 303. Call it
        for a POST whose form token was checked.

        *callback_path* is where this application calls :meth:`complete`; with many integrations it is this one's own,
        with its id in it. The form field ``next`` may name a path to go to afterwards. *user* is the person who is
        logged in, or ``None``: with the setting ``…_CONNECT_LOGGED_IN`` the account is connected to them. Raises
        ``SocialAuthBaseException``.
        """
        return _begun(visit, self._backend(visit, callback_path), user)

    def connect(self, visit: Visit, callback_path: str, user: Any) -> str:
        """Begin a login whose account is connected to *user*, who is logged in and asked for it.

        The other parameters, the result and the errors are those of :meth:`begin`.
        """
        backend = self._backend(visit, callback_path)
        backend.set_purpose(Purpose.CONNECT, user)
        return _begun(visit, backend)

    def complete(self, visit: Visit, callback_path: str, login: Callable[[Any], None], user: Any = None) -> str:
        """Finish the login that came back to *callback_path*; returns the address in this application to send the
        browser to, with status 303.

        *login* is called with the user who logged in. It makes this browser theirs, in a new or emptied session. *user*
        is the person who is logged in now, or ``None``. It counts only if :meth:`connect` began the login, and then
        *login* is not called. Raises ``SocialAuthBaseException``.
        """
        backend = self._backend(visit, callback_path)
        person = user if backend.returning_purpose is Purpose.CONNECT else None
        return do_complete(backend, login=lambda _backend, who, _identity: login(who), user=person)

    def _backend(self, visit: Visit, callback_path: str) -> LoginBackend[str, Any]:
        strategy = PlainStrategy(self._storage, self._settings, visit, self._host)
        backend_class = configured_backend(strategy.get_backends(), self._backend_name)
        return cast("LoginBackend[str, Any]", backend_class(strategy, callback_path))


def _begun(visit: Visit, backend: LoginBackend[str, Any], user: Any = None) -> str:
    """Begin a login. Forget the ``next`` page of an earlier, unfinished one."""
    visit.session.pop("next", None)
    return do_auth(backend, user=user)


class PlainStrategy(BaseStrategy[str]):
    """social-core's strategy over plain values; its answers are addresses."""

    def __init__(self, storage: type[BaseStorage], settings: Mapping[str, Any], visit: Visit, host: str) -> None:
        super().__init__(storage)
        self._settings, self._visit, self._host = settings, visit, host
        self._fields = _Fields(visit)
        if not may_name_halted_login(self):
            self._fields.pop("partial_token", None)

    def get_setting(self, name: str) -> Any:
        """Return the setting with this full *name*. Raises ``KeyError`` if it is not set, as core expects."""
        return self._settings[name] if name in self._settings else _DEFAULTS[name]

    @opaque
    def get_request_data(self, merge: bool = True) -> dict[str, Any]:  # noqa: ARG002  # core's signature
        """Return the fields of the request. Tracebacks do not show their values: a callback's address holds the
        verifier."""
        return self._fields

    def request_host(self) -> str:
        """Return the configured host of this application."""
        return self._host

    def browsers_host(self) -> str:
        """Return the host that the browser asked, or the configured one if the visit does not say."""
        return self._visit.host or self._host

    def build_absolute_uri(self, path: str | None = None) -> str:
        """Return *path* alone, because scheme and host are configured."""
        return path or ""

    def redirect(self, url: str) -> str:
        """Return the address to send the browser to."""
        return url

    def session_get(self, name: str, default: Any = None) -> Any:
        """Return the value that the session keeps under *name*, or *default*."""
        return self._visit.session.get(name, default)

    def session_set(self, name: str, value: Any) -> None:
        """Keep *value* in the session, in plain texts."""
        self._visit.session[name] = plain(value)

    def session_pop(self, name: str) -> Any:
        """Take *name* out of the session."""
        return self._visit.session.pop(name, None)

    def to_session_value(self, val: Any) -> Any:
        """Return *val* for a halted pipeline, in plain texts."""
        return plain(val)


class _Fields(dict[str, Any]):
    """The fields by name, with all values of each, so that a repeated field is noticed. No field can name another
    integration than the visit does."""

    def __init__(self, visit: Visit) -> None:
        self._values = _values(visit.fields)
        self._values.pop("integration", None)
        if len(self._values.get("next", [""])[-1]) > LONGEST_NEXT:
            del self._values["next"]
        if visit.integration:
            self._values["integration"] = [visit.integration]
        super().__init__({name: values[-1] for name, values in self._values.items()})

    def getlist(self, name: str) -> list[str]:
        return self._values.get(name, [])


@opaque
def _values(fields: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(Secret(value))
    return values


def form_token(session: MutableMapping[str, Any]) -> str:
    """Return a value for a hidden field of every form that begins a login, so that no other site can begin one. It
    stays the same for a session."""
    return str(session.setdefault(_FORM_TOKEN, secrets.token_urlsafe(32)))


def check_form_token(session: Mapping[str, Any], given: str | None, sec_fetch_site: str | None = None) -> None:
    """Refuse a form whose hidden field, *given*, is not this session's, or that another site sent.

    *sec_fetch_site* is the request's header ``Sec-Fetch-Site``; ``None`` if the browser sent none. Raises
    ``SocialAuthBaseException``.
    """
    expected = session.get(_FORM_TOKEN)
    given_bytes = given.encode(errors="replace") if isinstance(given, str) else b""
    is_own = bool(expected) and hmac.compare_digest(str(expected).encode(), given_bytes)
    if not is_own or sec_fetch_site == "cross-site":
        raise BitbucketServerError(Code.FORM_EXPIRED, parameter="form_token").as_social_error(None, "begin")


_DEFAULTS: dict[str, Any] = {
    setting_name("LOGIN_REDIRECT_URL"): "/",
    setting_name("AUTHENTICATION_BACKENDS"): list(BACKENDS.values()),
}

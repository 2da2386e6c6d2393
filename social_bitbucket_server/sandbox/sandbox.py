"""The sandbox as a server: started and stopped from Python."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from waitress import create_server  # type: ignore[import-untyped]  # waitress has no types
from waitress.wasyncore import close_all  # type: ignore[import-untyped]  # waitress has no types

from .app import create_app
from .browser import Browser, log_in
from .hosts import is_name
from .state.external_applications import ExternalApplication, ExternalApplications
from .state.faults import Faults
from .state.links import Consumer, Link, Links
from .state.projects import Projects
from .state.records import Answer, Records
from .state.state import Clock, State
from .state.users import SANDBOX_USERS, User, Users
from .state.versions import NEWEST_VERSION, known_version

_CONTEXT = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Sandbox:
    """A Bitbucket Server stand-in that answers on *host*, in threads of its own.

    *context*: the context path, as in ``/bitbucket``, or empty. *version*: which Bitbucket it is, one of 7.6, 7.21,
    8.19, 9.4 and 10.2, with or without a third number. *port*: 0 for a free one. *users*: who has an account.
    *names*: further host names to answer for. The sandbox always answers for *host*, ``localhost``, names below
    ``.localhost`` and addresses, and for no other names.
    *basic_authentication*: whether programs may log in by password; ``None`` for the version's default, which is off
    since 10.0. *on_answer* is called with every answer. Use it as a context manager, or call :meth:`start` and
    :meth:`stop`. Raises ``ValueError`` for an invalid context path, version, port or name. :meth:`start` raises
    ``OSError`` if the port is not available.
    """

    def __init__(
        self,
        *,
        context: str = "",
        version: str = NEWEST_VERSION,
        port: int = 0,
        host: str = "127.0.0.1",
        names: Iterable[str] = (),
        users: Iterable[User] = SANDBOX_USERS,
        basic_authentication: bool | None = None,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> None:
        context = context.rstrip("/")
        if not _CONTEXT.fullmatch(context):
            raise ValueError(f"{context} is not a context path like /bitbucket.")
        if not 0 <= port <= 65535:
            raise ValueError(f"{port} is not a port number.")
        self._state = State(
            base_url="",
            context=context,
            own_version=known_version(version),
            users=Users(users),
            names=frozenset(_name(text) for text in names),
            basic_authentication=basic_authentication,
        )
        self._address = (host, port)
        self._on_answer = on_answer
        self._server: Any = None  # waitress has no types
        self._sockets: dict[int, Any] = {}
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL with the context path; empty until the sandbox was started."""
        return self._state.base_url

    @property
    def users(self) -> Users:
        """The accounts: disable, rename, add."""
        return self._state.users

    @property
    def projects(self) -> Projects:
        """The groups, and the projects with their repositories."""
        return self._state.projects

    @property
    def links(self) -> Links:
        """The application links."""
        return self._state.links

    @property
    def external_applications(self) -> ExternalApplications:
        """The application links of OAuth 2."""
        return self._state.applications

    @property
    def faults(self) -> Faults:
        """The switches for what goes wrong."""
        return self._state.faults

    @property
    def clock(self) -> Clock:
        """Makes tokens older: ``sandbox.clock.advance(601)``."""
        return self._state.clock

    @property
    def basic_authentication(self) -> bool:
        """Return whether programs may log in by password. Set it as an administrator does."""
        return self._state.takes_basic

    @basic_authentication.setter
    def basic_authentication(self, is_on: bool) -> None:
        self._state.basic_authentication = is_on

    @property
    def requests(self) -> Records:
        """The requests that were made so far."""
        return self._state.requests

    def start(self) -> None:
        """Listen and serve. Returns when requests are answered."""
        if self._thread is not None:
            raise RuntimeError("The sandbox is running already.")
        listener = socket.create_server(self._address)
        host, port = self._address[0], listener.getsockname()[1]
        self._address = (host, port)
        self._state.base_url = f"http://{host}:{port}{self._state.context}"
        self._state.closing.clear()
        app = create_app(self._state, port, self._on_answer)
        self._server = create_server(app, map=self._sockets, sockets=[listener], threads=8, ident="Bitbucket sandbox")
        # Its own would tell standard error about every burst of requests.
        self._server.task_dispatcher.queue_logger = logging.Logger("quiet", logging.ERROR)
        self._thread = threading.Thread(target=self._server.run, name=f"bitbucket-sandbox-{port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving. Slow answers end at once. Do nothing if the sandbox is not running."""
        if self._thread is None:
            return
        self._state.closing.set()
        self._server.task_dispatcher.shutdown()
        # Emptying the map ends waitress' loop. What was in it is closed afterwards: closed earlier, the trigger that
        # is being pulled might be gone, and its number might be another file's.
        left: dict[int, Any] = {}

        def empty() -> None:
            left.update(self._sockets)
            self._sockets.clear()

        self._server.trigger.pull_trigger(empty)
        self._thread.join()
        close_all(left)
        self._thread = None

    def link(
        self,
        *,
        consumer_key: str,
        public_key: str,
        name: str = "",
        application_url: str = "",
        three_legged_allowed: bool = True,
    ) -> Link:
        """Make an application link with incoming authentication, without the pages.

        *public_key* is taken as it is: what the form would refuse makes the calls fail. *name* is the consumer key
        unless given, *application_url* an address of its own. Raises :class:`LinkRefusedError` if *consumer_key* or
        *application_url* is taken.
        """
        name = name or consumer_key
        consumer = Consumer(consumer_key, name, public_key, three_legged_allowed=three_legged_allowed)
        return self.links.add(name, application_url or f"https://{consumer_key}.example", consumer)

    def link_external_application(
        self,
        *,
        redirect_url: str,
        name: str = "An application",
        permissions: Iterable[str] = ("REPO_READ",),
        credentials: tuple[str, str] | None = None,
    ) -> ExternalApplication:
        """Make an incoming link for OAuth 2, without the pages; its client ID and client secret are in the answer.

        *redirect_url*: one, or several separated by commas. *permissions*: scopes such as ``REPO_READ``. *credentials*:
        client ID and client secret of an earlier sandbox; ``None`` makes new ones. Raises
        :class:`LinkRefusedError` where *name* is taken or an address or a permission unusable.
        """
        urls = (url.strip() for url in redirect_url.split(","))
        return self._state.applications.add(name, urls, permissions, credentials)

    def authorize(self, authorize_url: str, *, user: str = "jane", allow: bool = True) -> str:
        """Do over HTTP what the browser of *user* does: open *authorize_url*, log in, press Allow or Deny.

        Returns the address of the callback that the browser is sent to. Raises :class:`BrowserError` if a page
        says no, ``KeyError`` if there is no such *user*.
        """
        person = self._person(user)
        return Browser().authorize(authorize_url, person.name, person.password, allow=allow)

    def login(self, client: Any, user: str = "jane", *, page: str = "/", allow: bool = True) -> Any:
        """Log *user* in to an application through its test *client*, that of Django, Flask, Starlette or FastAPI: open
        *page*, press the button there or where it redirects to, log in here, press Allow or Deny, and come back.

        Returns the application's answer to the callback, or to the button where no login begins, as its client gives
        it. Raises :class:`LoginFailedError` if the page has no form for it, and what :meth:`authorize` raises.
        """
        return log_in(client, page, lambda address: self.authorize(address, user=user, allow=allow))

    def settings(self, consumer_key: str = "my-application") -> dict[str, str]:
        """Make the application link for *consumer_key*, with a key pair of its own; returns the settings for it by
        their full names, for one server. The key pair is the same for all sandboxes of a process."""
        private_pem, public_pem = _key_pair()
        self.link(consumer_key=consumer_key, public_key=public_pem)
        prefix = "SOCIAL_AUTH_BITBUCKET_SERVER"
        return {f"{prefix}_URL": self.url, f"{prefix}_KEY": consumer_key, f"{prefix}_PRIVATE_KEY": private_pem}

    def http_access_token(self, user: str) -> str:
        """Make an HTTP access token of *user*, as the person can on a page.

        It reaches only projects and repositories, even if the person is an administrator.
        Raises ``KeyError`` if there is no such user.
        """
        value, person = secrets.token_urlsafe(33), self._person(user)
        self._state.http_access_tokens[value] = person.id
        return value

    def revoke(self, user: str) -> int:
        """Take back every access token of *user*, as the person can on a page; says how many."""
        person = self._person(user)
        return self._state.tokens.revoke(user_id=person.id) + self._state.grants.revoke(user_id=person.id)

    def _person(self, name: str) -> User:
        person = self.users.by_name(name)
        if person is None:
            raise KeyError(name)
        return person


@cache
def _key_pair() -> tuple[str, str]:
    """Return a private and a public key as PEM. They are made once, because that takes longer than most tests."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _name(text: str) -> str:
    name = text.lower()
    if not is_name(name):
        raise ValueError(f"{text} is not a host name like bitbucket.test, which has neither scheme nor port.")
    return name

"""An application on a socket, two Bitbucket Servers that a test scripts, browsers, and what must hold after all.

Organization A logs in by FA, organization B by FB. FB is the hostile one; a third address must never be reached.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import secrets
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import pytest
import trustme
from social_core.strategy import BaseStrategy
from waitress import create_server
from waitress.wasyncore import close_all
from werkzeug.test import create_environ, run_wsgi_app

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.problems import PROBLEMS
from tests.scripted_server import Received, Reply, ScriptedServer, handler_for
from tests.transports import forget_servers

HOST = "app.example"
ORIGIN = f"https://{HOST}"
PASSWORD = "correct horse battery staple"
PORT = 8443
JSON = ("Content-Type", "application/json;charset=UTF-8")
REQUEST_TOKEN = "/plugins/servlet/oauth/request-token"
ACCESS_TOKEN = "/plugins/servlet/oauth/access-token"
PROPERTIES = "/rest/api/latest/application-properties"
WHOAMI = "/plugins/servlet/applinks/whoami"
USERS = "/rest/api/latest/users"

on_every_database = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)

everywhere = pytest.mark.parametrize("application", ["organizations", "django", "flask", "plain"], indirect=True)
"""For rows that do not speak of an application's own pages."""
with_integrations_in_a_database = pytest.mark.parametrize("application", ["organizations", "django"], indirect=True)
"""For rows about what an application keeps of integrations, where that comes with the package."""
everywhere_and_on_every_database = pytest.mark.parametrize(
    ("application", "database_url"),
    [
        ("organizations", "sqlite"),
        pytest.param("organizations", "postgresql", marks=pytest.mark.postgresql),
        ("django", "sqlite"),
        ("flask", "sqlite"),
        ("plain", "sqlite"),
    ],
    indirect=True,
)

_FAILURES = frozenset({"login.failure", "login.mixup", "login.replay"})
_NEWEST = 100
_strangers = itertools.count()


def loopback_addresses() -> tuple[str, str, str]:
    """Three addresses of this machine that no other process of the tests uses."""
    network = f"127.{10 + os.getpid() % 180}.{os.getpid() // 180 % 250}"
    return f"{network}.2", f"{network}.3", f"{network}.4"


def person(user_id: int, name: str, **fields: Any) -> dict[str, Any]:
    """A user record in Bitbucket's form."""
    record = {
        "id": user_id,
        "name": name,
        "slug": name.lower(),
        "displayName": name.title(),
        "emailAddress": f"{name}@corp.example",
        "active": True,
        "type": "NORMAL",
    }
    return {field: value for field, value in (record | fields).items() if value is not ...}


ALICE = person(42, "alice")
MALLORY = person(42, "mallory")


class Canaries:
    """Random strings that must never show up where they do not belong."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self._of_logins: list[str] = []

    def new(self, kind: str, length: int = 32) -> str:
        value = f"{kind}{secrets.token_hex(length // 2)}"
        self.add(value)
        return value

    def add(self, value: str) -> None:
        """One that belongs to a login or a session."""
        self.values.add(value)
        self._of_logins.append(value)

    def forget_all_but_the_newest(self) -> None:
        """Keep in mind the few of the last logins, and all that belong to the application."""
        self.values.difference_update(self._of_logins[:-_NEWEST])
        del self._of_logins[:-_NEWEST]


class FakeBitbucket(ScriptedServer):
    """An honest server until a test scripts an answer of its own: ``scripts[path] = Reply(…)``."""

    def __init__(self, address: str, host: str, canaries: Canaries) -> None:
        super().__init__()
        self.address, self.host, self._canaries = address, host, canaries
        self.people: dict[str, dict[str, Any]] = {}
        self._approved: dict[str, tuple[str, str]] = {}
        self._tokens: dict[str, str] = {}
        self.honest = {
            REQUEST_TOKEN: self._request_token,
            ACCESS_TOKEN: self._access_token,
            PROPERTIES: self._properties,
            USERS: self._search,
        }

    @property
    def url(self) -> str:
        return f"https://{self.host}:{PORT}"

    def __contains__(self, name: str) -> bool:
        return name in self.people

    def knows(self, record: dict[str, Any]) -> str:
        """Add a person; returns their name."""
        self.people[record["name"]] = record
        return str(record["name"])

    def authorize(self, location: str, name: str) -> tuple[str, str]:
        """The person presses Allow: the request token of *location*, and its verifier."""
        (token,) = parse_qs(urlsplit(location).query)["oauth_token"]
        verifier = self._canaries.new("VERIFIER")
        self._approved[token] = (verifier, name)
        return token, verifier

    def count(self, path: str) -> int:
        return self.paths().count(path)

    def script_for(self, received: Received) -> Any:
        if received.path in self.scripts:
            return self.scripts[received.path]
        if received.path.startswith(f"{USERS}/"):
            return self._user
        return self.honest.get(received.path, Reply("not here", 404))

    def _request_token(self, _: Received) -> Reply:
        token, secret = self._canaries.new("REQUEST"), self._canaries.new("SECRET")
        return Reply(f"oauth_token={token}&oauth_token_secret={secret}&oauth_callback_confirmed=true")

    def _access_token(self, received: Received) -> Reply:
        verifier, name = self._approved.pop(received.oauth.get("oauth_token", ""), ("", ""))
        if not verifier or verifier != received.oauth.get("oauth_verifier"):
            return Reply("oauth_problem=token_rejected", 401)
        token, secret = self._canaries.new("ACCESS"), self._canaries.new("SECRET")
        self._tokens[token] = name
        return Reply(
            f"oauth_token={token}&oauth_token_secret={secret}&oauth_expires_in=157680000"
            f"&oauth_session_handle={self._canaries.new('HANDLE')}&oauth_authorization_expires_in=160272000"
        )

    def _name(self, received: Received) -> str:
        return self._tokens.get(received.oauth.get("oauth_token", ""), "")

    def _properties(self, received: Received) -> Reply:
        name = self._name(received)
        if received.oauth.get("oauth_token") and not name:
            return Reply("oauth_problem=token_rejected", 401)
        signed_in = [("X-AUSERNAME", quote(name))] if name else []
        return Reply('{"version":"8.7.0","displayName":"Bitbucket"}', headers=[JSON, *signed_in])

    def _user(self, received: Received) -> Reply:
        slug = unquote(received.path.removeprefix(f"{USERS}/"))
        for record in self.people.values():
            if record.get("slug") == slug:
                return Reply(json.dumps(record), headers=[JSON])
        return Reply('{"errors":[{"context":null,"message":"no such user","exceptionName":null}]}', 404, [JSON])

    def _search(self, received: Received) -> Reply:
        wanted = received.query["filter"][0].lower()
        found = [record for record in self.people.values() if wanted in record["name"].lower()]
        return Reply(json.dumps({"values": found, "isLastPage": True}), headers=[JSON])


class Listener:
    """A TLS server for all rows of this process; each row has a server of its own answer there."""

    def __init__(self, address: str, host: str, ca: trustme.CA) -> None:
        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # a client that refuses the certificate is what some tests are about

        self.address, self.host = address, host
        self.current: FakeBitbucket
        self._server = Server((address, PORT), handler_for(lambda: self.current))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(host).configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def bitbucket(self, canaries: Canaries) -> FakeBitbucket:
        """Return a new server that answers here from now on."""
        self.current = FakeBitbucket(self.address, self.host, canaries)
        return self.current

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Counting:
    """A listener that must never be reached, and counts who tries."""

    def __init__(self, address: str) -> None:
        self.count = 0
        self._listener = socket.create_server((address, PORT))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.count += 1
                connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()


@dataclass
class Page:
    """An answer of the application."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        return ", ".join(value for header, value in self.headers if header.lower() == name.lower())

    @property
    def location(self) -> str:
        return self.header("Location")

    @property
    def cookies(self) -> list[str]:
        return [value for header, value in self.headers if header.lower() == "set-cookie"]

    @property
    def csrf_token(self) -> str:
        return next(iter(self.csrf_field.values()))

    @property
    def csrf_field(self) -> dict[str, str]:
        """The token's field in the page's form, as the framework calls it."""
        match = re.search(r'name="(csrf_token|csrfmiddlewaretoken)"[^>]*value="([^"]+)"', self.text)
        assert match, self.text
        return {match[1]: match[2]}

    @property
    def without_reference(self) -> str:
        """The text, without what differs from one failure to the next."""
        return re.sub(r"(?i)\b[0-9A-F]{8}\b", "REFERENCE", re.sub(r'value="[^"]{60,}"', "", self.text))


class Browser:
    """One person's browser at an *address* of theirs: cookies, and no redirect followed unless told to."""

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        self._world = world
        self._address = address
        self.cookies: dict[str, str] = {}

    def request(
        self, method: str, target: str, form: dict[str, str] | str | None = None, headers: dict[str, str] | None = None
    ) -> Page:
        """Send a request. A *form* that is text is sent as it is, and *headers* say its type."""
        sent = {"Host": HOST, "User-Agent": "a browser", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if isinstance(form, dict):
            form = urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        page = self._answer(method, target.removeprefix(ORIGIN), form, sent)
        for line in page.cookies:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel.value:  # empty where it was taken away
                    self._world.canaries.add(morsel.value)
        return page

    def _answer(self, method: str, target: str, body: str | None, headers: dict[str, str]) -> Page:
        """The application answers in this thread: what a socket adds is the subject of few rows."""
        environ = create_environ(target, f"http://{HOST}", method=method, data=body, headers=headers)
        environ["REMOTE_ADDR"] = self._address
        answer, status, sent = run_wsgi_app(self._world.serving.app, environ, buffered=True)
        page = Page(int(status.split()[0]), sent.to_wsgi_list(), b"".join(answer))
        self._collect(page)
        return page

    def _collect(self, page: Page) -> None:
        self._world.pages.append(page)

    def get(self, target: str, **options: Any) -> Page:
        return self.request("GET", target, **options)

    def post(self, target: str, form: dict[str, str] | None = None, *, token_from: str = "", **options: Any) -> Page:
        """Send *form* with the CSRF token of the page at *token_from*, where one is named."""
        token = self.get(token_from).csrf_field if token_from else {}
        return self.request("POST", target, {**token, **(form or {})}, **options)

    def begin(self, place: Place, **fields: str) -> Page:
        """Press the button on the organization's login page."""
        return self.post(place.begin_path, fields, token_from=place.login_path)

    def finish(self, place: Place, begun: Page, name: str) -> Page:
        """Allow it in Bitbucket, and come back."""
        token, verifier = place.server.authorize(begun.location, name)
        return self.get(place.callback(oauth_token=token, oauth_verifier=verifier))

    def log_in(self, place: Place, name: str) -> Page:
        return self.finish(place, self.begin(place), name)

    def log_owner_in(self, place: Any) -> Page:
        path = f"/o/{place.slug}/login/owner"
        return self.post(path, {"email": place.owner_email, "password": PASSWORD}, token_from=path)

    @property
    def session_cookie(self) -> str:
        return self.cookies[self._session_name]

    @session_cookie.setter
    def session_cookie(self, value: str) -> None:
        self.cookies[self._session_name] = value

    @property
    def _session_name(self) -> str:
        (name,) = [name for name in self.cookies if "session" in name]
        return name


class Uncollected(Browser):
    """A browser whose pages are not collected: some are failures that the test itself makes."""

    def _collect(self, page: Page) -> None:
        pass


@dataclass(frozen=True)
class Place(ABC):
    """An integration, and its addresses in the application."""

    slug: str
    integration_id: str
    namespace: str
    server: FakeBitbucket

    @property
    @abstractmethod
    def login_path(self) -> str:
        """The page with the button, where people get back to after a failure."""

    @property
    @abstractmethod
    def begin_path(self) -> str:
        """Path that the button posts to."""

    @property
    @abstractmethod
    def account_path(self) -> str:
        """A page with status 200 for people who are logged in here."""

    @property
    @abstractmethod
    def declined_path(self) -> str:
        """Path that a declined login goes to."""

    def callback(self, **query: str) -> str:
        path = f"/complete/bitbucket-server/{self.integration_id}/"
        return f"{path}?{urlencode(query)}" if query else path


@dataclass
class Ingredients:
    """Parts that every application is made of: the place of its files, the ways to reach the servers, and keys that no
    two integrations share."""

    folder: Path
    patch: pytest.MonkeyPatch
    bundle: str
    allowed: tuple[str, ...]
    database_url: str
    make_private_key: Callable[[], PrivateKey]
    world: dict[str, Any]
    """Further arguments that its world is made with."""


@dataclass(kw_only=True)
class World(ABC):
    """Everything that a row needs. What is abstract is all that a row asks of an application; each application that the
    rows are tried with derives a world of its own."""

    canaries: Canaries
    fa: FakeBitbucket
    fb: FakeBitbucket
    deny: Counting
    addresses: dict[str, list[str]]
    log: pytest.LogCaptureFixture
    serving: Serving
    pages: list[Page] = field(default_factory=list)
    a: Place = field(init=False)
    b: Place = field(init=False)
    audit: list[dict[str, Any]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    security_headers: ClassVar[dict[str, str]]
    """Headers that every page has."""
    tells_apart: ClassVar[frozenset[str]] = frozenset()
    """Which failed logins the application has an event of its own for; the others are ``login.failure``."""
    writes_down_unopenable_keys: ClassVar[bool] = False
    """Whether a private key that cannot be opened is an event."""
    checks_keys_at_start: ClassVar[bool] = False
    """Whether a key ring that opens no private keys is an event at the start."""
    problem_of_disabled: ClassVar[str] = "person_inactive"
    """The problem of a login of somebody who is disabled here."""
    hides_requests: ClassVar[bool] = False
    """Whether the frames of its framework, too, show nothing of a request."""
    answers_for_one_host: ClassVar[bool] = False
    """Whether it refuses requests for every other host and port."""
    cookie_bytes: ClassVar[int] = 4096
    """How much room all of a browser's cookies take, at the most."""
    strategy: ClassVar[type[BaseStrategy[Any]]]
    pipeline_setting: ClassVar[str] = "SOCIAL_AUTH_PIPELINE"
    """Name of the setting that says which pipeline logins go through."""
    opens_keys: ClassVar[tuple[Any, str]]
    """Object and name of what opens a private key."""

    @property
    def port(self) -> int:
        return self.serving.port

    def browser(self) -> Browser:
        return Browser(self)

    def stranger(self, kind: type[Browser] = Browser) -> Browser:
        """A browser at an address that nobody had before."""
        number = next(_strangers)
        return kind(self, f"127.200.{number // 250 % 250}.{number % 250 + 1}")

    def attempt(self, place: Place) -> Page:
        """Somebody new presses the button, whatever happened to those before."""
        forget_servers()
        return self.stranger().begin(place)

    def resolve(self, name: str) -> list[Any]:
        """The stub resolver."""
        self.looked_up.append(name)
        found = self.addresses.get(name.rstrip("."))
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(address) for address in found]

    # What a row asks of an application

    @abstractmethod
    def make_place(self, slug: str, server: FakeBitbucket) -> Place:
        """An integration with *server*, with a key pair of its own."""

    @abstractmethod
    def change_integration(self, place: Place, **fields: Any) -> None:
        """Change some of ``base_url``, ``connect_to`` and ``consumer_key``."""

    @abstractmethod
    def take_away(self, place: Place, *, delete: bool) -> None:
        """Disable or delete the integration."""

    @abstractmethod
    def users(self) -> list[Any]:
        """People who logged in, oldest first, with ``id``, ``username`` and ``email``."""

    @abstractmethod
    def identities(self) -> dict[str, Any]:
        """The id of the user of each uid."""

    @abstractmethod
    def counts(self) -> tuple[int, int, int]:
        """Users, identities, and sessions of people."""

    @abstractmethod
    def transactions(self) -> int:
        """Logins under way."""

    @abstractmethod
    def everything_stored(self) -> str:
        """Every row of every table, as text."""

    # What a row asks about settings

    @abstractmethod
    def enter(self, base_url: str, ca_certificates: str = "") -> bool:
        """Somebody enters one more integration of organization A; returns whether it is accepted."""

    @abstractmethod
    def allow_plain_http(self, host: str) -> None:
        """The operator lets organizations enter this one host without TLS."""

    @abstractmethod
    def base_urls(self) -> list[str]:
        """Those of all integrations, oldest first."""

    @abstractmethod
    def refusal(self, **settings: Any) -> str:
        """Start the application with these further *settings*. Return the error's text, empty if nothing is wrong."""

    @abstractmethod
    def refusal_of_private_network(self, network: str) -> str:
        """Return the :meth:`refusal` of a start where the operator allows A a private *network*."""

    @abstractmethod
    def wait_for_servers(self, seconds: float) -> None:
        """Let an answer of any Bitbucket Server take so long."""

    @property
    @abstractmethod
    def identity_class(self) -> Any:
        """The identities of social-core's storage."""

    @property
    def identity_finder(self) -> tuple[Any, str]:
        """The class and the name of the method by which a login finds its identity."""
        return self.identity_class, "get_social_auth"

    # What a row asks about keys

    @abstractmethod
    def allow_private_networks(self, **networks: str) -> None:
        """The operator's list, in place of the one before: a private network by a place's slug."""

    @abstractmethod
    def find(self, place: Place) -> Integration:
        """Return the integration that a login begins with."""

    @abstractmethod
    def backend(self, place: Place) -> BitbucketServerOAuth1[Any]:
        """The backend of a login, outside of any request."""

    @abstractmethod
    def holders(self, place: Place) -> tuple[Any, ...]:
        """Return those of the application's own objects that hold keys, sealed or not."""

    @property
    @abstractmethod
    def ring(self) -> str:
        """The key ring, as it is configured."""

    @abstractmethod
    def use_ring(self, ring: str) -> None:
        """Start anew with another key ring."""

    @abstractmethod
    def rewrap(self) -> bool:
        """Seal every private key with the ring's newest key; returns whether all could be opened."""

    @abstractmethod
    def sealed_keys(self) -> dict[str, str]:
        """The sealed private key of each integration."""

    @abstractmethod
    def sealed_for(self, place: Place) -> dict[str, str]:
        """Return what the sealed private key of *place* is bound to, in the key ring's words."""

    @abstractmethod
    def seal_differently(self, place: Place, record: str) -> None:
        """Put *record* in place of its sealed private key."""

    @abstractmethod
    def forget_opened_keys(self) -> None:
        """Open every private key anew, as a new process does."""

    def stop(self) -> None:
        """End the application. Twice does no harm."""
        self.serving.close()

    # What happened

    @contextlib.contextmanager
    def nothing_new(self) -> Iterator[None]:
        """NONE: no new row in users, identities and sessions."""
        before = self.counts()
        yield
        assert self.counts() == before

    def events(self, name: str) -> list[dict[str, Any]]:
        if name in _FAILURES and name not in self.tells_apart:
            name = "login.failure"
        return [line for line in self.audit if line["event"] == name]

    def last_failure(self) -> str:
        """The last failed login's "Class/code", with the parameter or claim where there is one."""
        line = [line for line in self.audit if line["event"] in _FAILURES][-1]
        about = line.get("claim") or line.get("parameter")
        return f"{PROBLEMS[line['problem']].family.__name__}/{line['code']}" + (f"({about})" if about else "")

    # What must hold after every row

    def check(self, logged: str) -> None:
        """G1 to G5; G6 is :meth:`nothing_new`."""
        bodies = "\n".join(page.text for page in self.pages if "charset" in page.header("Content-Type"))
        shown = {
            "a log": logged,
            "a page": bodies,
            "the audit log": json.dumps(self.audit),
        }
        for page in self.pages:
            assert page.status != 500, page.text
            for name, value in self.security_headers.items():
                assert value in page.header(name), f"{name} is missing: {page.status} {page.headers}"
            assert all(len(cookie) < 4096 for cookie in page.cookies)
        for canary in self.canaries.values:
            for where, contents in shown.items():
                assert canary not in contents, f"{canary} is in {where}"
        assert self.deny.count == 0

    def check_and_forget(self) -> None:
        """Check what was shown since the last time as :meth:`check` does, and forget it. The secrets of the last few
        logins are still looked for next time."""
        self.check(self.log.text)
        self.pages.clear()
        self.audit.clear()
        self.log.clear()
        self.canaries.forget_all_but_the_newest()


class Serving:
    """The application, and from the moment that somebody asks for its port, a server in front of it, with threads."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._stop = contextlib.ExitStack()

    @functools.cached_property
    def port(self) -> int:
        return self._stop.enter_context(serve(self.app))

    def close(self) -> None:
        self._stop.close()


@contextlib.contextmanager
def serve(app: Any) -> Iterator[int]:
    """Answer for *app* with waitress; yield the port."""
    sockets: dict[int, Any] = {}
    server = create_server(app, map=sockets, host="127.0.0.1", port=0, threads=16, clear_untrusted_proxy_headers=False)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield int(server.effective_port)
    server.task_dispatcher.shutdown()
    # Closed in the loop, the trigger might be gone while it is still being pulled.
    left: dict[int, Any] = {}
    server.trigger.pull_trigger(lambda: (left.update(sockets), sockets.clear()))
    thread.join()
    close_all(left)

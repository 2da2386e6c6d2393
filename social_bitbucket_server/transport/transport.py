"""HTTP with Bitbucket Servers: the only place that speaks it.

Every name is resolved once, all its addresses are checked, and the connection goes to one of those very addresses. No
redirects, no cookies, nothing from the environment, no retries; limits in bytes, and one deadline for everything.
Idle connections are kept for a while and used again, a few for each integration.
"""

from __future__ import annotations

import http.client
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import urllib3

from ..crypto import without_variables
from ..problems import BitbucketServerError, Code
from . import reaching
from .addresses import Address, AddressPolicy
from .breaker import Breaker
from .bulkhead import WHOLE, Budget, Bulkheads, Limits, Share
from .connection_errors import ConnectionWentStale, fault, is_by_proxy, proxy_refusal
from .connections import Connections, connections_to
from .exchange import CURRENT, Answer, Exchange, Route
from .heads import LimitedResponse
from .reaching import LookUp, Resolver, system_resolver
from .trust import ssl_context

Method = Literal["GET", "POST", "PUT", "DELETE"]

DOCUMENT_LIMIT = 64 * 1024
"""Bytes that a JSON document may have."""

TOKEN_LIMIT = 8 * 1024
"""Bytes that the answer of a token endpoint may have."""

SERVERS = 128
"""Servers to which connections are kept open; those of the server that was asked least recently are closed first."""

_BREAKERS = 1024
_CHUNK = 16 * 1024
# A blocked address counts as a failed connection does, so that what comes afterwards does not tell the two apart.
_NOT_REACHED = frozenset(
    {Code.ADDRESS_BLOCKED, Code.PROXY_CREDENTIALS_REFUSED, Code.PROXY_DESTINATION_REFUSED, Code.PROXY_UNREACHABLE}
)
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)


class Clocks:
    """The clocks that are known to be wrong, each by the *owner* of the route and the *origin* of the server.

    *most*: how many are kept. Those that were learned first are forgotten first.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._changing = threading.Lock()
        self._differences: OrderedDict[tuple[str, str], int] = OrderedDict()

    def difference(self, owner: str, origin: str) -> int:
        """Return the seconds by which the clock is ahead of this machine's: negative if it is behind, 0 if unknown."""
        return self._differences.get((owner, origin), 0)

    def learn(self, owner: str, origin: str, seconds: int) -> None:
        """Remember that the clock is ahead by so many *seconds*."""
        with self._changing:
            self._differences[owner, origin] = seconds
            self._differences.move_to_end((owner, origin))
            if len(self._differences) > self._most:
                self._differences.popitem(last=False)

    def forget(self, owner: str, origin: str) -> None:
        """Forget the difference, and trust the clock again."""
        with self._changing:
            self._differences.pop((owner, origin), None)


class Transport:
    """The way from one process to all servers, with everything that is kept between requests: connections, breakers,
    bulkheads, and the clocks of servers.

    *resolver* looks a name up. *servers*: how many of them connections are kept to. *limits*: those of steps for which
    none are configured. Each route has connections and breakers of its own. All methods may be called by many threads
    at once. A process that was forked must not use the transport of its parent; see :func:`.default_transport`.
    """

    def __init__(
        self, *, resolver: Resolver = system_resolver, servers: int = SERVERS, limits: Limits | None = None
    ) -> None:
        self.resolver = resolver
        self.limits = limits or Limits()
        self.bulkheads = Bulkheads()
        self.clocks = Clocks()
        self._connections = lru_cache(maxsize=servers)(connections_to)
        self._breakers = lru_cache(maxsize=_BREAKERS)(lambda _origin, _route: Breaker())
        # Two threads that come first at once would make two of them, each with its own connections or failures.
        self._making = threading.Lock()

    def send(
        self,
        method: Method,
        url: str,
        headers: Mapping[str, str],
        *,
        route: Route,
        body: str | None = None,
        timeout: float = 10.0,
        limit: int = DOCUMENT_LIMIT,
        fresh: bool = False,
        regardless: bool = False,
        budget: Budget | None = None,
    ) -> Answer:
        """Send one request and read its whole answer, of whatever status.

        *timeout* is for everything, in seconds; *limit* in bytes. *fresh* opens a new connection, so that it cannot
        have gone stale. *regardless* of failures just now, which otherwise keep requests from being sent for a moment.
        *budget*: of the step that the request belongs to; by default the request may wait for its whole *timeout*.
        Raises ``connection_failed``, the problems of TLS and of proxies, ``timeout``, ``malformed_answer``,
        ``answer_compressed``, ``address_blocked``, ``server_overloaded``, ``server_busy``, ``conversation_too_long``,
        and :class:`ConnectionWentStale`.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        breaker = self._breaker(origin, route)
        budget = budget or Budget.of_one_request(timeout)
        if not regardless and not budget.is_admitted:
            breaker.check()
        exchange = Exchange(route, timeout, fresh, budget, self.resolver)
        token = CURRENT.set(exchange)
        problem: Exception
        try:
            with budget.request():
                if route.proxy is not None and route.policy is not None:
                    exchange.through_proxy_to = _checked_address(url, exchange)
                answer = self._answer(method, origin, url, headers, body, route, exchange, limit)
        except BitbucketServerError as error:
            problem = error
            if exchange.answered:
                breaker.count(failed=False)
            elif error.code in _NOT_REACHED:
                breaker.count(failed=True)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            problem = fault(error, exchange)
            if not isinstance(problem, ConnectionWentStale):
                breaker.count(failed=True)
        except Exception as error:  # noqa: BLE001  # raised below
            problem = error
        else:
            breaker.count(failed=False)
            return answer
        finally:
            CURRENT.reset(token)
        without_variables(problem)  # they hold the signature
        raise problem

    def admit(self, origin: str, route: Route, budget: Budget) -> None:
        """Let the step that *budget* belongs to ask the server at *origin*, even if other requests fail meanwhile. It
        can use up something that works once. Raises ``server_overloaded``."""
        self._breaker(origin, route).check()
        budget.is_admitted = True

    def begin_step(self, tenant: str, limits: Limits | None = None, share: Share = WHOLE) -> Budget:
        """Begin a step at the servers of *tenant*, and return its budget, which the caller ends.

        *limits* of ``None`` are the transport's own. Raises ``server_busy``.
        """
        return Budget(self.bulkheads.of(tenant), limits or self.limits, share)

    def look_up(self, host: str, policy: AddressPolicy | None, seconds: float) -> list[Address]:
        """Return all addresses of *host*, an IP address or a name, every one of them permitted by *policy*.

        *seconds* limits the time, :data:`.reaching.RESOLVER_SECONDS` anyhow. Under a policy, names are not looked up in
        search domains. Raises ``OSError`` if there is none, TimeoutError among them, and ``address_blocked``.
        """
        return LookUp(host, policy, self.resolver).addresses(min(reaching.RESOLVER_SECONDS, seconds))

    def _breaker(self, origin: str, route: Route) -> Breaker:
        with self._making:
            return self._breakers(origin, route)

    def _way(self, origin: str, route: Route) -> Connections:
        with self._making:
            context = ssl_context(route.verify, route.ca_certificates, route.client_certificate, route.client_key)
            return self._connections(origin, route, context)

    def _answer(
        self,
        method: Method,
        origin: str,
        url: str,
        headers: Mapping[str, str],
        body: str | None,
        route: Route,
        exchange: Exchange,
        limit: int,
    ) -> Answer:
        # A LimitedResponse, whatever urllib3 says.
        response: Any = self._way(origin, route).urlopen(
            method,
            url[len(origin) :] if route.proxy is None else url,
            body=None if body is None else body.encode(),
            headers={"User-Agent": "social-auth-bitbucket-server", "Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=_NO_RETRIES,
            timeout=exchange.remaining(),
            preload_content=False,
        )
        is_read = False
        try:
            received_headers = urllib3.HTTPHeaderDict(response.headers.items())
            if route.proxy is not None and url.startswith("http://") and is_by_proxy(response.status, received_headers):
                raise proxy_refusal(response.status, received_headers)
            received = _body(response, received_headers, limit)
            is_read = True
            return Answer(response.status, received_headers, received, url)
        finally:
            response.release(is_read=is_read)


def _body(response: LimitedResponse, headers: urllib3.HTTPHeaderDict, limit: int) -> bytes:
    if headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
        raise BitbucketServerError(Code.ANSWER_COMPRESSED, status_code=response.status)
    if len(set(headers.getlist("Content-Length"))) > 1:
        # The next answer on the connection could begin after either.
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It says two lengths.")
    response.limit_chunks(limit)
    received = bytearray()
    while chunk := response.read(_CHUNK):
        received += chunk
        if len(received) > limit:
            raise BitbucketServerError(Code.MALFORMED_ANSWER, f"It is longer than {limit} bytes.")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)  # without what was read: it may be a token
    if response.status == 200 and response.length is None and not response.chunked:
        # An attacker who can cut the connection could cut the answer short, even with TLS.
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It does not say how long it is.")
    return bytes(received)


def _checked_address(url: str, exchange: Exchange) -> Address:
    """Return the address to ask a proxy for. It would look a name up itself, and perhaps find another address. So it
    would with ``http://``, which is refused: without TLS there is no tunnel to the checked address."""
    if not url.startswith("https://"):
        raise BitbucketServerError(
            Code.SETTING_INVALID,
            "A base URL that begins with http:// is not asked through a proxy, because the proxy would look its name "
            "up itself. Use https://, or no proxy for this server.",
            parameter="proxies",
        )
    host, _ = exchange.route.connect_to or (urlsplit(url).hostname or "", 0)
    addresses = exchange.look_up(host, exchange.route.policy)
    return min(addresses, key=lambda address: address.version)


_transports: dict[int, Transport] = {}


def default_transport() -> Transport:
    """Return the transport of this process. It is made when it is first asked for.

    A forked process makes its own: it uses no connection of its parent. Do not keep the result, so that this holds for
    every object that a fork copies.
    """
    # Without a lock: a thread that does not exist in the child could have held it. The parent's transport stays, since
    # letting go of its connections takes their locks.
    process = os.getpid()
    return _transports.get(process) or _transports.setdefault(process, Transport())


def use_transport(transport: Transport) -> None:
    """Let all threads of this process use *transport* from now on. Tests begin with one that has learnt nothing."""
    _transports[os.getpid()] = transport

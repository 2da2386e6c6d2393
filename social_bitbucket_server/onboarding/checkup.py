"""The staged test of an integration. It finds the stage that keeps people from logging in, with its remedy.

Each stage sends as little as possible. A stage that fails ends the test, unless it is the clock's.
"""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from ..crypto import Secret
from ..integration import Integration, OAuth2Integration, Server, ServerURL, tenant_of
from ..oauth import (
    Cause,
    Explanation,
    OAuth2Client,
    authorization,
    base_string,
    explain,
    oauth_problem,
    read_form,
    read_json,
    refuse_oauth_problem,
    server_time,
)
from ..problems import BitbucketServerError, Code, Problem
from ..transport import (
    DOCUMENT_LIMIT,
    TOKEN_LIMIT,
    UNREADABLE,
    Address,
    Answer,
    Budget,
    Limits,
    Method,
    Route,
    ShownCertificate,
    connect,
    default_transport,
    diagnose,
    interception,
    is_bitbuckets_own,
    is_intercepted,
    served_chain,
    shown,
    ssl_context,
    unavailability,
)
from .worksheets import Dialog, dialog_of

_T = TypeVar("_T")

SECONDS = 15.0
"""Seconds that all stages together may take, even if everything hangs. A login's limit applies if it is shorter."""

CLOCK_TOLERANCE = 300
"""Seconds by which Bitbucket lets clocks differ."""

SHORTEST = 0.01
"""Seconds that a step gets after that time is over, so that it ends by itself."""

_STAGE_SECONDS = 4.0
_PROPERTIES_PATH = "/rest/api/latest/application-properties"
_REFUSED = frozenset({401, 403})
_TOKEN_REFUSED = frozenset({Code.TOKEN_EXPIRED, Code.TOKEN_REJECTED, Code.TOKEN_REVOKED})
_CONTEXT_PATHS = ("/bitbucket", "/stash", "/git")
_MOST_CANDIDATES = 4
_PROBLEMS_BY_CAUSE = {
    Cause.KEY: Code.PUBLIC_KEY_DIFFERS,
    Cause.METHOD: Code.REQUEST_CHANGED,
    Cause.PARAMETERS: Code.REQUEST_CHANGED,
    Cause.UNKNOWN: Code.SIGNATURE_INVALID,
}
"""Problems of an invalid signature. All other causes are ``address_hidden``."""


class Stage(StrEnum):
    """The stages, in their order. The last ones are signature and REST with OAuth 1, the credentials with OAuth 2."""

    BASE_URL = "Base URL"
    NAME = "Host name"
    CONNECTION = "Connection"
    TLS = "TLS"
    HTTP = "HTTP"
    BITBUCKET = "Bitbucket"
    CLOCK = "Clock"
    SIGNATURE = "Signature"
    REST = "REST"
    CREDENTIALS = "Credentials"


class Outcome(StrEnum):
    """Outcome of a stage."""

    PASSED = "passed"
    SKIPPED = "skipped"
    UNPROTECTED = "unprotected"
    FAILED = "failed"
    NOT_REACHED = "not reached"

    @property
    def lets_logins_work(self) -> bool:
        """Return whether people can log in as far as this stage says."""
        return self not in {Outcome.FAILED, Outcome.NOT_REACHED}


_Stage = tuple[Stage, Callable[[], "Result"]]


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one stage: a sentence about it and, if the stage failed, the problem with its remedy.

    *facts* are for programs: ``version``, ``clock_difference`` (seconds), ``base_url`` (a better one),
    ``ca_certificates`` (PEM that would make the server trusted). *chain*: the certificates that the server shows.
    *explanation*: of an invalid signature. *blocked*: ``host`` and ``address_class`` if the address policy forbids an
    address. It is for the operator's log alone: people who see the result must not learn that there is such an address.
    """

    stage: Stage
    outcome: Outcome
    says: str = ""
    problem: Problem | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    chain: tuple[ShownCertificate, ...] = ()
    explanation: Explanation | None = None
    blocked: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


def check_up(
    make_integration: Callable[[], Integration | OAuth2Integration], callback: str, *, limits: Limits | None = None
) -> Iterator[Result]:
    """Yield the result of each stage as soon as it is there. All of them come within :data:`SECONDS`.

    *make_integration* returns the integration, or raises the problem of a bad configuration. *callback* is the address
    that the application's logins come back to. With OAuth 1 a call names it, but no browser is sent there. *limits* say
    how long the server may keep threads waiting; ``None`` for the default ones.
    """
    with closing(_Walk(limits)) as walk:
        yield from _results(walk, lambda: walk.to_login(make_integration(), callback))


def _results(walk: _Walk, begin: Callable[[], Result]) -> Iterator[Result]:
    first, ended = _look(Stage.BASE_URL, begin)
    yield first
    stages: tuple[_Stage, ...] = (
        (Stage.NAME, walk.name),
        (Stage.CONNECTION, walk.connection),
        (Stage.TLS, walk.tls),
        (Stage.HTTP, walk.http),
        (Stage.BITBUCKET, walk.bitbucket),
        (Stage.CLOCK, walk.clock),
        *walk.last_stages,
    )
    for stage, look in stages:
        if ended:
            yield Result(stage, Outcome.NOT_REACHED)
        else:
            result, ended = _look(stage, look)
            yield result


def look_at_server(server: Server, *, organization: str = "", limits: Limits | None = None) -> Result:
    """Return what *server* is, before anything is agreed with it.

    It is the result of :attr:`Stage.BITBUCKET`, with the ``version`` in its facts, or of the stage that failed before.
    *organization* is that of :class:`~.integration.Integration`; *limits* are those of :func:`check_up`.
    """
    tenant = tenant_of(organization, "servers without an integration")
    with closing(_Walk(limits)) as walk:
        results = _results(walk, lambda: walk.to_server(server, owner=tenant, tenant=tenant))
        return next(result for result in results if result.outcome is Outcome.FAILED or result.stage is Stage.BITBUCKET)


def _look(stage: Stage, look: Callable[[], Result]) -> tuple[Result, bool]:
    """Return the result of *stage*, and whether the check-up ends there."""
    try:
        result = look()
    except BitbucketServerError as error:
        result = _failed(stage, error)
    # A wrong clock does not end the check-up: the signature is made with the server's time.
    return result, result.outcome is Outcome.FAILED and stage is not Stage.CLOCK


def first_failure(results: list[Result]) -> Result | None:
    """Return the first stage that failed, or ``None``."""
    return next((result for result in results if result.outcome is Outcome.FAILED), None)


class _Walk:
    """The stages, and the findings that each leaves for the ones after it."""

    def __init__(self, limits: Limits | None) -> None:
        self._transport = default_transport()
        self._limits = limits or self._transport.limits
        self._deadline = time.monotonic() + min(SECONDS, self._limits.login_seconds)
        self._budget: Budget | None = None
        self._clock_difference = 0
        self._version = ""
        self._tenant: str
        self._url: ServerURL
        self._route: Route
        self._addresses: list[Address]
        self._answer: Answer
        self.last_stages: tuple[_Stage, ...] = tuple(
            (stage, partial(Result, stage, Outcome.NOT_REACHED)) for stage in (Stage.SIGNATURE, Stage.REST)
        )

    def to_login(self, integration: Integration | OAuth2Integration, callback: str) -> Result:
        """Begin the way to a login, whose last stages need the credentials of *integration*."""
        result = self.to_server(integration.server, owner=integration.id, tenant=integration.tenant)
        if isinstance(integration, OAuth2Integration):
            self.last_stages = ((Stage.CREDENTIALS, lambda: self._credentials(integration)),)
        else:
            integration.private_key.sign_sha1(b"")  # raises where this machine makes no such signature
            self.last_stages = (
                (Stage.SIGNATURE, lambda: self._signature(integration, callback)),
                (Stage.REST, lambda: self._rest(integration)),
            )
        return result

    def to_server(self, server: Server, *, owner: str, tenant: str) -> Result:
        """Begin the way to *server*. *owner* and *tenant* are those of its route and of its bulkhead."""
        self._url, self._tenant = server.url, tenant
        self._route = server.route_for(owner)
        elsewhere = f", with connections to {server.connect_to}" if server.connect_to is not None else ""
        return Result(Stage.BASE_URL, Outcome.PASSED, f"{server.url}{elsewhere}")

    def close(self) -> None:
        """Free the place among slow steps."""
        if self._budget is not None:
            self._budget.end()

    def name(self) -> Result:
        self._budget = self._transport.begin_step(self._tenant, self._limits)
        if self._route.proxy is not None:
            return Result(Stage.NAME, Outcome.SKIPPED, "The proxy looks the name up.")
        host, _ = self._destination
        try:
            self._addresses = self._wait(lambda seconds: self._transport.look_up(host, self._route.policy, seconds))
        except (OSError, BitbucketServerError) as error:
            if isinstance(error, BitbucketServerError) and error.code == Code.SERVER_BUSY:
                raise
            # In the same words whether there is no such name or its addresses are not for this application.
            code = Code.NAME_NOT_FOUND if self._route.connect_to is None else Code.CONNECT_TO_NOT_FOUND
            raise BitbucketServerError(code) from error
        addresses = list(map(str, self._addresses))
        if addresses == [host.strip("[]")]:
            whose = "The base URL has" if self._route.connect_to is None else "The place to connect to is"
            return Result(Stage.NAME, Outcome.SKIPPED, f"{whose} an address in place of a name.")
        return Result(Stage.NAME, Outcome.PASSED, f"{host} is {', '.join(addresses)}")

    def connection(self) -> Result:
        if self._route.proxy is not None:
            return Result(Stage.CONNECTION, Outcome.SKIPPED, "The proxy makes the connection.")
        _, port = self._destination
        try:
            self._wait(self._connect_within).close()
        except OSError as error:
            if isinstance(error, ConnectionRefusedError):
                code = Code.PORT_CLOSED if self._route.connect_to is None else Code.CONNECT_TO_CLOSED
            else:
                code = Code.PORT_SILENT if self._route.connect_to is None else Code.CONNECT_TO_SILENT
            raise BitbucketServerError(code, f"It is port {port}.") from error
        return Result(Stage.CONNECTION, Outcome.PASSED, f"Port {port} answers")

    def tls(self) -> Result:
        if self._url.scheme == "http":
            says = "None: the base URL begins with http://, so anybody on the way can read and change what is sent."
            return Result(Stage.TLS, Outcome.UNPROTECTED, says)
        if self._route.proxy is not None:
            return Result(Stage.TLS, Outcome.SKIPPED, "Looked at with the next stage, through the proxy")
        route = self._route
        context = ssl_context(route.verify, route.ca_certificates, route.client_certificate, route.client_key)
        host = self._url.host.strip("[]")
        try:
            with self._wait(
                lambda seconds: context.wrap_socket(self._connect_within(seconds), server_hostname=host)
            ) as secured:
                protocol = secured.version()
        except ssl.SSLError as error:
            return self._untrusted(error, host)
        except TimeoutError as error:
            raise BitbucketServerError(Code.TLS_SILENT) from error
        except OSError as error:
            raise BitbucketServerError(Code.TLS_ERROR, "The server ended the handshake.") from error
        return Result(Stage.TLS, Outcome.PASSED, f"{protocol}, and the certificate is trusted")

    def http(self) -> Result:
        try:
            answer = self._answer = self._get(self._url)
        except BitbucketServerError as error:
            if error.code != Code.CONNECTION_FAILED or self._route.proxy is not None:
                raise
            # Connections were made in the stages before.
            raise BitbucketServerError(Code.NOT_HTTP) from error
        unavailable = unavailability(answer)
        if unavailable is not None:
            raise unavailable
        if answer.status == 404 or is_intercepted(answer):
            better = self._better_base_url(answer)
            if better is not None:
                facts, reason = {"base_url": str(better)}, f"It is {better}."
                raise BitbucketServerError(Code.CONTEXT_PATH_MISSING, reason, parameter="base_url", facts=facts)
            raise interception(answer)
        if not self._is_closed_to_anonymous_callers(answer):
            if answer.status == 401:
                raise BitbucketServerError(Code.LOGIN_IN_FRONT, "It answers with status 401.", status_code=401)
            if answer.status != 200:
                read_json(answer)  # raises the problem that it reports
        return Result(Stage.HTTP, Outcome.PASSED, "It answers, and nothing stands in front of it")

    def bitbucket(self) -> Result:
        if self._answer.status != 200:
            return Result(Stage.BITBUCKET, Outcome.PASSED, "Bitbucket (its version is not told)")
        document = read_json(self._answer)
        self._version = _version(document)
        if not self._version:
            raise BitbucketServerError(Code.NOT_BITBUCKET)
        name, says = document.get("displayName"), f"Bitbucket {self._version}"
        if name in ("Bitbucket", "Stash"):
            says = f"{name} {self._version}"
        elif isinstance(name, str) and name:  # the admin's choice, so the product's name stands before it
            says += f" (“{''.join(filter(str.isprintable, name))[:100]}”)"
        return Result(Stage.BITBUCKET, Outcome.PASSED, says, facts={"version": self._version})

    def clock(self) -> Result:
        theirs = server_time(self._answer)
        if theirs is None:
            return Result(Stage.CLOCK, Outcome.PASSED, "The server does not say what time it has")
        difference = round(theirs - time.time())
        facts = {"clock_difference": str(difference)}
        if abs(difference) > CLOCK_TOLERANCE:
            self._clock_difference = difference
            reason = f"The server's is {abs(difference)} seconds {'ahead' if difference > 0 else 'behind'}."
            raise BitbucketServerError(Code.TIMESTAMP_REFUSED, reason, facts=facts)
        return Result(Stage.CLOCK, Outcome.PASSED, f"The clocks differ by {abs(difference)} s", facts=facts)

    def _credentials(self, integration: OAuth2Integration) -> Result:
        if dialog_of(self._version) is Dialog.UP_TO_7_19:
            raise BitbucketServerError(Code.EXTERNAL_LINKS_MISSING, f"It is version {self._version}.")
        timed = replace(integration, server=replace(integration.server, timeout=self._seconds))
        try:
            OAuth2Client(timed, self._budget).check_credentials()
        except BitbucketServerError as error:
            if error.status_code == 404 and self._version:
                raise BitbucketServerError(Code.OAUTH_MISSING, status_code=404) from error
            raise
        says = "Bitbucket knows the client ID and accepts the client secret"
        return Result(Stage.CREDENTIALS, Outcome.PASSED, says)

    def _signature(self, integration: Integration, callback: str) -> Result:
        url = self._url.request_token
        header = self._authorization("POST", url, integration, callback=callback)
        answer = self._send("POST", url, {"Accept": "*/*", "Authorization": header}, TOKEN_LIMIT)
        try:
            fields = read_form(answer)
        except BitbucketServerError as error:
            if error.code == Code.SIGNATURE_INVALID:
                return self._explained(Stage.SIGNATURE, answer, base_string("POST", url, header), integration)
            # The server was healthy a moment ago. It needs the public key only for the signature of this call.
            if answer.status == 500:
                raise BitbucketServerError(Code.PUBLIC_KEY_UNUSABLE, status_code=answer.status) from error
            if answer.status == 404:
                raise BitbucketServerError(Code.OAUTH_MISSING, status_code=answer.status) from error
            raise
        if fields.get("oauth_callback_confirmed") != "true":
            raise BitbucketServerError(Code.CALLBACK_NOT_CONFIRMED)
        says = "Bitbucket knows the consumer key and accepts the signature"
        return Result(Stage.SIGNATURE, Outcome.PASSED, says)

    def _rest(self, integration: Integration) -> Result:
        """Make a signed call below /rest. Bitbucket rejects its made-up token, if it sees one."""
        url = self._url.application_properties
        header = self._authorization("GET", url, integration, token=secrets.token_hex(16))
        answer = self._send("GET", url, {"Accept": "application/json", "Authorization": header}, DOCUMENT_LIMIT)
        try:
            refuse_oauth_problem(answer)
        except BitbucketServerError as error:
            if error.code == Code.SIGNATURE_INVALID:
                return self._explained(Stage.REST, answer, base_string("GET", url, header), integration)
            if error.code not in _TOKEN_REFUSED:
                raise
            return Result(Stage.REST, Outcome.PASSED, "Signed calls reach Bitbucket below /rest, too")
        if answer.status not in {200, *_REFUSED} or is_intercepted(answer):
            read_json(answer)  # raises the problem that it reports
        reason = "It arrives below /plugins/servlet/oauth, and not below /rest."
        raise BitbucketServerError(Code.AUTHORIZATION_HEADER_LOST, reason, status_code=answer.status)

    def _authorization(self, method: Method, url: str, integration: Integration, **parameters: str) -> Secret:
        """Return the header that signs a request, with the server's own time."""
        timestamp = int(time.time()) + self._clock_difference
        key, private_key = integration.consumer_key, integration.private_key
        return authorization(method, url, key, private_key, timestamp=timestamp, **parameters)

    def _explained(self, stage: Stage, answer: Answer, signed: str, integration: Integration) -> Result:
        """Return the result of a *stage* that failed: the signature over *signed*, our base string, is invalid."""
        explanation = explain(
            signed,
            oauth_problem(answer).get("oauth_signature_base_string", ""),
            key_fingerprint=integration.private_key.public.fingerprint,
        )
        code = _PROBLEMS_BY_CAUSE.get(explanation.cause, Code.ADDRESS_HIDDEN)
        problem = BitbucketServerError(code, explanation.conclusion, status_code=answer.status)
        return replace(_failed(stage, problem), explanation=explanation)

    @property
    def _destination(self) -> tuple[str, int]:
        """Host and port that connections go to."""
        return self._route.connect_to or self._url.host_and_port

    @property
    def _seconds(self) -> float:
        return max(min(_STAGE_SECONDS, self._deadline - time.monotonic()), SHORTEST)

    def _get(self, base_url: ServerURL) -> Answer:
        return self._send("GET", base_url.application_properties, {"Accept": "application/json"}, DOCUMENT_LIMIT)

    def _send(self, method: Method, url: str, headers: Mapping[str, str], limit: int) -> Answer:
        return self._transport.send(
            method,
            url,
            headers,
            route=self._route,
            timeout=self._seconds,
            limit=limit,
            fresh=True,
            regardless=True,
            budget=self._budget,
        )

    def _is_closed_to_anonymous_callers(self, answer: Answer) -> bool:
        """Return whether *answer*, a refusal, is Bitbucket's own. If its headers do not say so, ``/status`` may."""
        if answer.status not in _REFUSED or answer.is_html:
            return False
        if is_bitbuckets_own(answer):
            return True
        try:
            document = read_json(self._send("GET", self._url.status, {"Accept": "application/json"}, TOKEN_LIMIT))
        except BitbucketServerError:
            return False
        return isinstance(document.get("state"), str)

    def _untrusted(self, error: ssl.SSLError, host: str) -> Result:
        """Return the result of the stage TLS: the problem with the certificates that the server shows, if it shows any.

        Raises ``tls_error`` if they cannot be read.
        """
        try:
            chain = self._wait(lambda seconds: served_chain(self._connect_within(seconds), host))
            problem = diagnose(error, chain, host, self._route.client_certificate)
            return replace(_failed(Stage.TLS, problem), chain=tuple(shown(chain)))
        except OSError:
            return _failed(Stage.TLS, diagnose(error, [], host, self._route.client_certificate))
        except BitbucketServerError:  # there is no room for another step that waits
            raise
        except UNREADABLE as unreadable:
            raise BitbucketServerError(Code.TLS_ERROR, "Its certificate cannot be read.") from unreadable

    def _connect_within(self, seconds: float) -> socket.socket:
        _, port = self._destination
        return connect(self._addresses, port, seconds)

    def _wait(self, block: Callable[[float], _T]) -> _T:
        """Call *block* with the seconds that it may wait for the server."""
        assert self._budget is not None  # noqa: S101  # the stage Name makes it
        with self._budget.answer():
            return self._budget.wait(block, self._budget.deadline(self._seconds))

    def _better_base_url(self, answer: Answer) -> ServerURL | None:
        """Return the base URL on the same host where Bitbucket answers, or ``None``. Tries a few likely ones."""
        path = self._url.path
        parents = ["/".join(path.split("/")[:count]) for count in range(path.count("/"), 0, -1)]
        likely = (
            self._url.before_page,
            self._redirected(answer),
            *(replace(self._url, path=path) for path in (*parents, *_CONTEXT_PATHS)),
        )
        candidates = [url for url in dict.fromkeys(likely) if url is not None and url != self._url]
        for candidate in candidates[:_MOST_CANDIDATES]:
            try:
                found = self._get(candidate)
                if (found.status in _REFUSED and is_bitbuckets_own(found)) or _version(read_json(found)):
                    return candidate
            except BitbucketServerError:
                continue
        return None

    def _redirected(self, answer: Answer) -> ServerURL | None:
        """Return the base URL that a redirect within the same host hints at, or ``None``.

        It is the redirect's address without the path that was asked for, or with the first segment of its path. The
        rules of the server's base URL hold for it, ports included.
        """
        try:
            target = urlsplit(urljoin(self._url.application_properties, answer.headers.get("Location", "")))
            if target.path.endswith(_PROPERTIES_PATH):
                path = target.path.removesuffix(_PROPERTIES_PATH)
            else:
                path = "/".join(target.path.split("/")[:2])
            hinted = ServerURL.parse(f"{target.scheme}://{target.netloc}{path}", self._url.rules)
        except (ValueError, BitbucketServerError):
            return None
        return hinted if hinted.host == self._url.host and hinted.scheme in {"https", self._url.scheme} else None


def _version(document: Mapping[str, Any]) -> str:
    """Return Bitbucket's version, which may be a number in *document*; empty if there is none."""
    version = document.get("version")
    text = str(version) if type(version) in {int, float} else version
    return text if isinstance(text, str) and re.fullmatch(r"[0-9][0-9A-Za-z.-]{0,40}", text) else ""


def _failed(stage: Stage, error: BitbucketServerError) -> Result:
    blocked: Mapping[str, str] = {}
    for source in (error.__cause__, error):
        if isinstance(source, BitbucketServerError) and source.code == Code.ADDRESS_BLOCKED:
            blocked = source.facts
    return Result(stage, Outcome.FAILED, str(error), error.problem, error.facts, blocked=blocked)

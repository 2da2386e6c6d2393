"""HTTP with a server: how it is reached, whom it is trusted by, and how its answers are read."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_TRANSPORT = "social_bitbucket_server/transport/transport.py"
_BREAKER = "social_bitbucket_server/transport/breaker.py"
_CONNECTIONS = "social_bitbucket_server/transport/connections.py"
_FAULTS = "social_bitbucket_server/transport/connection_errors.py"
_HEADS = "social_bitbucket_server/transport/heads.py"
_REACHING = "social_bitbucket_server/transport/reaching.py"
_TRUST = "social_bitbucket_server/transport/trust.py"
_ANSWERS = "social_bitbucket_server/oauth/answers.py"

_MUTANTS = (
    Mutant(
        "an answer may be four times as long as its limit",
        _TRANSPORT,
        "if len(received) > limit:",
        "if len(received) > 4 * limit:",
    ),
    Mutant(
        "an answer that was cut short is taken for whole, because it need not say how long it is",
        _TRANSPORT,
        """    if response.status == 200 and response.length is None and not response.chunked:
        # An attacker who can cut the connection could cut the answer short, even with TLS.
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It does not say how long it is.")
""",
        "",
    ),
    Mutant(
        "a connection with the rest of an answer in it is used again",
        _HEADS,
        """        if not is_read:
            connection.close()
""",
        "",
    ),
    Mutant(
        "an answer that is shorter than it says is taken for whole",
        _TRANSPORT,
        "    if response.length:\n",
        "    if response.length and response.status != 200:\n",
    ),
    Mutant(
        "a connection that breaks in the middle of an answer is taken for one that went stale",
        _FAULTS,
        "if exchange.on_kept_connection and not exchange.answered:",
        "if exchange.on_kept_connection:",
    ),
    Mutant(
        "failures with successes between them count as failures in a row",
        _BREAKER,
        "self._failures = self._failures + 1 if failed else 0",
        "self._failures = self._failures + 1 if failed else self._failures",
    ),
    Mutant(
        "a blocked address can be told from a server that does not answer",
        _TRANSPORT,
        """            elif error.code in _NOT_REACHED:
                breaker.count(failed=True)
""",
        """            elif error.code in _NOT_REACHED:
                breaker.count(failed=False)
""",
    ),
    Mutant(
        "the breaker of a failing server is that of all integrations with it",
        _TRANSPORT,
        "breaker = self._breaker(origin, route)",
        "breaker = self._breaker(origin, type(route)())",
    ),
    Mutant(
        "a forked process goes on with its parent's connections",
        _TRANSPORT,
        "process = os.getpid()",
        "process = 0",
    ),
    Mutant(
        "a proxy looks up the name itself",
        _CONNECTIONS,
        "        if exchange.through_proxy_to is not None:\n"
        "            self._tunnel_host = str(exchange.through_proxy_to)\n",
        "",
    ),
    Mutant(
        "the addresses of the URL's host are checked where connections go to another one through a proxy",
        _TRANSPORT,
        'host, _ = exchange.route.connect_to or (urlsplit(url).hostname or "", 0)',
        'host = urlsplit(url).hostname or ""',
    ),
    Mutant(
        "a certificate for the host that is connected to is enough, through a proxy",
        _CONNECTIONS,
        "        # TLS asks for the name in the URL.\n        self._tunnel_host, self._tunnel_port = name, port\n",
        "",
    ),
    Mutant(
        "no cipher in common is taken for a client certificate that is missing",
        _FAULTS,
        'alert == "HANDSHAKE_FAILURE" and server_is_known',
        'alert == "HANDSHAKE_FAILURE"',
    ),
    Mutant(
        "a client certificate that is refused before the request is sent is told as another fault of TLS",
        _CONNECTIONS,
        "raise self._alert() or ended",
        "raise ended",
    ),
    Mutant(
        "of several addresses only the first one is checked",
        _REACHING,
        "    for address in addresses:\n        if not policy.permits(address):",
        "    for address in addresses[:1]:\n        if not policy.permits(address):",
    ),
    Mutant(
        "this machine is reached by its address in the network",
        _REACHING,
        """        if address not in policy.test_addresses and _is_this_machine(address):
            raise _blocked(host, "this machine")
""",
        "",
    ),
    Mutant(
        "one address that swallows everything takes the time of all others",
        _REACHING,
        "share = max(deadline - time.monotonic(), 0.001) / (len(addresses) - position)",
        "share = max(deadline - time.monotonic(), 0.001)",
    ),
    Mutant(
        "TLS may be older than 1.2",
        _TRUST,
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.minimum_version = ssl.TLSVersion.TLSv1",
    ),
    Mutant(
        "the machine's certificate authorities are trusted besides the pasted ones",
        _TRUST,
        "    else:\n        _trust_the_machines(context)\n",
        "    _trust_the_machines(context)\n",
    ),
    Mutant(
        "a bundle of certificates that was changed is not read again",
        _TRUST,
        "changed = _state_of(verify) if isinstance(verify, str) else ()",
        "changed: tuple[int, ...] = ()",
    ),
    Mutant(
        "a bundle that the environment names is trusted",
        _TRUST,
        "file = paths.openssl_cafile if os.path.exists(paths.openssl_cafile) else None",
        "file = paths.cafile",
    ),
    Mutant(
        "a field that the token endpoint repeats is accepted",
        _ANSWERS,
        """    if len(fields) != len(pairs):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "A field stands in it twice.")
""",
        "",
    ),
    Mutant(
        "of a key that stands in a JSON object twice the last value counts",
        _ANSWERS,
        """    if len(document) != len(pairs):
        raise ValueError("a key stands in an object twice")
""",
        "",
    ),
    Mutant(
        "an empty refusal of the application itself is blamed on a person's account",
        _ANSWERS,
        "if status == 401 and not answer.body and is_asked_as_a_person:",
        "if status == 401 and not answer.body:",
    ),
    Mutant(
        "a token of no type is accepted as a bearer token",
        _ANSWERS,
        'if type(kind) is not str or kind.lower() != "bearer":',
        'if type(kind) is str and kind.lower() != "bearer":',
    ),
    Mutant(
        "a token may end at the moment when it is granted",
        _ANSWERS,
        "not 0 < lifetime < _LONGEST_LIFETIME",
        "not 0 <= lifetime < _LONGEST_LIFETIME",
    ),
    Mutant(
        "what a server calls its problem is passed on as it stands",
        _ANSWERS,
        'provider_code = reported if reported in OAUTH_PROBLEMS else "other"',
        "provider_code = reported",
    ),
)

_TESTS = (
    Group(
        (
            "tests/unit/transport/test_trust.py",
            "tests/unit/transport/test_transport.py",
            "tests/unit/transport/test_default_transport.py",
            "tests/unit/oauth/test_oauth1.py",
            "tests/unit/oauth/test_oauth2.py",
            "tests/unit/account/test_rest.py",
        )
    ),
    Group(
        ("tests/flow/transport",),
        about=(
            _TRANSPORT,
            _BREAKER,
            _CONNECTIONS,
            _FAULTS,
            _REACHING,
            _TRUST,
        ),
    ),
    Group(("tests/flow/test_calling_bitbucket.py",)),
    Group(("tests/flow/test_checkup.py",), about=(_ANSWERS,)),
    Group(("tests/security/test_answers.py",), "plain"),
    Group(
        ("tests/security/test_transport.py",),
        "not django and not flask and not plain",
        about=(
            _TRANSPORT,
            _BREAKER,
            _CONNECTIONS,
            _FAULTS,
            _REACHING,
            _TRUST,
        ),
    ),
)

SUBJECT = Subject("transport", _MUTANTS, _TESTS)

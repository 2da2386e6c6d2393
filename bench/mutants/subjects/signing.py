"""Signatures and base strings."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_SIGNING = "social_bitbucket_server/oauth/signing.py"
_BASE_STRINGS = "social_bitbucket_server/oauth/base_strings.py"

_MUTANTS = (
    Mutant(
        "the base string of a signed request contains the signature itself",
        _SIGNING,
        'for pair in _PARAMETER.findall(authorization) if pair[0] != "oauth_signature"]',
        "for pair in _PARAMETER.findall(authorization)]",
    ),
    Mutant(
        "the scheme's own port stays in the signed address",
        _SIGNING,
        "authority.removesuffix(_DEFAULT_PORTS[scheme])",
        "authority",
    ),
    Mutant(
        "the host keeps its capitals in the signed address",
        _SIGNING,
        "parts.scheme.lower(), parts.netloc.lower()",
        "parts.scheme.lower(), parts.netloc",
    ),
    Mutant(
        "an address without a path is signed without a slash",
        _SIGNING,
        "{parts.path or '/'}",
        "{parts.path}",
    ),
    Mutant(
        "parameters are signed in the order in which they stand there",
        _SIGNING,
        "sorted((*parameters, *query, *_encoded_again(form)))",
        "(*parameters, *query, *_encoded_again(form))",
    ),
    Mutant(
        "the form of a request is not part of its signature",
        _SIGNING,
        "*query, *_encoded_again(form)))",
        "*query))",
    ),
    Mutant(
        "a plus in a query is signed as a plus, not as a space",
        _SIGNING,
        'pair.replace("+", " ").partition("=")',
        'pair.partition("=")',
    ),
    Mutant(
        "a slash in a signed parameter is not percent-encoded",
        _SIGNING,
        'quote(text, safe="")',
        "quote(text)",
    ),
    Mutant(
        "the nonce of a request has two bytes",
        _SIGNING,
        "_NONCE_BYTES = 16",
        "_NONCE_BYTES = 2",
    ),
    Mutant(
        "a request is signed with this machine's time instead of the server's",
        _SIGNING,
        "str(int(time.time()) if timestamp is None else timestamp)",
        "str(int(time.time()))",
    ),
    Mutant(
        "a plus in the signature is sent as it is",
        _SIGNING,
        'text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")',
        'text.replace("/", "%2F").replace("=", "%3D")',
    ),
    Mutant(
        "the comparison of base strings shows the verifier",
        _BASE_STRINGS,
        '"oauth_timestamp", "oauth_version"})',
        '"oauth_timestamp", "oauth_verifier", "oauth_version"})',
    ),
    Mutant(
        "a port is not blamed when one side has its scheme's own port",
        _BASE_STRINGS,
        "ports_follow = all(side.port ==",
        "ports_follow = any(side.port ==",
    ),
    Mutant(
        "any prefix that a proxy adds is taken for a context path that stands there twice",
        _BASE_STRINGS,
        'if extra and ours.path.startswith(f"{extra}/"):',
        "if extra:",
    ),
    Mutant(
        "control characters in a parameter of the server's base string are shown",
        _BASE_STRINGS,
        "for text in (method, address, *chain.from_iterable(pairs))",
        "for text in (method, address)",
    ),
    Mutant(
        "a parameter whose value was lost on the way is taken for a missing one",
        _BASE_STRINGS,
        'parse_qsl(parameters.replace("+", "%2B"), keep_blank_values=True)',
        'parse_qsl(parameters.replace("+", "%2B"))',
    ),
)

_TESTS = (
    Group(
        (
            "tests/unit/oauth/test_signing.py",
            "tests/unit/oauth/test_base_strings.py",
            "tests/unit/oauth/test_oauth1.py",
            "tests/unit/account/test_rest.py",
        )
    ),
    Group(("tests/unit/oauth/test_server_clock.py", "tests/flow/test_checkup.py", "tests/flow/test_check_command.py")),
    Group(("tests/flow/test_wrong_bitbuckets.py", "tests/fuzz/test_answers.py")),
    Group(("tests/security/test_secrets.py",), "not django and not flask"),
)

SUBJECT = Subject("signing", _MUTANTS, _TESTS)

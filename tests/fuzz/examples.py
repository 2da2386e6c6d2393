"""Input for the parsers: noise, and things that are almost right."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.problems import PROBLEMS, BitbucketServerError
from social_bitbucket_server.transport import Answer

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
"""How often: 100 times, or as the environment variable FUZZ_EXAMPLES says. The samples contain what noise would
meet only once in thousands of examples."""

NOISE = st.text(max_size=300)
STATUSES = st.one_of(
    st.just(200), st.sampled_from([201, 204, 302, 400, 401, 403, 404, 429, 500]), st.integers(200, 999)
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


ANYTHING = st.characters()
LATIN = st.characters(max_codepoint=255)
HEADER_TEXT = st.text(LATIN, max_size=200)


@st.composite
def mutated(draw, originals, alphabet=ANYTHING):
    """Draw one of *originals* with a few places cut out, doubled or overwritten."""
    text = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 5, 70, 5000])))
        kind = draw(st.sampled_from(["cut", "double", "overwrite"]))
        middle = {"cut": "", "double": text[start:end] * 2}.get(kind)
        text = text[:start] + (draw(st.text(alphabet, max_size=8)) if middle is None else middle) + text[end:]
    return text


@st.composite
def answers(draw, bodies, statuses=STATUSES, headers=("Content-Type", "WWW-Authenticate", "X-AUSERNAME", "Date")):
    """Draw an answer with one of *bodies*, text or bytes, and a few headers."""
    body = draw(bodies)
    found = HTTPHeaderDict()
    for name in draw(st.lists(st.sampled_from(headers), max_size=4)):
        found.add(name, draw(_HEADER_VALUES.get(name, HEADER_TEXT)))
    return Answer(draw(statuses), found, body if isinstance(body, bytes) else body.encode(errors="surrogatepass"))


_CHALLENGE = (
    'OAuth realm="http%3A%2F%2Fx", oauth_problem="timestamp_refused", '
    'oauth_acceptable_timestamps="1700000000-1700000600"'
)
_HEADER_VALUES = {
    "Content-Type": st.sampled_from(["text/plain", "text/html", "application/json", "text/plain; charset=rot13"]),
    "WWW-Authenticate": mutated([_CHALLENGE, 'OAuth realm="x"', "Basic"], LATIN) | HEADER_TEXT,
    "X-AUSERNAME": mutated(["jane", "jane%40example", "J%C3%B6rg", "%FF", "..", "%2E%2E"], LATIN) | HEADER_TEXT,
    "Date": mutated(
        ["Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT", "Mon, 1 Jan 0001 00:00:00 +2359"],
        LATIN,
    )
    | HEADER_TEXT,
}


def ours(call, *arguments, **options):
    """Return the result of *call*, or ``None`` if it raises a problem. Fail if it raises anything else."""
    try:
        return call(*arguments, **options)
    except BitbucketServerError as error:
        problem = error
    assert problem.code in PROBLEMS
    assert str(problem).isprintable()
    return None

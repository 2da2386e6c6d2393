"""Fuzz tests of servers' answers: tokens, problems, headers, profiles, pages, the time."""

import contextlib
import json
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.account import RestClient, StoredToken, fetch_profile
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import AccessToken, Client, server_clock
from social_bitbucket_server.oauth import answers as reading
from social_bitbucket_server.oauth.server_clock import ServerClock
from social_bitbucket_server.transport import Answer, Clocks
from tests.fuzz.examples import JSON, NOISE, STATUSES, answers, fuzzed, mutated, ours

TOKEN = AccessToken("A", "H", None, None)
FORMS = mutated(
    [
        "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true",
        "oauth_token=A&oauth_expires_in=157680000&oauth_session_handle=H&oauth_authorization_expires_in=160272000",
        "oauth_problem=timestamp_refused&oauth_acceptable_timestamps=1700000000-1700000600",
        "oauth_problem=token_rejected",
        "<html><title>Log in</title></html>",
    ]
)
BODIES = FORMS | NOISE | st.binary(max_size=300)


class StubClient(Client):
    """A client whose server answers what the example says, first this, then that, without a network."""

    def __init__(self, integration, replies):
        super().__init__(integration)
        self._replies = list(replies)
        self.asked = []

    def within(self, budget):
        return self

    def _send(self, request, **_):
        self.asked.append(request.url)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


@pytest.fixture(scope="module")
def integration(private_key):
    return Integration(
        id="acme-1",
        server=Server(ServerURL.parse("https://bitbucket.acme.test/bitbucket")),
        consumer_key="c",
        private_key=private_key,
        namespace="ns",
    )


@fuzzed
@given(answer=answers(BODIES))
def test_token_answers(integration, answer):
    client = StubClient(integration, [answer])
    for token in (
        ours(client.request_token, "https://app.example/"),
        getattr(ours(client.access_token, "T", "v"), "value", None),
        getattr(ours(client.renew, TOKEN), "value", None),
    ):
        assert token is None or re.fullmatch("[!-~]{1,255}", token)


GRANT = {"access_token": "A", "token_type": "bearer", "expires_in": 3600, "refresh_token": "R", "scope": "REPO_READ"}
ODD_VALUES = st.sampled_from(["Bearer", "A" * 4096, "A\n", "A B", "", True, 0, 1.5, 10**10, [], {}])
NEARLY_GRANTED = st.dictionaries(st.sampled_from(list(GRANT)), JSON | ODD_VALUES, max_size=2).map(
    lambda changed: json.dumps({**GRANT, **changed})
)
GRANTS = st.one_of(
    NEARLY_GRANTED,
    st.dictionaries(st.just("error"), JSON | st.sampled_from(list(reading.OAUTH2_ERRORS))).map(json.dumps),
    mutated([json.dumps(GRANT), '{"error":"invalid_grant"}']),
    st.sampled_from(["[" * 60_000, '{"a":' * 10_000, '{"expires_in":' + "1" * 5000 + "}", '"\\ud800"', "{}\0"]),
    BODIES,
)


@fuzzed
@given(
    answer=answers(NEARLY_GRANTED, statuses=st.just(200), headers=("Date",))
    | answers(GRANTS, statuses=st.sampled_from([200, 200, 200, 400, 401]) | STATUSES)
)
def test_grants(answer):
    grant = ours(reading.read_grant, answer)
    if grant is None:
        return
    assert answer.status == 200
    assert re.fullmatch("[!-~]{1,4096}", grant.access_token)
    assert re.fullmatch("[!-~]{0,4096}", grant.refresh_token)
    assert grant.expires_in is None or type(grant.expires_in) is int
    assert repr(grant) == f"Grant(expires_in={grant.expires_in})"


@fuzzed
@given(error=NOISE | st.sampled_from(list(reading.OAUTH2_ERRORS)))
def test_errors_of_oauth_2(error):
    problem = reading.oauth2_problem(error)
    assert problem.provider_code in reading.OAUTH2_ERRORS | {"other"}
    assert str(problem).isprintable()


@fuzzed
@given(answer=answers(BODIES, statuses=st.sampled_from([400, 401, 403]) | STATUSES))
def test_problems(answer):
    for read in (reading.read_form, reading.read_json, reading.read_document):
        ours(read, answer)
    problem = reading.oauth_problem(answer)
    assert all(name.startswith("oauth_") for name in problem)


@fuzzed
@given(answer=answers(BODIES, statuses=st.sampled_from([200, 400, 401])))
def test_the_servers_time(integration, answer):
    server_clock.is_refusal(answer)
    told = server_clock.server_time(answer)
    assert told is None or type(told) is int
    clock = ServerClock(Clocks(), integration)
    ours(clock.learn, answer)
    assert abs(clock.difference) <= server_clock.LARGEST_CORRECTION
    assert abs(clock.timestamp() - time.time()) <= server_clock.LARGEST_CORRECTION + 60


VALID = {
    "name": "jane",
    "emailAddress": "jane@example.com",
    "id": 42,
    "displayName": "Jane",
    "active": True,
    "slug": "jane",
    "type": "NORMAL",
    "links": {"self": [{"href": "https://bitbucket.acme.test/users/jane"}]},
    "avatarUrl": "/users/jane/avatar.png",
}
ODD_FIELDS = st.sampled_from(
    ["", "\ud800", "a\0b", "a\u200bb", True, 0, -1, 2**63, 1.5, [], {}, "http://[", "//x", "javascript:x", "/\\x"]
)
PROFILES = st.dictionaries(st.sampled_from(list(VALID)), JSON | ODD_FIELDS, max_size=3).map(
    lambda changed: {**VALID, **changed}
)
PAGE = {"values": [VALID], "isLastPage": False, "nextPageStart": 25}
PAGES = st.dictionaries(
    st.sampled_from(list(PAGE)), JSON | st.sampled_from([[], [1], [VALID, VALID], True, 0, 26, "26"]), max_size=2
).map(lambda changed: json.dumps({**PAGE, **changed}))
DOCUMENTS = st.one_of(
    PROFILES.map(json.dumps),
    PROFILES.map(lambda profile: json.dumps({"values": [profile, profile], "isLastPage": True})),
    PAGES,
    JSON.map(json.dumps),
    mutated([json.dumps(VALID)]),
    st.sampled_from(["[" * 60_000, '{"a":' * 10_000, "1" * 5000, "1e999", "-0", '"\\ud800"', "\ufeff{}", "{}\0"]),
    NOISE,
)


NAMED = Answer(200, HTTPHeaderDict({"X-AUSERNAME": "jane"}), b"{}")
NOT_FOUND = Answer(404, HTTPHeaderDict(), b"")


def plain_replies(documents):
    """Draw a few answers that are as they should be but for their *documents*."""
    return st.lists(answers(documents, statuses=st.just(200), headers=("Date",)), min_size=1, max_size=3)


@fuzzed
@given(
    replies=st.lists(answers(DOCUMENTS, statuses=st.sampled_from([200, 200, 200, 404, 401])), min_size=1, max_size=4)
    | plain_replies(PROFILES.map(json.dumps)).map(lambda replies: [NAMED, *replies])
    | plain_replies(PAGES).map(lambda replies: [NAMED, NOT_FOUND, *replies])
)
def test_profiles(integration, replies):
    client = StubClient(integration, replies)
    profile = ours(fetch_profile, client.as_person(TOKEN))
    assert all(url.startswith("https://bitbucket.acme.test/bitbucket/") for url in client.asked)
    if profile is None:
        return
    assert type(profile.id) is int
    assert 0 < profile.id < 2**63
    for text in (profile.name, profile.slug, profile.display_name, profile.email, profile.avatar_url, profile.url):
        assert text is None or not {unicodedata.category(character) for character in text} & {"Cc", "Cs"}
        json.dumps(text).encode()
    assert re.fullmatch(r"ns:[1-9][0-9]{0,18}", integration.uid(profile.id))
    for address in (profile.avatar_url, profile.url):
        assert address is None or address.startswith(("https://", "http://"))


@fuzzed
@given(answer=answers(st.just(b"{}"), statuses=st.just(200), headers=("X-AUSERNAME",)))
def test_names_in_headers(integration, answer):
    client = StubClient(integration, [answer])
    ours(fetch_profile, client.as_person(TOKEN))
    for url in client.asked:
        path = url.removeprefix("https://bitbucket.acme.test/bitbucket")
        assert re.fullmatch(
            r"/(rest/api/latest/(application-properties|users(/[^/?#]+)?)|plugins/servlet/applinks/whoami)(\?[^#]*)?",
            path,
        )
        assert "/../" not in path
        assert not path.partition("?")[0].endswith(("/.", "/.."))


class Store:
    def load(self):
        return StoredToken("A", "", None, None, "")


@fuzzed
@given(
    replies=st.lists(answers(DOCUMENTS, statuses=st.sampled_from([200, 200, 201, 429, 404])), min_size=1, max_size=4)
    | plain_replies(PAGES)
)
def test_pages(integration, replies):
    rest = RestClient(Client(integration), Store(), sleep=lambda seconds: None)
    rest._client = StubClient(integration, replies)

    def some():
        return [value for value, _ in zip(rest.pages("/rest/x"), range(50), strict=False)]

    ours(some)


@fuzzed
@given(paths=mutated(["/rest/api/latest/projects", "/rest/a%2Fb", "/rest/../x", "/rest/./x"]) | NOISE)
def test_paths_of_calls(integration, paths):
    rest = RestClient(Client(integration), Store())
    rest._client = StubClient(integration, [Answer(200, HTTPHeaderDict(), b"{}")])
    with contextlib.suppress(ValueError):
        rest.get(paths)
    for url in rest._client.asked:
        assert url == f"https://bitbucket.acme.test/bitbucket{paths}"
        assert not {".", ".."} & set(paths.split("/"))

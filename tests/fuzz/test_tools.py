"""Fuzz tests of the check-up and the link by REST: every answer ends in results or in a problem of ours."""

import json
from unittest.mock import Mock, patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import explain
from social_bitbucket_server.onboarding import ApplicationLinks, basic, checkup
from social_bitbucket_server.onboarding.application_link import Existing
from social_bitbucket_server.problems import PROBLEMS
from social_bitbucket_server.transport import Answer, Transport

from .examples import JSON, LATIN, NOISE, answers, fuzzed, mutated, ours

PROPERTIES = '{"version":"8.7.0","buildNumber":"8007000","displayName":"Bitbucket"}'
OURS = (
    "POST&http%3A%2F%2Fbb.test%2Fplugins%2Fservlet%2Foauth%2Frequest-token&oauth_callback%3Dhttps%253A%252F%252Fapp.example"
    "%252F%26oauth_consumer_key%3Dc%26oauth_nonce%3Dn%26oauth_signature_method%3DRSA-SHA1%26oauth_timestamp%3D1"
)
REFUSALS = mutated(
    [
        f"oauth_problem=signature_invalid&oauth_signature_base_string={OURS.replace('%', '%25').replace('&', '%26')}",
        "oauth_problem=timestamp_refused&oauth_acceptable_timestamps=1700000000-1700000600",
        "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true",
    ]
)
LINK = {"id": "0a1b", "name": "App", "rpcUrl": "https://app.example", "displayUrl": "https://app.example"}
DOCUMENTS = st.one_of(
    st.dictionaries(st.sampled_from(list(LINK)), JSON, max_size=3).map(
        lambda changed: json.dumps([{**LINK, **changed}])
    ),
    mutated(
        [
            json.dumps({"list": [{"application": LINK, "configurations": []}]}),
            '{"resources-created":{"link":[{"href":"https://bb.test/rest/applinks/3.0/applicationlink/0a1b"}]}}',
            '{"message":"The public key is not valid."}',
        ]
    ),
    JSON.map(json.dumps),
    st.just("[" * 60_000),
)


@pytest.fixture(scope="module")
def integration(private_key):
    return Integration(
        id="acme-1",
        server=Server(ServerURL.parse("http://127.0.0.1:7990")),
        consumer_key="c",
        private_key=private_key,
        namespace="ns",
    )


@fuzzed
@given(
    first=answers(
        mutated([PROPERTIES]) | NOISE | st.binary(max_size=300),
        headers=("Content-Type", "WWW-Authenticate", "Date", "Location"),
    ),
    last=answers(REFUSALS | NOISE),
)
def test_check_ups(integration, first, last):
    replies = {"GET": first, "POST": last}
    with (
        patch.object(Transport, "send", lambda _, method, *__, **___: replies[method]),
        patch.object(Transport, "look_up", lambda *_: ["127.0.0.1"]),
        patch.object(checkup, "connect", lambda *_: Mock()),
    ):
        results = list(checkup.check_up(lambda: integration, "https://app.example/"))
    assert len(results) == 9
    for result in results:
        assert result.says.isprintable()
        assert (result.problem is not None) == (result.outcome is checkup.Outcome.FAILED)
        assert result.problem is None or result.problem.code in PROBLEMS


@fuzzed
@given(theirs=mutated([OURS, "POST&http%3A%2F%2F%5Bbb&x%3D1"]) | NOISE)
def test_base_strings(theirs):
    explanation = explain(OURS, theirs, key_fingerprint="SHA256:f")
    assert explanation.conclusion.isprintable()
    assert not [part for part in explanation.parts if "oauth_nonce" in part.name and part.ours == "n"]


@fuzzed
@given(answer=answers(DOCUMENTS | NOISE | st.binary(max_size=300)))
@example(Answer(200, HTTPHeaderDict(), b"[" * 900 + b"]" * 900))
@example(Answer(400, HTTPHeaderDict(), b'{"message":' + b"[" * 900 + b"]" * 900 + b"}"))
def test_application_links(integration, answer):
    links = ApplicationLinks(integration, basic("admin", "password"))
    with patch.object(Transport, "send", lambda *_, **__: answer):
        for found in (ours(links.find, "https://app.example/"), ours(links.create, "https://app.example/", "App")):
            assert found is None or (type(found) is Existing and (found.id + found.name).isprintable())
        ours(links.set_consumer, Existing("0a1b", "App"), "App")
        ours(links.remove, Existing("0a1b", "App"))


@fuzzed
@given(location=mutated(["/x/rest/api/latest/application-properties", "https://bb.example.com/x"], LATIN) | NOISE)
def test_redirects(integration, location):
    """Check that a base URL that a redirect hints at could be entered, and is on the same host."""
    walk = checkup._Walk(None)
    walk.to_server(integration.server, owner="check", tenant="check")
    hinted = walk._redirected(Answer(302, HTTPHeaderDict({"Location": location}), b""))
    assert hinted is None or hinted.host == "127.0.0.1"

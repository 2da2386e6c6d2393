"""Tests of a server's answers about its links: read in any wrapping, shown without what confuses a terminal."""

import json

import pytest
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.onboarding import ApplicationLinks, basic
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Answer

LINK = {"id": "0a1b-2c", "name": "App", "rpcUrl": "https://app.example/", "displayUrl": "https://elsewhere.example"}


@pytest.fixture
def answered(integration, transport, monkeypatch):
    def make(body, status=200):
        answer = Answer(status, HTTPHeaderDict(), body if isinstance(body, bytes) else json.dumps(body).encode())
        monkeypatch.setattr(transport, "send", lambda *_, **__: answer)
        return ApplicationLinks(integration, basic("admin", "password"))

    return make


@pytest.mark.parametrize(
    "wrap", [lambda link: [link], lambda link: {"list": [{"application": link}]}, lambda link: link]
)
def test_a_link_is_found_in_whatever_it_is_wrapped(answered, wrap):
    found = answered(wrap(LINK)).find("https://app.example")
    assert (found.id, found.name) == ("0a1b-2c", "App")


def test_lists_in_lists_are_read_to_the_bottom(answered):
    depth = 400
    assert answered(b"[" * depth + json.dumps(LINK).encode() + b"]" * depth).find("https://app.example") is not None


def test_a_name_is_shown_without_what_confuses_a_terminal(answered):
    assert answered({**LINK, "name": "\x1b[2JApp\u202e\n"}).find("https://app.example").name == "[2JApp"


ADDRESS = "https://bitbucket.example/rest/applinks/3.0/applicationlink/0a1b-2c"


@pytest.fixture
def serving(integration, transport, monkeypatch):
    """Let a server answer the making of a link with a body, and the question for all links with *LINK*'s."""
    sent = []

    def serve(created):
        def send(method, url, headers, **_):
            sent.append((method, url.partition("/rest/")[2], headers))
            body = created if method == "PUT" else json.dumps([{**LINK, "id": "3d"}, {**LINK, "id": "4e", "name": "B"}])
            return Answer(200, HTTPHeaderDict(), body.encode())

        monkeypatch.setattr(transport, "send", send)
        return ApplicationLinks(integration, basic("admin", "password"))

    serve.sent = sent
    return serve


@pytest.mark.parametrize(
    "created",
    [
        {"resources-created": {"link": {"href": ADDRESS, "rel": "self"}}},
        {"resources-created": {"link": [{"href": ADDRESS, "rel": "self"}]}},
        {"status-code": 201, "resources-created": [{"href": ADDRESS, "rel": "self"}]},
        {"resources-created": {"href": f"{ADDRESS}/"}},
        {"resources-created": [{"link": {"href": ADDRESS}}, {"href": f"{ADDRESS}3"}]},
    ],
)
def test_the_link_that_was_made_is_known_by_its_address(serving, created):
    assert serving(json.dumps(created)).create("https://app.example/", "B").id == "0a1b-2c"
    assert len(serving.sent) == 1


@pytest.mark.parametrize(
    "created",
    [
        *("", "<status/>", "{}", "[]", "null"),
        '{"resources-created": []}',
        '{"resources-created": [{"href": "/a/.."}]}',
        '{"resources-created": {"href": 7}}',
        '{"resources-created": {"link": {}}}',
    ],
)
def test_a_link_that_was_made_without_an_address_is_looked_up_by_its_name(serving, created):
    links = serving(created)
    assert links.create("https://app.example/", "B").id == "4e"
    with pytest.raises(BitbucketServerError) as refused:
        links.create("https://app.example/", "C")
    assert refused.value.code == "malformed_answer"


def test_every_call_that_changes_something_is_json_and_no_forged_one(serving):
    links = serving("{}")
    link = links.create("https://app.example/", "B")
    links.set_consumer(link, "App")
    links.remove(link)
    changes = {method: headers for method, _, headers in serving.sent if method != "GET"}
    assert set(changes) == {"PUT", "DELETE"}
    assert {headers["Content-Type"] for headers in changes.values()} == {"application/json"}
    assert {headers["X-Atlassian-Token"] for headers in changes.values()} == {"no-check"}


@pytest.mark.parametrize("link_id", [None, "", "..", "a/b", 7, ["0a1b"]])
def test_a_link_that_cannot_be_told_from_others_is_not_touched(answered, link_id):
    with pytest.raises(BitbucketServerError) as refused:
        answered({**LINK, "id": link_id}).find("https://app.example")
    assert refused.value.code == "malformed_answer"


def test_why_a_link_is_refused_is_shown_without_what_confuses_a_terminal(answered):
    with pytest.raises(BitbucketServerError) as refused:
        answered({"message": "\x1b[31mThe key is bad."}, 400).create("https://app.example", "App")
    assert str(refused.value).endswith("[31mThe key is bad.")

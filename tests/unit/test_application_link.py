"""What a server answers about its links: read whatever it is wrapped in, and shown without what confuses a terminal."""

import json

import pytest
from urllib3 import HTTPHeaderDict

from social_bitbucket_server import application_link
from social_bitbucket_server.application_link import ApplicationLinks, basic
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Answer

LINK = {"id": "0a1b-2c", "name": "App", "rpcUrl": "https://app.example/", "displayUrl": "https://elsewhere.example"}


@pytest.fixture
def answered(integration, monkeypatch):
    def make(body, status=200):
        answer = Answer(status, HTTPHeaderDict(), body if isinstance(body, bytes) else json.dumps(body).encode())
        monkeypatch.setattr(application_link, "send", lambda *_, **__: answer)
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


@pytest.mark.parametrize("link_id", [None, "", "..", "a/b", 7, ["0a1b"]])
def test_a_link_that_cannot_be_told_from_others_is_not_touched(answered, link_id):
    with pytest.raises(BitbucketServerError) as refused:
        answered({**LINK, "id": link_id}).find("https://app.example")
    assert refused.value.code == "malformed_answer"


def test_why_a_link_is_refused_is_shown_without_what_confuses_a_terminal(answered):
    with pytest.raises(BitbucketServerError) as refused:
        answered({"message": "\x1b[31mThe key is bad."}, 400).create("https://app.example", "App")
    assert str(refused.value).endswith("[31mThe key is bad.")

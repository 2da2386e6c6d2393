"""Questions that are asked as one person."""

import pytest

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import OAuth2Integration
from social_bitbucket_server.oauth import AccessToken, Client, OAuth2Client
from social_bitbucket_server.problems import BitbucketServerError
from tests.scripted_server import Reply

PATH = "/bitbucket/rest/x"
JSON = ("Content-Type", "application/json")
TOKEN = AccessToken(Secret("the-token"), Secret("the-handle"), None, None)


@pytest.fixture(params=["OAuth 1", "OAuth 2"])
def person(request, integration):
    if request.param == "OAuth 1":
        return Client(integration).as_person(TOKEN)
    credentials = {"client_id": "the-client", "client_secret": "the-secret"}
    of_oauth2 = OAuth2Integration(id="acme-1", server=integration.server, namespace="ns", **credentials)
    return OAuth2Client(of_oauth2).as_person(TOKEN)


@pytest.fixture
def url(server):
    return f"{server.url}{PATH}"


def code_of(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value.code


def test_json_is_asked_for_with_the_token(person, server, url):
    server.scripts[PATH] = Reply('{"a": 1}', headers=[JSON])
    assert person.json(url) == {"a": 1}
    (asked,) = server.received
    assert (asked.method, asked.headers["Accept"]) == ("GET", "application/json")
    assert "the-token" in asked.headers["Authorization"]


@pytest.mark.parametrize("method", ["json", "json_if_found", "names_at"])
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("{}", 403, [JSON]), "request_refused"),
        (Reply("", 401), "account_not_admitted"),
        (Reply("", 500), "server_error"),
        (Reply("[]", headers=[JSON]), "malformed_answer"),
        (Reply("<html>", headers=[("Content-Type", "text/html")]), "intercepted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_server_refuses_is_a_problem(person, server, url, method, reply, code):
    server.scripts[PATH] = reply
    assert code_of(getattr(person, method), url) == code


def test_what_is_not_there_is_a_problem_or_nothing(person, server, url):
    server.scripts[PATH] = Reply("<html>", 404, [("Content-Type", "text/html")])
    assert person.json_if_found(url) is None
    server.scripts[PATH] = Reply("{}", 404, [JSON])
    assert person.json_if_found(url) is None
    assert code_of(person.json, url) == "request_refused"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(" jane\n"), "jane"),
        (Reply(""), ""),
        (Reply("jane", 401, [("X-AUSERNAME", "jane")]), ""),
        (Reply("jane", 404), ""),
        (Reply("jane", headers=[("Content-Type", "text/html")]), ""),
    ],
)
def test_only_a_successful_answer_is_a_text(person, server, url, reply, text):
    server.scripts[PATH] = reply
    assert person.text(url) == text
    assert server.received[0].headers["Accept"] == "text/plain"


def test_names_are_returned_as_they_came(person, server, url):
    server.scripts[PATH] = Reply("{}", headers=[JSON, ("X-AUSERNAME", "j%20d"), ("X-AUSERNAME", "j%20d")])
    assert person.names_at(url) == ["j%20d", "j%20d"]


def test_every_answer_counts_that_names_a_number(person, server, url):
    assert person.ids == frozenset()
    for number, status in (("1", 200), ("2", 404), ("2", 500)):
        server.scripts[PATH] = Reply("{}", status, [JSON, ("X-AUSERID", number), ("X-AUSERID", f"{number}0")])
        person.text(url)
    assert person.ids == {"1", "10", "2", "20"}


def test_each_session_begins_anew(integration, server, url):
    server.scripts[PATH] = Reply("{}", headers=[JSON, ("X-AUSERID", "1")])
    client = Client(integration)
    client.as_person(TOKEN).json(url)
    assert client.as_person(TOKEN).ids == frozenset()


@pytest.mark.parametrize("method", ["json", "json_if_found", "text", "names_at"])
def test_the_token_goes_to_the_base_url_alone(person, server, method):
    for url in ("https://evil.test/", f"{person.server_url}.evil.test/", f"{person.server_url}", server.url):
        with pytest.raises(ValueError, match="base URL"):
            getattr(person, method)(url)
    assert server.received == []


def test_a_person_does_not_show_their_token(person):
    shown = f"{person!r}{vars(person)!r}"
    assert "the-token" not in shown
    assert "the-handle" not in shown

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from social_bitbucket_server.account import fetch_profile
from social_bitbucket_server.account.rest import LIMIT
from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import OAuth2Integration, Server, ServerURL
from social_bitbucket_server.oauth import AccessToken, OAuth2Client, Request
from social_bitbucket_server.problems import BitbucketServerError
from tests.scripted_server import Reply

TOKEN = "/bitbucket/rest/oauth2/latest/token"
PROJECTS = "/bitbucket/rest/api/latest/projects"
JSON = (("Content-Type", "application/json"),)
JANE = AccessToken(Secret("A"), Secret("R"), None, None)
CALLBACK = "https://app.example/complete/?integration=one&x=ü"


@pytest.fixture
def oauth2_integration(server):
    return OAuth2Integration(
        id="one",
        server=Server(ServerURL.parse(f"{server.url}/bitbucket"), timeout=60),
        client_id="client&id",
        client_secret=Secret("s+cr=t&"),
        namespace="ns",
    )


@pytest.fixture
def client(oauth2_integration):
    return OAuth2Client(oauth2_integration)


def granting(**changes):
    fields = {"access_token": "A", "token_type": "bearer", "expires_in": 3600, "refresh_token": "R"} | changes
    return Reply(json.dumps({name: value for name, value in fields.items() if value is not None}), headers=JSON)


def problem(call, *arguments, **options):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments, **options)
    return caught.value.code


def test_the_browser_is_sent_to_the_page_that_asks(client, server):
    # The challenge of the verifier is RFC 7636's example.
    url = client.authorize_url(
        CALLBACK, state="S", code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", scope="PUBLIC_REPOS REPO_READ"
    )
    assert url.startswith(f"{server.url}/bitbucket/rest/oauth2/latest/authorize?")
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["client&id"],
        "redirect_uri": [CALLBACK],
        "scope": ["PUBLIC_REPOS REPO_READ"],
        "state": ["S"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
    }
    assert not server.received


def test_a_code_is_exchanged_with_the_credentials_in_the_body(client, server):
    server.scripts[TOKEN] = granting()
    token = client.access_token("C+=", CALLBACK, "V")
    assert (token.value, token.session_handle, token.expires_in) == ("A", "R", 3600)
    (asked,) = server.received
    assert (asked.method, asked.target) == ("POST", TOKEN)
    assert "Authorization" not in asked.headers
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": ["C+="],
        "redirect_uri": [CALLBACK],
        "code_verifier": ["V"],
        "client_id": ["client&id"],
        "client_secret": ["s+cr=t&"],
    }


@pytest.mark.parametrize("kind", ["bearer", "Bearer", "BEARER"])
def test_the_kind_of_token_may_be_written_in_any_letters(client, server, kind):
    server.scripts[TOKEN] = granting(token_type=kind)
    assert client.access_token("C", CALLBACK, "V").value == "A"


def test_what_the_server_does_not_say_is_empty(client, server):
    server.scripts[TOKEN] = granting(refresh_token=None, expires_in=None)
    token = client.access_token("C", CALLBACK, "V")
    assert (token.session_handle, token.expires_in) == ("", None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("invalid_client", "client_refused"),
        ("invalid_grant", "code_refused"),
        ("invalid_scope", "scope_refused"),
        ("invalid_request", "code_refused"),
        ("unauthorized_client", "oauth_problem"),
        ("unsupported_grant_type", "oauth_problem"),
        ("made_up", "oauth_problem"),
    ],
)
@pytest.mark.parametrize("status", [400, 401])
def test_every_error_is_a_problem(client, server, error, code, status):
    server.scripts[TOKEN] = Reply(json.dumps({"error": error}), status, JSON)
    with pytest.raises(BitbucketServerError) as caught:
        client.access_token("C", CALLBACK, "V")
    assert caught.value.code == code
    assert caught.value.provider_code == ("other" if error == "made_up" else error)


def test_an_empty_401_is_about_no_account_where_the_application_itself_asks(client, server):
    server.scripts[TOKEN] = Reply("", 401)
    assert problem(client.renew, JANE) == "request_refused"


def test_a_token_is_renewed_with_its_refresh_token(client, server):
    server.scripts[TOKEN] = granting(access_token="B", refresh_token="S")
    renewed = client.renew(JANE)
    assert (renewed.value, renewed.session_handle) == ("B", "S")
    form = parse_qs(server.received[0].body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["R"])


def test_a_refresh_token_stays_where_no_new_one_comes(client, server):
    server.scripts[TOKEN] = Reply('{"access_token": "B", "token_type": "bearer"}', headers=JSON)
    assert client.renew(JANE).session_handle == JANE.session_handle


def test_a_refresh_token_that_is_refused_is_a_rejected_token(client, server):
    server.scripts[TOKEN] = Reply('{"error":"invalid_grant"}', 400, JSON)
    assert problem(client.renew, JANE) == "token_rejected"
    server.scripts[TOKEN] = Reply('{"error":"invalid_request"}', 400, JSON)
    assert problem(client.renew, JANE) == "token_rejected"
    server.scripts[TOKEN] = Reply('{"error":"invalid_client"}', 400, JSON)
    assert problem(client.renew, JANE) == "client_refused"


def test_the_token_goes_into_the_header_alone(client, server):
    server.scripts[PROJECTS] = Reply("{}", headers=JSON)
    client.request(Request("POST", f"{server.url}{PROJECTS}", LIMIT, body='{"a":1}'), JANE)
    (asked,) = server.received
    assert asked.headers["Authorization"] == "Bearer A"
    assert (asked.body, asked.headers["Content-Type"]) == (b'{"a":1}', "application/json")
    assert asked.headers["X-Atlassian-Token"] == "no-check"
    assert asked.target == PROJECTS


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_call_without_a_document_is_no_forged_one(client, server, method):
    server.scripts["/bitbucket/rest/x"] = Reply("", 204)
    client.request(Request(method, f"{server.url}/bitbucket/rest/x", 100), JANE)
    (asked,) = server.received
    assert (asked.body, asked.headers["Content-Type"]) == (b"", "application/json")
    assert asked.headers["X-Atlassian-Token"] == "no-check"


def test_a_token_call_below_rest_is_no_forged_one(client, server):
    server.scripts[TOKEN] = Reply('{"access_token":"A","token_type":"bearer"}', headers=JSON)
    client.access_token("C", CALLBACK, "V")
    (asked,) = server.received
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["X-Atlassian-Token"] == "no-check"


UNNAMED = Reply('{"errors":[]}', 401, JSON)
NAMED = Reply('{"errors":[]}', 401, (*JSON, ("X-AUSERNAME", "jane")))
PAGE = Reply("<html>", 401, (("Content-Type", "text/html"),))


def test_a_401_that_names_nobody_is_about_the_token(client, server):
    server.scripts[PROJECTS] = UNNAMED
    url = f"{server.url}{PROJECTS}"
    assert problem(client.request, Request("GET", url, LIMIT), JANE) == "token_expired"
    assert problem(client.as_person(JANE).json, url) == "token_rejected"


@pytest.mark.parametrize(
    ("reply", "code"), [(NAMED, "request_refused"), (PAGE, "intercepted"), (Reply("", 401), "account_not_admitted")]
)
def test_another_401_is_left_to_whoever_reads_the_answer(client, server, reply, code):
    server.scripts[PROJECTS] = reply
    url = f"{server.url}{PROJECTS}"
    assert client.request(Request("GET", url, LIMIT), JANE).status == 401
    assert problem(client.as_person(JANE).json, url) == code


def test_a_redirect_is_never_followed(client, server):
    server.scripts[TOKEN] = Reply("", 307, (("Location", f"{server.url}/elsewhere"),))
    assert problem(client.access_token, "C", CALLBACK, "V") == "redirected"
    assert server.paths() == [TOKEN]


def test_the_profile_is_the_one_of_the_token(client, server):
    server.scripts["/bitbucket/rest/api/latest/application-properties"] = Reply(
        "{}", headers=(*JSON, ("X-AUSERNAME", "jane"))
    )
    record = {"name": "jane", "id": 42, "active": True, "type": "NORMAL"}
    server.scripts["/bitbucket/rest/api/latest/users/jane"] = Reply(json.dumps(record), headers=JSON)
    assert fetch_profile(client.as_person(JANE)).id == 42
    assert {request.headers["Authorization"] for request in server.received} == {"Bearer A"}

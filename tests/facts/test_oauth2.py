"""OAuth 2: codes, tokens, revoking and metadata."""

import base64
import hashlib
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.unit.sandbox.calling import PROPERTIES, WHOAMI, send

from .plugin import fact

OAUTH2 = "/rest/oauth2/latest"
SINCE = (7, 20, 0)
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


class Program:
    """The External application of *bitbucket*."""

    def __init__(self, bitbucket):
        self.bitbucket = bitbucket
        self.client_id, self.client_secret, self.redirect_url = bitbucket.client

    def back(self, *, scope="PUBLIC_REPOS", allow=True):
        """Return the parameters of the callback."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_url,
            "scope": scope,
            "state": "the state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        address = f"{self.bitbucket.url}{OAUTH2}/authorize?{urlencode(asked)}"
        return dict(parse_qsl(urlsplit(self.bitbucket.person.callback(address, allow=allow)).query))

    def code(self):
        return self.back()["code"]

    def ask(self, path, **fields):
        """Call with the client's credentials; ``None`` leaves a field out."""
        form = {"client_id": self.client_id, "client_secret": self.client_secret} | fields
        data = {name: value for name, value in form.items() if value is not None}
        return send("POST", f"{self.bitbucket.url}{OAUTH2}/{path}", data=data)

    def exchange(self, code, **changes):
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_url}
        return self.ask("token", **{**fields, "code_verifier": VERIFIER, **changes})

    def get(self, path, token):
        return send("GET", self.bitbucket.url + path, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def program(bitbucket):
    if bitbucket.client is None:
        pytest.skip("Set BITBUCKET_CLIENT_ID, BITBUCKET_CLIENT_SECRET and BITBUCKET_REDIRECT_URL.")
    return Program(bitbucket)


def error(answer):
    return answer.json()["error"]


@fact("7.1", since=SINCE)
def test_the_metadata_name_the_addresses(bitbucket):
    metadata = send("GET", f"{bitbucket.url}{OAUTH2}/.well-known/oauth-authorization-server").json()
    assert metadata["token_endpoint"].endswith(f"{OAUTH2}/token")
    assert metadata["authorization_endpoint"].endswith(f"{OAUTH2}/authorize")


@fact("7.2", since=SINCE)
@pytest.mark.parametrize("secret", [{}, {"client_secret": "wrong"}, {"client_id": "wrong"}])
def test_an_unknown_code_is_said_before_anything_about_the_client(program, secret):
    assert error(program.exchange("unknown", **secret)) == "invalid_request"


@fact("7.2", since=SINCE)
def test_a_code_older_than_ten_seconds_is_as_an_unknown_one(bitbucket, program):
    code = program.code()
    bitbucket.let_pass(11)
    assert error(program.exchange(code)) == "invalid_request"


@fact("7.3", since=SINCE)
@pytest.mark.parametrize(
    "changes", [{"redirect_uri": "https://facts.example/other"}, {"code_verifier": "w" * 43}, {"client_id": "wrong"}]
)
def test_what_does_not_belong_to_the_code_is_said_before_a_wrong_secret(program, changes):
    assert error(program.exchange(program.code(), **changes, client_secret="wrong")) == "invalid_grant"


@fact("7.4", since=SINCE)
def test_the_client_secret_is_looked_at_last(program):
    assert error(program.exchange(program.code(), client_secret="wrong")) == "invalid_client"


@fact("7.5", since=SINCE)
def test_a_second_use_of_a_code_ends_the_tokens_of_the_first(program):
    code = program.code()
    granted = program.exchange(code).json()
    assert program.get(PROPERTIES, granted["access_token"]).headers["X-AUSERNAME"] == program.bitbucket.name
    assert error(program.exchange(code)) == "invalid_grant"
    assert program.get(PROPERTIES, granted["access_token"]).status_code == 401


@fact("7.6", since=SINCE)
def test_revoke_looks_at_the_client_first_and_takes_any_token(program):
    for wrong in ({"client_secret": "wrong"}, {"client_id": "wrong"}):
        assert error(program.ask("revoke", token="made-up", **wrong)) == "invalid_client"
    assert program.ask("revoke", token="made-up").status_code == 200


@fact("7.6", since=SINCE)
def test_revoke_ends_a_token(program):
    token = program.exchange(program.code()).json()["access_token"]
    assert program.ask("revoke", token=token).status_code == 200
    assert program.get(PROPERTIES, token).status_code == 401


@fact("4.10", since=SINCE)
@pytest.mark.parametrize("kind", ["PROJECT", "REPO"])
def test_an_administrators_token_to_read_has_no_permission_to_write(program, kind):
    code = program.back(scope="REPO_READ")["code"]
    token = program.exchange(code).json()["access_token"]
    path = {"PROJECT": "/rest/api/latest/projects", "REPO": "/rest/api/latest/repos"}[kind]
    assert program.get(f"{path}?permission={kind}_READ", token).json()["values"] != []
    assert program.get(f"{path}?permission={kind}_WRITE", token).json()["values"] == []


@fact("7.7", since=SINCE)
def test_parameters_may_stand_in_the_query(program):
    query = {
        "client_id": program.client_id,
        "client_secret": program.client_secret,
        "grant_type": "authorization_code",
        "code": program.code(),
        "redirect_uri": program.redirect_url,
        "code_verifier": VERIFIER,
    }
    answer = send("POST", f"{program.bitbucket.url}{OAUTH2}/token", params=query)
    assert answer.json()["token_type"].lower() == "bearer"


@fact("7.8", since=SINCE)
def test_credentials_by_http_basic_are_not_read(program):
    form = {
        "grant_type": "authorization_code",
        "code": program.code(),
        "redirect_uri": program.redirect_url,
        "code_verifier": VERIFIER,
    }
    basic = (program.client_id, program.client_secret)
    answer = send("POST", f"{program.bitbucket.url}{OAUTH2}/token", data=form, auth=basic)
    assert answer.status_code in {400, 401}


@fact("7.9", since=SINCE)
def test_a_json_body_is_a_server_error(program):
    answer = send("POST", f"{program.bitbucket.url}{OAUTH2}/token", json={"grant_type": "authorization_code"})
    assert answer.status_code == 500


@fact("7.10", since=SINCE)
def test_a_scope_wider_than_the_links_is_an_error_at_the_redirect_address(program):
    assert program.back(scope="SYSTEM_ADMIN")["error"] == "invalid_scope"


@fact("7.10", since=SINCE)
def test_deny_is_access_denied(program):
    assert program.back(allow=False)["error"] == "access_denied"


@fact("7.11", since=SINCE, until=(8, 9, 22))
def test_whoami_takes_bearer_tokens_in_older_versions(program):
    token = program.exchange(program.code()).json()["access_token"]
    assert program.get(WHOAMI, token).text == program.bitbucket.name


@fact("7.11", since=(9, 3, 2))
def test_whoami_leads_bearer_tokens_to_the_login_page_in_newer_versions(program):
    token = program.exchange(program.code()).json()["access_token"]
    answer = program.get(WHOAMI, token)
    assert answer.status_code == 302
    assert "/login" in answer.headers["Location"]

"""OAuth 2 as the sandbox has it: links, the page that asks, codes, tokens and bearer requests."""

import base64
import hashlib
import re
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from social_bitbucket_server.sandbox import LinkRefusedError
from social_bitbucket_server.sandbox.oauth2.views import WORDS
from social_bitbucket_server.sandbox.state.external_applications import INCLUDED_SCOPES

from .calling import WHOAMI, send

LIST = "/plugins/servlet/applinks/listApplicationLinks"
PROVIDER = "/plugins/servlet/oauth2/provider"
AUTHORIZE = "/rest/oauth2/latest/authorize"
TOKEN = "/rest/oauth2/latest/token"
PROPERTIES = "/rest/api/latest/application-properties"
JANE = "/rest/api/latest/users/jane"
CALLBACK = "https://app.example/complete/?integration=acme"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


class Program:
    """A program that is linked with the sandbox by OAuth 2."""

    def __init__(self, sandbox, link):
        self.sandbox, self.link = sandbox, link

    def authorize_url(self, **changes):
        return f"{self.sandbox.url}{AUTHORIZE}?{urlencode(self.request(**changes))}"

    def request(self, **changes):
        parameters = {
            "response_type": "code",
            "client_id": self.link.client_id,
            "redirect_uri": CALLBACK,
            "scope": "REPO_READ",
            "state": "s t/a+te",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes
        return {name: value for name, value in parameters.items() if value is not None}

    def come_back(self, user="jane", allow=True, **changes):
        """Return the parameters of the callback."""
        address = self.sandbox.authorize(self.authorize_url(**changes), user=user, allow=allow)
        return dict(parse_qsl(urlsplit(address).query))

    def code(self, user="jane", **changes):
        return self.come_back(user, **changes)["code"]

    def exchange(self, code, **changes):
        return self.ask(grant_type="authorization_code", code=code, **{"redirect_uri": CALLBACK} | changes)

    def ask(self, path=TOKEN, **fields):
        form = {
            "client_id": self.link.client_id,
            "client_secret": self.link.client_secret,
            "code_verifier": VERIFIER,
        } | fields
        data = {name: value for name, value in form.items() if value is not None}
        return send("POST", self.sandbox.url + path, data=data)

    def revoke(self, token, **fields):
        return self.ask("/rest/oauth2/latest/revoke", token=token, **fields)

    def granted(self, user="jane"):
        answer = self.exchange(self.code(user))
        assert answer.status_code == 200
        return answer.json()

    def get(self, path, token):
        return send("GET", self.sandbox.url + path, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def program(new_sandbox):
    return Program(new_sandbox, new_sandbox.link_external_application(redirect_url=CALLBACK, name="Acme"))


@pytest.fixture
def other(new_sandbox):
    return Program(new_sandbox, new_sandbox.link_external_application(redirect_url=CALLBACK, name="Other"))


@pytest.fixture
def new_admin(new_visitor):
    return new_visitor.log_in("admin")


def refusal(answer):
    return answer.status_code, answer.json()["error"]


# The link


def test_the_form_has_bitbuckets_words_in_their_order(new_admin):
    new_admin.open(PROVIDER)
    assert new_admin.page.headings == ["Configure an incoming link", "Application details", "Application permissions"]
    assert new_admin.page.labels[:2] == ["Name", "Redirect URL"]
    assert re.search("System admin.*Admin.*Projects.*Repositories.*Account", new_admin.text)


def test_a_link_that_was_made_on_the_page_logs_people_in(new_admin, new_sandbox):
    new_admin.open(PROVIDER).submit(name="Acme", redirect_url=CALLBACK, permission="REPO_READ")
    (link,) = new_sandbox.external_applications.all()
    assert (new_admin.status, new_admin.heading) == (200, "Acme")
    assert link.client_id in new_admin.text
    assert link.client_secret in new_admin.text
    assert "Repositories: Read" in new_admin.text
    assert Program(new_sandbox, link).granted()["token_type"] == "bearer"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"name": ""}, "Enter a Name."),
        ({"redirect_url": ""}, "Enter the whole Redirect URL"),
        ({"redirect_url": "app.example/complete"}, "Enter the whole Redirect URL"),
        ({"redirect_url": "https://app.example/#x"}, "Enter the whole Redirect URL"),
        ({"permission": None}, "Choose at least one"),
        ({"permission": "EVERYTHING"}, "There is no permission called EVERYTHING."),
        ({"name": "Taken"}, "There is a link with this Name already: Taken."),
    ],
)
def test_the_form_refuses_what_cannot_be_used_and_keeps_what_was_typed(new_admin, new_sandbox, changes, refused):
    new_sandbox.link_external_application(redirect_url=CALLBACK, name="Taken")
    typed = {"name": "Acme", "redirect_url": CALLBACK, "permission": "REPO_READ"} | changes
    new_admin.open(PROVIDER).submit(**typed)
    assert (new_admin.status, new_admin.refusal[: len(refused)]) == (400, refused)
    assert new_admin.page.fields["name"] == typed["name"]


def test_only_administrators_see_the_credentials(new_visitor, program):
    assert new_visitor.log_in("jane").open(f"{PROVIDER}/{program.link.id}").status == 403
    assert new_visitor.open(PROVIDER).status == 403


def test_the_list_names_the_link(new_admin, program):
    new_admin.open(LIST)
    assert "Acme" in new_admin.text
    assert program.link.client_id in new_admin.text
    assert program.link.client_secret not in new_admin.text


def test_a_deleted_link_takes_its_tokens_along(new_admin, program):
    token = program.granted()["access_token"]
    new_admin.open(f"{PROVIDER}/{program.link.id}/delete").submit(confirmed_name="Acm")
    assert new_admin.refusal.startswith("That is not the name.")
    assert "1 access token of 1 person" in new_admin.text
    new_admin.submit(confirmed_name="Acme")
    assert new_admin.path == LIST
    assert program.get(JANE, token).status_code == 401
    assert refusal(program.revoke("x")) == (401, "invalid_client")


def test_a_link_by_program_refuses_what_the_form_refuses(new_sandbox):
    with pytest.raises(LinkRefusedError):
        new_sandbox.link_external_application(redirect_url="")


def test_before_7_20_there_is_none_of_it(sandbox, visitor):
    assert visitor.log_in("admin").open(PROVIDER).status == 404
    assert visitor.open(AUTHORIZE).status == 404
    assert send("POST", sandbox.url + TOKEN).status_code == 404


def test_nothing_shows_a_secret_by_accident(program):
    assert program.link.client_secret not in repr(program.link)
    program.granted()
    (grant,) = program.sandbox._state.grants.granted()
    assert grant.access_token not in repr(grant)


# The page that asks


def test_allow_leads_back_with_code_and_state_behind_the_addresss_own_query(program):
    back = program.come_back()
    assert set(back) == {"integration", "code", "state"}
    assert back["state"] == "s t/a+te"


def test_deny_leads_back_with_access_denied(program):
    back = program.come_back(allow=False)
    assert (back["error"], back["state"]) == ("access_denied", "s t/a+te")
    assert "code" not in back


def test_the_page_names_program_scope_and_person(new_visitor, program):
    new_visitor.log_in("jane").open(program.authorize_url())
    assert new_visitor.heading == "Allow access?"
    assert "Acme would like to view projects and repositories ( REPO_READ ) in this sandbox." in new_visitor.text
    assert "Jane Doe (jane)" in new_visitor.text


def test_the_page_names_each_scope_in_words(new_visitor, program):
    new_visitor.log_in("jane").open(program.authorize_url(scope="PUBLIC_REPOS REPO_READ"))
    words = "view public projects and repositories ( PUBLIC_REPOS ) and view projects and repositories ( REPO_READ )"
    assert words in new_visitor.text
    assert set(WORDS) == set(INCLUDED_SCOPES)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": f"{CALLBACK}&x"},
        {"redirect_uri": None},
    ],
)
def test_an_address_that_is_not_the_links_own_is_never_redirected_to(new_visitor, program, changes):
    new_visitor.log_in("jane").open(program.authorize_url(**changes))
    assert (new_visitor.status, new_visitor.heading) == (400, "This request for access is not valid")
    assert "Location" not in new_visitor.response.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "REPO_WRITE"}, "invalid_scope"),
        ({"scope": "REPO_READ nonsense"}, "invalid_scope"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_to_the_program(program, changes, error):
    back = program.come_back(**changes)
    assert (back["error"], back["state"]) == (error, "s t/a+te")


def test_a_parameter_that_is_there_twice_is_refused(program):
    address = program.sandbox.authorize(program.authorize_url() + "&scope=REPO_READ")
    assert parse_qs(urlsplit(address).query)["error"] == ["invalid_request"]


def test_a_permission_includes_smaller_ones(program):
    assert program.code(scope="PUBLIC_REPOS REPO_READ")


def test_one_of_several_redirect_urls_is_enough(new_sandbox):
    link = new_sandbox.link_external_application(redirect_url=f"https://other.example/ , {CALLBACK}")
    assert Program(new_sandbox, link).code()


def test_without_state_none_comes_back(program):
    assert "state" not in program.come_back(state=None)


def test_a_decision_cannot_be_sent_from_elsewhere(new_visitor, program):
    new_visitor.log_in("jane").post(AUTHORIZE, approve="1", **program.request())
    assert (new_visitor.status, new_visitor.heading) == (400, "The form is too old")


# Codes and tokens


def test_a_code_is_exchanged_for_a_bearer_token_of_an_hour(program):
    granted = program.granted()
    assert granted["token_type"] == "bearer"
    assert granted["expires_in"] == 3600
    assert granted["refresh_token"]
    assert granted["scope"] == "REPO_READ"


def test_a_code_works_once(program):
    code = program.code()
    assert program.exchange(code).status_code == 200
    assert refusal(program.exchange(code)) == (400, "invalid_grant")


def test_a_second_use_of_a_code_ends_all_that_it_led_to(program):
    code = program.code()
    first = program.exchange(code).json()
    renewed = program.ask(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    of_another_code = program.granted()["access_token"]
    assert program.get(JANE, renewed["access_token"]).status_code == 200
    assert refusal(program.exchange(code, client_secret="wrong")) == (400, "invalid_grant")
    assert program.get(JANE, renewed["access_token"]).status_code == 401
    again = program.ask(grant_type="refresh_token", refresh_token=renewed["refresh_token"])
    assert refusal(again) == (400, "invalid_grant")
    assert program.get(JANE, of_another_code).status_code == 200


def test_a_code_lives_ten_seconds(program):
    code = program.code()
    program.sandbox.clock.advance(11)
    assert refusal(program.exchange(code)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client")),
        ({"client_secret": None}, (401, "invalid_client")),
        ({"client_id": "wrong"}, (400, "invalid_grant")),
        ({"client_id": None}, (400, "invalid_request")),
        ({"redirect_uri": "https://app.example/other"}, (400, "invalid_grant")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"code": None}, (400, "invalid_request")),
        ({"code": "wrong"}, (400, "invalid_request")),
        ({"code": "wrong", "client_secret": "wrong"}, (400, "invalid_request")),
        ({"code_verifier": "w" * 43}, (400, "invalid_grant")),
        ({"code_verifier": "w" * 43, "client_secret": "wrong"}, (400, "invalid_grant")),
        ({"code_verifier": None}, (400, "invalid_grant")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
        ({"grant_type": None}, (400, "invalid_request")),
    ],
)
def test_a_wrong_exchange_is_refused(program, changes, error):
    fields = {"grant_type": "authorization_code", "code": program.code(), "redirect_uri": CALLBACK} | changes
    assert refusal(program.ask(**fields)) == error


def test_a_code_of_another_program_is_refused(program, other):
    assert refusal(other.exchange(program.code())) == (400, "invalid_grant")


def test_pkce_may_be_plain(program):
    code = program.code(code_challenge=VERIFIER, code_challenge_method="plain")
    assert program.exchange(code).status_code == 200


def test_pkce_in_small_letters_is_taken_too(program):
    assert program.exchange(program.code(code_challenge_method="s256")).status_code == 200


def test_a_refresh_token_works_once_and_takes_its_access_token_along(program):
    first = program.granted()
    second = program.ask(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert program.get(JANE, second["access_token"]).status_code == 200
    assert program.get(JANE, first["access_token"]).status_code == 401
    again = program.ask(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert refusal(again) == (400, "invalid_grant")


def test_a_refresh_token_lives_ninety_days_and_is_one_programs_own(program, other):
    first = program.granted()["refresh_token"]
    assert refusal(other.ask(grant_type="refresh_token", refresh_token=first)) == (400, "invalid_grant")
    program.sandbox.clock.advance(90 * 86_400 + 1)
    assert refusal(program.ask(grant_type="refresh_token", refresh_token=first)) == (400, "invalid_grant")


def test_parameters_may_stand_in_the_query(program):
    parameters = {
        "grant_type": "authorization_code",
        "code": program.code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": program.link.client_id,
        "client_secret": program.link.client_secret,
    }
    assert send("POST", program.sandbox.url + TOKEN, params=parameters).json()["token_type"] == "bearer"


def test_a_parameter_in_query_and_form_is_there_twice(program):
    code = program.code()
    answer = program.ask(f"{TOKEN}?code={code}", grant_type="authorization_code", redirect_uri=CALLBACK, code=code)
    assert refusal(answer) == (400, "invalid_request")


def test_credentials_by_http_basic_are_not_read(program):
    form = {
        "grant_type": "authorization_code",
        "code": program.code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    basic = (program.link.client_id, program.link.client_secret)
    assert refusal(send("POST", program.sandbox.url + TOKEN, data=form, auth=basic)) == (400, "invalid_request")
    with_id = form | {"client_id": program.link.client_id}
    assert refusal(send("POST", program.sandbox.url + TOKEN, data=with_id, auth=basic)) == (401, "invalid_client")


@pytest.mark.parametrize("path", [TOKEN, "/rest/oauth2/latest/revoke"])
def test_a_json_body_is_a_server_error(program, path):
    assert send("POST", program.sandbox.url + path, json={"grant_type": "authorization_code"}).status_code == 500


# Revoking


@pytest.mark.parametrize("change", [{"client_id": "wrong"}, {"client_secret": "wrong"}, {"client_secret": None}])
def test_revoke_checks_the_client_first(program, change):
    assert refusal(program.revoke("made-up", **change)) == (401, "invalid_client")
    assert refusal(program.revoke(None, **change)) == (401, "invalid_client")


def test_revoke_takes_any_token(program):
    answer = program.revoke("made-up")
    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_revoke_ends_both_tokens_of_a_pair(program, name):
    granted = program.granted()
    assert program.revoke(granted[name]).status_code == 200
    assert program.get(JANE, granted["access_token"]).status_code == 401
    again = program.ask(grant_type="refresh_token", refresh_token=granted["refresh_token"])
    assert refusal(again) == (400, "invalid_grant")


def test_revoke_leaves_another_programs_token_alone(program, other):
    token = program.granted()["access_token"]
    assert other.revoke(token).status_code == 200
    assert program.get(JANE, token).status_code == 200


def test_the_metadata_names_the_addresses(new_sandbox):
    answer = send("GET", f"{new_sandbox.url}/rest/oauth2/latest/.well-known/oauth-authorization-server").json()
    assert answer["token_endpoint"] == new_sandbox.url + TOKEN
    assert answer["authorization_endpoint"] == new_sandbox.url + AUTHORIZE
    assert answer["revocation_endpoint"] == f"{new_sandbox.url}/rest/oauth2/latest/revoke"
    assert answer["token_endpoint_auth_methods_supported"] == ["client_secret_post"]


# Requests with the token


def test_a_bearer_token_names_its_person(program):
    answer = program.get(PROPERTIES, program.granted("jo@example")["access_token"])
    assert answer.headers["X-AUSERNAME"] == "jo%40example"


@pytest.mark.parametrize("version", ["7.21.0", "8.9.21", "8.10.0", "8.19.11", "9.0.0", "9.3.1"])
def test_whoami_takes_a_bearer_token_in_older_versions(program, version):
    program.sandbox.faults.version = version
    assert program.get(WHOAMI, program.granted()["access_token"]).text == "jane"


@pytest.mark.parametrize("version", ["8.9.22", "8.19.12", "9.3.2", "9.4.0", "10.2.0"])
def test_a_bearer_token_is_honoured_below_rest_alone_in_newer_versions(program, version):
    program.sandbox.faults.version = version
    answer = program.get(WHOAMI, program.granted()["access_token"])
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login?")


def test_a_bearer_token_ends_after_an_hour(program):
    token = program.granted()["access_token"]
    program.sandbox.clock.advance(3601)
    assert program.get(JANE, token).status_code == 401


@pytest.mark.parametrize("path", [JANE, PROPERTIES])
def test_an_unknown_bearer_token_is_refused_in_json(program, path):
    answer = program.get(path, "unknown")
    assert answer.status_code == 401
    assert answer.json()["errors"]


def test_a_token_of_a_disabled_person_is_refused_without_a_word(program):
    token = program.granted()["access_token"]
    program.sandbox.users.disable("jane")
    answer = program.get(PROPERTIES, token)
    assert (answer.status_code, answer.text) == (401, "")


def test_a_revoked_token_is_refused(program):
    token = program.granted()["access_token"]
    assert program.sandbox.revoke("jane") == 1
    assert program.get(JANE, token).status_code == 401


def test_a_person_revokes_on_the_page(new_visitor, program):
    token = program.granted()["access_token"]
    new_visitor.log_in("jane").open("/plugins/servlet/oauth/users/access-tokens")
    assert "Acme 1 access token" in new_visitor.text
    new_visitor.submit()
    assert program.get(JANE, token).status_code == 401


@pytest.mark.parametrize(
    ("fault", "error"),
    [("client_secret_refused", (401, "invalid_client")), ("codes_expired", (400, "invalid_request"))],
)
def test_faults_of_the_token_call(program, fault, error):
    code = program.code()
    program.sandbox.faults.update({fault: True})
    assert refusal(program.exchange(code)) == error


def test_a_log_in_page_may_be_in_the_way(program):
    program.sandbox.faults.interception = "page"
    assert "html" in program.exchange("x").headers["Content-Type"]


def test_what_was_sent_is_on_record(program):
    program.granted()
    (asked,) = program.sandbox.requests.to("/token")
    assert asked.form["code_verifier"] == VERIFIER

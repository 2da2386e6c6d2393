import http.client
import zlib
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest

from social_bitbucket_server.sandbox import User

from .calling import PROPERTIES, USERS, WHOAMI, problem, send


@pytest.fixture
def token(caller, sandbox):
    return caller.access_token(sandbox)


def get(caller, path, token, **changes):
    return caller.call("GET", path, token=token, **changes)


def test_the_version_is_told_to_everybody(sandbox):
    response = send("GET", sandbox.url + PROPERTIES)
    assert response.json() == {
        "version": "7.6.0",
        "buildNumber": "7006000",
        "buildDate": "1672975062662",
        "displayName": "Bitbucket",
    }
    assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert "X-AUSERNAME" not in response.headers
    assert "X-AUSERID" not in response.headers


def test_headers_name_the_user_percent_encoded(caller, sandbox):
    headers = get(caller, PROPERTIES, caller.access_token(sandbox, "jo@example")).headers
    assert (headers["X-AUSERNAME"], headers["X-AUSERID"]) == ("jo%40example", "3")


def test_a_session_cookie_comes_back_that_means_nothing(caller, token):
    response = get(caller, PROPERTIES, token)
    cookie = response.cookies["BITBUCKETSESSIONID"]
    assert send("GET", caller.url + WHOAMI, cookies={"BITBUCKETSESSIONID": cookie}).text == ""


@pytest.mark.parametrize("version", ["latest", "1.0"])
def test_both_names_of_the_version_of_the_interface_work(caller, token, version):
    assert get(caller, f"/rest/api/{version}/application-properties", token).ok
    assert get(caller, f"/rest/api/{version}/users", token).ok
    assert get(caller, f"/rest/api/{version}/users/jane", token).ok


def test_a_user_has_the_shape_of_bitbucket(caller, token, sandbox):
    assert get(caller, f"{USERS}/jo_example", token).json() == {
        "name": "jo@example",
        "emailAddress": "jo@example.com",
        "id": 3,
        "displayName": "Jo Example",
        "active": True,
        "slug": "jo_example",
        "type": "NORMAL",
        "links": {"self": [{"href": f"{sandbox.url}/users/jo_example"}]},
    }


def test_users_are_found_by_slug_and_not_by_name(caller, token):
    response = get(caller, f"{USERS}/{quote('jo@example', safe='')}", token)
    assert response.status_code == 404
    assert response.json() == {
        "errors": [
            {
                "context": None,
                "message": "User jo@example does not exist.",
                "exceptionName": "com.atlassian.bitbucket.user.NoSuchUserException",
            }
        ]
    }


def test_a_user_without_an_address_has_no_such_field(caller, token):
    assert "emailAddress" not in get(caller, f"{USERS}/kim", token).json()


def test_special_accounts_are_marked(caller, token):
    assert get(caller, f"{USERS}/dora", token).json()["active"] is False
    assert get(caller, f"{USERS}/build-bot", token).json()["type"] == "SERVICE"
    assert get(caller, f"{USERS}/natasha", token).json()["displayName"] == "Наташа Иванова"


def test_avatars_come_on_request_with_absolute_and_relative_addresses(caller, token, sandbox):
    def avatar(slug):
        return get(caller, f"{USERS}/{slug}?avatarSize=48", token).json()["avatarUrl"]

    assert avatar("jane") == f"{sandbox.url}/users/jane/avatar.png?s=48"
    assert avatar("kim") == "/bitbucket/users/kim/avatar.png?s=48"


def test_an_avatar_is_a_picture(sandbox):
    response = send("GET", f"{sandbox.url}/users/jane/avatar.png?s=3")
    assert response.headers["Content-Type"] == "image/png"
    assert response.content.startswith(b"\x89PNG\r\n\x1a\n")
    length = int.from_bytes(response.content[33:37], "big")
    assert len(zlib.decompress(response.content[41 : 41 + length])) == 3 * (1 + 3 * 3)


def test_nobody_has_no_avatar(sandbox):
    assert send("GET", f"{sandbox.url}/users/nobody/avatar.png").status_code == 404


def test_a_search_finds_parts_of_name_display_name_and_address_in_any_case(caller, token):
    def found(text):
        return [user["name"] for user in get(caller, f"{USERS}?filter={quote(text)}", token).json()["values"]]

    assert found("BUILD-") == ["build-bot"]
    assert found("иванова") == ["natasha"]
    assert found("dora@EXAMPLE.com") == ["dora"]


def test_a_search_goes_on_on_further_pages(caller, token):
    first = get(caller, f"{USERS}?filter=jane", token).json()
    assert {name: first[name] for name in ("size", "limit", "isLastPage", "start", "nextPageStart")} == {
        "size": 25,
        "limit": 25,
        "isLastPage": False,
        "start": 0,
        "nextPageStart": 25,
    }
    assert "jane" not in [user["name"] for user in first["values"]]
    second = get(caller, f"{USERS}?filter=jane&start=25", token).json()
    assert "jane" in [user["name"] for user in second["values"]]
    assert (second["isLastPage"], second["nextPageStart"]) == (True, None)


def test_limits_are_cut(caller, token):
    assert get(caller, f"{USERS}?limit=5000", token).json()["limit"] == 1000


@pytest.mark.parametrize("query", ["start=-1", "limit=0", "start=x", "limit="])
def test_numbers_that_are_none_are_refused(caller, token, query):
    assert get(caller, f"{USERS}?{query}", token).status_code == 400


@pytest.mark.parametrize("path", [USERS, f"{USERS}/jane"])
def test_anonymous_people_see_no_users(sandbox, path):
    response = send("GET", sandbox.url + path)
    assert response.status_code == 401
    (error,) = response.json()["errors"]
    assert error["context"] is None
    assert error["exceptionName"] == "com.atlassian.bitbucket.AuthorisationException"


@pytest.mark.parametrize(("path", "status"), [("/rest/api/latest/dashboard", 404), ("/rest/", 404)])
def test_what_is_not_there_is_a_json_error(sandbox, path, status):
    response = send("GET", sandbox.url + path)
    assert response.status_code == status
    assert response.json()["errors"]


def test_a_wrong_method_is_a_json_error(sandbox):
    response = send("DELETE", sandbox.url + PROPERTIES)
    assert response.status_code == 405
    assert response.json()["errors"]


def test_whoami_is_the_name_as_text(caller, sandbox):
    response = get(caller, WHOAMI, caller.access_token(sandbox, "jo@example"))
    assert response.text == "jo@example"
    assert response.headers["Content-Type"].startswith("text/plain")


def test_whoami_is_empty_for_anonymous_people(sandbox):
    response = send("GET", sandbox.url + WHOAMI)
    assert (response.status_code, response.text) == (200, "")


@pytest.mark.parametrize("name", ["oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_nonce"])
def test_a_request_that_lacks_one_oauth_parameter_is_anonymous(caller, token, name):
    response = get(caller, WHOAMI, token, **{name: None})
    assert (response.status_code, response.text) == (200, "")


def test_a_request_token_is_no_access_token(caller):
    assert problem(get(caller, WHOAMI, caller.request_token())) == (401, "token_rejected")


def test_a_token_belongs_to_one_consumer(caller, other_caller, token):
    assert problem(get(other_caller, WHOAMI, token)) == (401, "token_rejected")


def test_a_signed_call_with_another_key_is_refused(impostor, token):
    assert problem(get(impostor, PROPERTIES, token)) == (401, "signature_invalid")


def test_a_revoked_token_is_rejected(caller, token, sandbox):
    assert sandbox.revoke("jane") == 1
    assert problem(get(caller, WHOAMI, token)) == (401, "token_rejected")


def test_a_token_of_a_link_that_is_gone_is_rejected(caller, token, sandbox):
    (link,) = sandbox.links.all()
    sandbox.links.remove(link.id)
    assert problem(get(caller, WHOAMI, token)) == (401, "token_rejected")


@pytest.mark.parametrize("path", [PROPERTIES, USERS, WHOAMI])
def test_a_disabled_user_gets_401_without_a_word(caller, token, sandbox, path):
    sandbox.users.disable("jane")
    response = get(caller, path, token)
    assert (response.status_code, response.content) == (401, b"")
    assert "oauth_problem" not in response.headers["WWW-Authenticate"]


def test_an_enabled_user_is_back(caller, token, sandbox):
    sandbox.users.disable("jane")
    sandbox.users.enable("jane")
    assert get(caller, WHOAMI, token).text == "jane"


def test_a_removed_user_gets_401_without_a_word(caller, token, sandbox):
    sandbox.users.remove("jane")
    assert get(caller, WHOAMI, token).content == b""


def test_a_renamed_user_keeps_token_and_id(caller, token, sandbox):
    sandbox.users.rename("jane", "Jane@Doe")
    headers = get(caller, PROPERTIES, token).headers
    assert (headers["X-AUSERNAME"], headers["X-AUSERID"]) == ("Jane%40Doe", "2")
    assert get(caller, f"{USERS}/jane_doe", token).json()["id"] == 2


@pytest.mark.parametrize(
    ("signed_path", "status"), [("/users/a%5Fb%5fc", 200), ("/users/a_b_c", 401), ("/users/a%5fb%5fc", 401)]
)
def test_the_path_is_signed_as_it_is_sent_and_not_tidied_up(caller, token, sandbox, signed_path, status):
    sandbox.users.put(User(99, "a b c", "Odd"))
    _, headers, _ = caller.sign("GET", f"/rest/api/latest{signed_path}", token=token)
    parts = urlsplit(caller.url)
    # Without the client library in between, which tidies paths up itself.
    with closing(http.client.HTTPConnection(parts.hostname, parts.port)) as connection:
        connection.request("GET", f"{parts.path}/rest/api/latest/users/a%5Fb%5fc", headers=headers)
        assert connection.getresponse().status == status


def test_a_body_that_is_too_long_is_refused(sandbox):
    response = send("POST", f"{sandbox.url}/login", data={"j_username": "x" * 1_000_001})
    assert response.status_code == 413


# Groups and projects

PROJECTS = "/rest/api/latest/projects"


def test_the_user_list_searches_in_a_group(caller, token):
    page = get(caller, f"{USERS}?group=Developers&filter=jane", token).json()
    assert [user["name"] for user in page["values"]] == ["jane"]
    assert get(caller, f"{USERS}?group=nobody", token).json()["values"] == []


def test_a_server_may_keep_its_groups_to_itself(caller, token, sandbox):
    sandbox.faults.groups_closed = True
    assert get(caller, f"{USERS}?group=developers", token).status_code == 401
    assert get(caller, USERS, token).status_code == 200


@pytest.mark.parametrize(
    ("user", "path", "status"),
    [
        ("jane", "/WEB", 200),
        ("jane", "/web/repos/Website", 200),
        ("jane", "/WEB/repos/nothing", 404),
        ("jane", "/NONE", 404),
        ("kim", "/WEB", 401),
        ("kim", "/WEB/repos/website", 401),
        ("kim", "/DOCS/repos/handbook", 200),
        ("admin", "/WEB", 200),
    ],
)
def test_projects_are_there_for_those_who_may_see_them(caller, sandbox, user, path, status):
    assert get(caller, PROJECTS + path, caller.access_token(sandbox, user)).status_code == status


def test_projects_are_not_shown_to_anonymous_people(sandbox):
    assert send("GET", f"{sandbox.url}{PROJECTS}/DOCS").status_code == 401

"""REST: users, projects, errors, passwords, and application links."""

import secrets

import pytest

from social_bitbucket_server.sandbox import Project
from tests.unit.sandbox.calling import PROPERTIES, USERS, send

from .plugin import fact
from .server import LINKS

PROJECTS = "/rest/api/latest/projects"
REPOSITORIES = "/rest/api/latest/repos"


@fact("4.3")
def test_users_are_found_by_a_part_of_the_name_page_by_page(bitbucket, caller, token):
    page = caller.call("GET", f"{USERS}?filter={bitbucket.name[:3]}&start=0&limit=1", token=token).json()
    assert len(page["values"]) == 1
    assert page["isLastPage"] or page["nextPageStart"] == 1
    names, start = [], 0
    while start is not None:
        address = f"{USERS}?filter={bitbucket.name[:3]}&start={start}&limit=100"
        page = caller.call("GET", address, token=token).json()
        names += [user["name"] for user in page["values"]]
        start = None if page["isLastPage"] else page["nextPageStart"]
    assert bitbucket.name in names


@fact("4.4")
def test_a_user_record_has_its_fields(bitbucket, caller, token):
    page = caller.call("GET", f"{USERS}?filter={bitbucket.name}&limit=100", token=token).json()
    (user,) = (found for found in page["values"] if found["name"] == bitbucket.name)
    record = caller.call("GET", f"{USERS}/{user['slug']}?avatarSize=48", token=token).json()
    assert {"name", "id", "displayName", "active", "slug", "type", "links", "avatarUrl"} <= set(record)
    assert type(record["id"]) is int
    assert (record["active"], record["type"]) == (True, "NORMAL")


@fact("4.8")
@pytest.mark.parametrize(("path", "kind"), [(PROJECTS, "PROJECT"), (REPOSITORIES, "REPO")])
@pytest.mark.parametrize("level", ["READ", "WRITE", "ADMIN"])
def test_what_a_person_may_do_is_listed(caller, token, path, kind, level):
    page = caller.call("GET", f"{path}?permission={kind}_{level}&limit=3", token=token)
    assert page.status_code == 200
    assert {"values", "isLastPage", "start", "limit", "size"} <= set(page.json())


@fact("4.8")
def test_the_lists_are_about_the_person_and_the_name_is_a_part(bitbucket):
    sandbox = bitbucket.only_in_the_sandbox("its projects are not known")
    sandbox.projects.put(Project("OPS", "Website operations", ("scripts",), writers=("jane",), admins=("kim",)))

    def keys(user, path, query):
        token = f"Bearer {sandbox.http_access_token(user)}"
        page = send("GET", f"{bitbucket.url}{path}?{query}", headers={"Authorization": token}).json()
        return [value["project"]["key"] if "project" in value else value["key"] for value in page["values"]]

    assert keys("jane", PROJECTS, "name=web&permission=PROJECT_READ") == ["WEB", "OPS"]
    assert keys("jane", PROJECTS, "name=web&permission=PROJECT_WRITE") == ["OPS"]
    assert keys("jane", REPOSITORIES, "permission=REPO_ADMIN") == []
    assert keys("kim", REPOSITORIES, "projectname=operations&name=script&permission=REPO_ADMIN") == ["OPS"]
    assert keys("jane", f"{PROJECTS}/WEB/repos", "") == ["WEB", "WEB"]


@fact("4.9")
@pytest.mark.parametrize(("path", "kind"), [(PROJECTS, "PROJECT"), (REPOSITORIES, "REPO")])
def test_the_permission_to_read_is_more_than_seeing_what_is_public(bitbucket, path, kind):
    sandbox = bitbucket.only_in_the_sandbox("its projects are not known")
    sandbox.projects.put(Project("OPEN", "Open", ("one",), public=True, users=("jane",)))

    def listed(user, query):
        token = f"Bearer {sandbox.http_access_token(user)}"
        page = send("GET", f"{bitbucket.url}{path}?name=o&{query}", headers={"Authorization": token}).json()
        return {value.get("project", value)["key"] for value in page["values"]}

    assert "OPEN" in listed("natasha", "")
    assert "OPEN" not in listed("natasha", f"permission={kind}_READ")
    assert "OPEN" in listed("jane", f"permission={kind}_READ")


@fact("4.9")
@pytest.mark.parametrize(("path", "kind"), [(PROJECTS, "PROJECT"), (REPOSITORIES, "REPO")])
def test_anonymous_people_have_no_permission_to_read(bitbucket, path, kind):
    page = send("GET", f"{bitbucket.url}{path}?permission={kind}_READ")
    assert page.status_code == 401 or page.json()["values"] == []


@fact("5.1")
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_change_without_json_and_header_is_taken_for_another_sites(bitbucket, method):
    address, headers = bitbucket.url + PROJECTS, {"Content-Type": "text/plain"}
    refused = send(method, address, data="x", headers=headers)
    assert refused.status_code == 403
    assert "XSRF check failed" in refused.text
    allowed = send(method, address, data="x", headers=headers | {"X-Atlassian-Token": "no-check"})
    assert "XSRF check failed" not in allowed.text


@fact("5.2")
def test_errors_of_rest_are_json_in_one_shape(bitbucket):
    refused = send("GET", f"{bitbucket.url}{USERS}?filter=a")
    assert refused.status_code == 401
    (error,) = refused.json()["errors"]
    assert {"context", "message", "exceptionName"} <= set(error)
    assert "OAuth realm=" in refused.headers["WWW-Authenticate"]


@fact("5.3", since=(10, 0, 0))
def test_passwords_are_refused_with_a_text_as_the_server_comes(bitbucket):
    refused = send("GET", bitbucket.url + LINKS, auth=("facts-nobody", "wrong"))
    if bitbucket.sandbox is None and refused.status_code == 401:
        pytest.skip("Basic authentication is switched on at this server.")
    assert refused.status_code == 403
    assert "basic" in refused.text.lower()


@fact("5.4")
def test_a_wrong_password_is_401_and_after_five_a_captcha_is_asked_for(bitbucket):
    sandbox = bitbucket.only_in_the_sandbox("it would lock an account")
    is_on = sandbox.basic_authentication
    sandbox.basic_authentication = True
    try:
        answers = [send("GET", bitbucket.url + LINKS, auth=("kim", "wrong")) for _ in range(6)]
        assert [found.status_code for found in answers] == [401] * 5 + [403]
        assert answers[-1].headers["X-Authentication-Denied-Reason"] == "CAPTCHA_CHALLENGE"
        assert send("GET", bitbucket.url + PROPERTIES, auth=("kim", "kim")).status_code == 403
    finally:
        sandbox.basic_authentication = is_on
        sandbox._state.failed_logins.forget("kim")


@fact("5.5")
def test_an_http_access_token_reaches_projects_and_no_application_links(bitbucket):
    sandbox = bitbucket.only_in_the_sandbox("only a person can make such a token")
    token = {"Authorization": f"Bearer {sandbox.http_access_token('admin')}"}
    assert send("GET", bitbucket.url + PROJECTS, headers=token).status_code == 200
    assert send("GET", bitbucket.url + LINKS, headers=token).status_code == 401


@fact("6.1")
def test_a_link_is_made_listed_and_removed(bitbucket):
    made, link_id = bitbucket.make_link()
    assert made.status_code == 201
    listed = bitbucket.rest("GET", LINKS).json()["list"]
    assert link_id in {found["application"]["id"] for found in listed}
    assert bitbucket.rest("DELETE", f"{LINKS}/{link_id}").status_code == 204
    bitbucket.forget(link_id)


@fact("6.2")
def test_the_consumer_is_made_and_updated_by_the_same_call(bitbucket):
    _, link_id = bitbucket.make_link()
    key = f"facts-{secrets.token_hex(8)}"
    assert bitbucket.set_consumer(link_id, key).status_code == 201
    assert bitbucket.set_consumer(link_id, key).status_code in {200, 201}


@fact("6.3")
def test_a_public_key_that_is_none_is_refused(bitbucket):
    _, link_id = bitbucket.make_link()
    assert bitbucket.set_consumer(link_id, f"facts-{secrets.token_hex(8)}", "no key").status_code == 400


@fact("6.4")
def test_a_taken_address_or_consumer_key_is_refused(bitbucket, caller):
    made, link_id = bitbucket.make_link(rpcUrl="https://facts-twice.example", displayUrl="https://facts-twice.example")
    if made.status_code == 201:
        twice, _ = bitbucket.make_link(rpcUrl="https://facts-twice.example", displayUrl="https://facts-twice.example")
        assert twice.status_code in {400, 409}
        assert bitbucket.set_consumer(link_id, caller.key).status_code in {400, 409}

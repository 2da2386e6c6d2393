import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from social_bitbucket_server import sandbox as package
from social_bitbucket_server.sandbox import LinkRefusedError, Sandbox, User
from social_bitbucket_server.sandbox.state.bounded import BoundedDict
from social_bitbucket_server.sandbox.state.records import Records, RequestRecord
from social_bitbucket_server.sandbox.state.users import SANDBOX_USERS, Users

from .calling import PROPERTIES, REQUEST_TOKEN, WHOAMI, send


@pytest.mark.socket
@pytest.mark.parametrize(
    ("context", "path"), [("", ""), ("/", ""), ("/bitbucket", "/bitbucket"), ("/a/b/", "/a/b"), ("/~x.y", "/~x.y")]
)
def test_the_address_has_the_context_path(context, path):
    with Sandbox(context=context) as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.url.rpartition(":")[2].lstrip("0123456789") == path
        assert send("GET", sandbox.url + PROPERTIES).ok


@pytest.mark.parametrize("context", ["bitbucket", "/a b", "/a//b", "/%41"])
def test_a_context_path_that_is_none_is_refused(context):
    with pytest.raises(ValueError, match="context path"):
        Sandbox(context=context)


@pytest.mark.parametrize(
    "version", ["", "7", "seven", "7.x", "7.6.0.1", "7.-6", "7.²", "7.60", "8.18.9", "10.1.0", "11.0"]
)
def test_a_version_that_the_sandbox_does_not_know_is_refused_with_the_list(version):
    with pytest.raises(ValueError, match=r"knows 7\.6, 7\.21, 8\.19, 9\.4 and 10\.2\."):
        Sandbox(version=version)


@pytest.mark.socket
@pytest.mark.parametrize(
    ("version", "number"),
    [
        (None, "10.2.0"),
        ("7.6", "7.6.0"),
        ("7.21", "7.21.0"),
        ("8.19.12", "8.19.12"),
        ("9.4", "9.4.0"),
        ("10.2", "10.2.0"),
    ],
)
def test_the_versions_it_knows_are_given_as_bitbucket_gives_them(version, number):
    with Sandbox(**{} if version is None else {"version": version}) as sandbox:
        assert send("GET", sandbox.url + PROPERTIES).json()["version"] == number


def test_a_port_that_is_taken_is_an_os_error(sandbox):
    port = int(sandbox.url.split(":")[2].partition("/")[0])
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=port).start()


def test_a_sandbox_is_started_once(sandbox):
    with pytest.raises(RuntimeError):
        sandbox.start()


def test_a_stopped_sandbox_does_not_answer(sandbox):
    sandbox.stop()
    with pytest.raises(OSError, match="refused"):
        send("GET", sandbox.url + PROPERTIES)


def test_stopping_twice_is_fine(sandbox):
    sandbox.stop()
    sandbox.stop()


def test_a_stopped_sandbox_starts_again_at_the_same_address_and_remembers(sandbox):
    sandbox.links.add("Acme", "https://app.example")
    address = sandbox.url
    sandbox.stop()
    sandbox.start()
    assert sandbox.url == address
    assert [link.name for link in sandbox.links.all()] == ["Acme"]
    assert send("GET", sandbox.url + PROPERTIES).ok


@pytest.mark.socket
def test_the_users_can_be_others():
    with Sandbox(users=[User(5, "ann", "Ann")]) as sandbox:
        assert [user.name for user in sandbox.users.all()] == ["ann"]


def test_a_link_needs_a_key_of_its_own(sandbox, public_key):
    sandbox.link(consumer_key="acme", public_key=public_key)
    with pytest.raises(LinkRefusedError, match="Consumer Key is taken"):
        sandbox.link(consumer_key="acme", public_key=public_key, application_url="https://other.example")


def test_a_link_needs_an_address_of_its_own(sandbox, public_key):
    sandbox.link(consumer_key="one", public_key=public_key, application_url="https://app.example")
    with pytest.raises(LinkRefusedError, match="Application URL"):
        sandbox.link(consumer_key="two", public_key=public_key, application_url="https://app.example/")


def test_requests_are_remembered_with_what_signed_them(caller, sandbox):
    caller.call("GET", f"{WHOAMI}?x=%20", token="T")
    (record,) = sandbox.requests
    assert (record.method, record.path, record.query_string) == ("GET", f"/bitbucket{WHOAMI}", "x=%20")
    assert record.headers["authorization"].startswith("OAuth ")
    assert record.oauth_parameters["oauth_token"] == "T"
    assert record.oauth_parameters["oauth_consumer_key"] == "acme"


def test_requests_outside_of_the_context_path_are_remembered_too(sandbox):
    send("GET", sandbox.url.removesuffix("/bitbucket") + PROPERTIES)
    assert [record.path for record in sandbox.requests] == [PROPERTIES]


def test_the_switches_of_the_sandbox_are_not_among_the_requests(sandbox):
    send("GET", f"{sandbox.url}/sandbox/faults.json")
    assert len(sandbox.requests) == 0


def test_requests_are_counted_by_path_and_forgotten(sandbox):
    send("GET", sandbox.url + WHOAMI)
    send("GET", sandbox.url + PROPERTIES)
    assert len(sandbox.requests.to("/whoami")) == 1
    assert sandbox.requests[0].path.endswith("/whoami")
    assert len(sandbox.requests[:2]) == 2
    sandbox.requests.clear()
    assert list(sandbox.requests) == []


def test_only_the_latest_requests_are_kept():
    records = Records(limit=2)
    for path in "abc":
        records.add(RequestRecord("GET", path, "", {}, {}))
    assert [record.path for record in records] == ["b", "c"]


def test_a_bounded_dictionary_forgets_the_oldest():
    bounded = BoundedDict(2)
    for key in "abac":
        bounded[key] = None
    assert list(bounded) == ["b", "c"]


def test_ids_begin_with_1_and_slugs_are_bitbuckets():
    assert [user.id for user in SANDBOX_USERS] == list(range(1, len(SANDBOX_USERS) + 1))
    assert User(1, "Jo Doe@x", "Jo").slug == "jo_doe_x"
    assert User(1, "jo", "Jo", slug="own").slug == "own"


@pytest.mark.parametrize("user", [User(2, "ann", "A"), User(2, "Ann", "A")])
def test_two_users_with_one_name_or_slug_are_refused(user):
    with pytest.raises(ValueError, match="another user"):
        Users([User(1, "ann", "Ann"), user])


def test_a_user_who_is_not_there_cannot_be_changed():
    with pytest.raises(KeyError):
        Users([]).disable("nobody")


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError):
        package.Bitbucket  # noqa: B018 - looking is the test


@pytest.mark.program
def test_the_plugin_of_pytest_loads_nothing_heavy():
    code = (
        "import sys, social_bitbucket_server.sandbox.pytest_plugin as plugin;"
        "sys.exit(' '.join({'flask', 'waitress', 'cryptography', 'social_core'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert finished.stderr.strip() == ""


def test_the_fixture_is_a_started_sandbox(bitbucket_sandbox):
    assert bitbucket_sandbox.url.endswith("/bitbucket")
    assert send("POST", bitbucket_sandbox.url + REQUEST_TOKEN).status_code == 400


def test_a_burst_of_requests_is_served_quietly(sandbox, caplog, capfd):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: send("GET", sandbox.url + WHOAMI).status_code, range(60)))
    assert answers == [200] * 60
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")

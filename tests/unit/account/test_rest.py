import dataclasses
import json
import time

import pytest

from social_bitbucket_server.account import RestClient, StoredToken
from social_bitbucket_server.account.rest import LIMIT, LONGEST_WAIT, TRIES
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.problems import BitbucketServerError
from tests.scripted_server import Reply

ACCESS_TOKEN = "/bitbucket/plugins/servlet/oauth/access-token"
PROJECTS = "/rest/api/latest/projects"
JSON = (("Content-Type", "application/json"),)


class Store:
    """A place for one token."""

    def __init__(self, token):
        self.token = token
        self.kept = []

    def load(self):
        return self.token

    def keep(self, token):
        self.token = token
        self.kept.append(token)


@pytest.fixture
def store(integration):
    return Store(StoredToken("A", "H", int(time.time()) + 1000, int(time.time()) + 2000, str(integration.server.url)))


@pytest.fixture
def slept():
    return []


@pytest.fixture
def rest(integration, store, slept):
    return RestClient(Client(integration), store, sleep=slept.append)


@pytest.fixture
def answers(server):
    """Let the server answer a path below the context path with these, one after the other; the last stays."""

    def script(path, *replies):
        left = list(replies)
        server.scripts[f"/bitbucket{path}"] = lambda _: left.pop(0) if len(left) > 1 else left[0]

    return script


def problem(call, *arguments, **options):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments, **options)
    return caught.value


def test_json_is_asked_for_as_the_person(rest, answers, server):
    answers(PROJECTS, Reply('{"size": 1}', headers=JSON))
    assert rest.get(PROJECTS, name="a b&c", limit=5) == {"size": 1}
    (request,) = server.received
    assert request.method == "GET"
    assert request.oauth["oauth_token"] == "A"
    assert request.query == {"name": ["a b&c"], "limit": ["5"]}
    assert request.headers["Accept"] == "application/json"


def test_a_query_may_have_any_names(rest, answers, server):
    answers(PROJECTS, Reply("{}"))
    rest.get(PROJECTS, path="a/b", document="x", merges=True, **{"self": 1, "a-b": "c"})
    (request,) = server.received
    assert request.query == {"path": ["a/b"], "document": ["x"], "merges": ["true"], "self": ["1"], "a-b": ["c"]}


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_document_is_sent_as_json(rest, answers, server, method):
    answers(PROJECTS, Reply('["ü"]', 201, JSON))
    assert getattr(rest, method)(PROJECTS, {"key": "ü", "list": [1, None]}, version=3) == ["ü"]
    (request,) = server.received
    assert request.method == method.upper()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Atlassian-Token"] == "no-check"
    assert json.loads(request.body) == {"key": "ü", "list": [1, None]}
    assert request.query == {"version": ["3"]}


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_no_document_is_no_body_and_an_empty_answer_is_none(rest, answers, server, method):
    answers(PROJECTS, Reply("", 204))
    assert getattr(rest, method)(PROJECTS) is None
    (request,) = server.received
    assert request.body == b""
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Atlassian-Token"] == "no-check"


def test_a_question_has_neither_a_content_type_nor_an_exemption(rest, answers, server):
    answers(PROJECTS, Reply("{}"))
    rest.get(PROJECTS)
    assert not {"Content-Type", "X-Atlassian-Token"} & set(server.received[0].headers)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "rest/x",
        "//evil.test/x",
        "https://evil.test/",
        "/rest/../admin",
        "/rest/./x",
        "/..",
        "/rest/x?y=z",
        "/rest/x#y",
        "/rest/a b",
        "/rest/ü",
        "/rest/%2f",
        "/rest/%zz",
        "/rest//x",
        "/rest/x\r\nHost: evil",
        "/rest\\x",
    ],
)
def test_a_path_that_is_none_is_refused_unsent(rest, server, path):
    with pytest.raises(ValueError, match="path"):
        rest.get(path)
    assert server.received == []


@pytest.mark.parametrize("path", ["/rest/a%2Fb%20c", "/rest/~jane", "/rest/...", "/rest/x/", "/rest/a@b:c;d,e"])
def test_a_path_is_sent_as_it_was_given(rest, server, answers, path):
    answers(path, Reply("{}"))
    rest.get(path)
    assert server.received[0].target == f"/bitbucket{path}"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("", 401), "account_not_admitted"),
        (Reply('{"errors": []}', 401), "request_refused"),
        (Reply('{"errors": []}', 403), "request_refused"),
        (Reply('{"errors": [{"exceptionName": "com.atlassian.AuthorisationException"}]}', 403), "not_permitted"),
        (Reply('{"errors": [{"exceptionName": "com.atlassian.AuthorisationException"}]}', 401), "not_permitted"),
        (Reply('{"errors": [{"exceptionName": "com.atlassian.NoSuchProjectException"}]}', 404), "request_refused"),
        (Reply("XSRF check failed", 403), "xsrf_check_failed"),
        (Reply('{"errors": []}', 404), "request_refused"),
        (Reply('{"errors": []}', 409), "request_refused"),
        (Reply("", 302), "redirected"),
        (Reply("", 500), "server_error"),
        (Reply("", 503), "server_starting"),
        (Reply("<html>", 200, (("Content-Type", "text/html"),)), "intercepted"),
        (Reply("nonsense"), "malformed_answer"),
        (Reply('{"a": 1, "a": 2}'), "malformed_answer"),
        (Reply("x" * (LIMIT + 1)), "malformed_answer"),
        (Reply("oauth_problem=token_rejected", 401), "token_revoked"),
        (Reply("oauth_problem=token_expired", 401), "token_expired"),
        (Reply("oauth_problem=signature_invalid", 401), "signature_invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_wrong_has_a_name_and_the_status(integration, store, server, answers, reply, code):
    store.token = dataclasses.replace(store.token, session_handle="")
    answers(PROJECTS, reply)
    caught = problem(RestClient(Client(integration), store).get, PROJECTS)
    assert caught.code == code
    if code == "request_refused":
        assert caught.status_code == reply.status
    assert len(server.received) == 1


def test_a_large_answer_is_read(rest, answers):
    answers(PROJECTS, Reply(json.dumps("x" * 1_000_000)))
    assert len(rest.get(PROJECTS)) == 1_000_000


# Pages


def page(values, following=None):
    return Reply(json.dumps({"values": values, "isLastPage": following is None, "nextPageStart": following}))


def test_pages_are_followed_one_by_one(rest, answers, server):
    answers(PROJECTS, page([1, 2], 2), page([], 7), page([3]))
    values = rest.pages(PROJECTS, limit=2)
    assert next(values) == 1
    assert len(server.received) == 1
    assert list(values) == [2, 3]
    assert [request.query.get("start") for request in server.received] == [None, ["2"], ["7"]]
    assert {request.query["limit"][0] for request in server.received} == {"2"}


@pytest.mark.parametrize(
    "reply",
    [
        page([1], 0),
        page([1], -5),
        Reply('{"values": [1], "isLastPage": false}'),
        Reply('{"values": [1], "isLastPage": false, "nextPageStart": true}'),
        Reply('{"values": [1], "isLastPage": false, "nextPageStart": "5"}'),
        Reply('{"values": {"a": 1}}'),
        Reply("[]"),
        Reply("", 204),
    ],
)
def test_a_page_that_leads_nowhere_is_malformed(rest, answers, server, reply):
    answers(PROJECTS, reply)
    assert problem(list, rest.pages(PROJECTS)).code == "malformed_answer"
    assert len(server.received) == 1


def test_pages_that_do_not_go_on_are_malformed(rest, answers, server):
    answers(PROJECTS, page([1], 5))
    assert problem(list, rest.pages(PROJECTS)).code == "malformed_answer"
    assert len(server.received) == 2


# Limits


def limited(retry_after=None):
    return Reply("{}", 429, [] if retry_after is None else [("Retry-After", retry_after)])


def test_a_limit_is_waited_for_as_long_as_the_server_asks(rest, answers, server, slept):
    answers(PROJECTS, limited("7"), limited("2"), Reply("{}"))
    assert rest.get(PROJECTS) == {}
    assert slept == [7, 2]
    assert len({request.oauth["oauth_nonce"] for request in server.received}) == 3


@pytest.mark.parametrize("retry_after", [None, "soon", "-1", "1\tx", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 500])
def test_a_limit_without_a_number_of_seconds_is_waited_for_shortly(rest, answers, slept, retry_after):
    answers(PROJECTS, limited(retry_after), Reply("{}"))
    rest.get(PROJECTS)
    assert slept == [5]


def test_a_limit_that_lasts_is_a_problem_after_a_few_tries(rest, answers, server, slept):
    answers(PROJECTS, limited("1"))
    assert problem(rest.get, PROJECTS).code == "rate_limited"
    assert len(server.received) == TRIES
    assert slept == [1] * (TRIES - 1)


def test_a_limit_that_lasts_too_long_is_a_problem_at_once(rest, answers, server, slept):
    answers(PROJECTS, limited(str(LONGEST_WAIT + 1)))
    assert problem(rest.get, PROJECTS).code == "rate_limited"
    assert slept == []
    assert len(server.received) == 1


# Renewal


RENEWED = Reply(
    "oauth_token=B&oauth_token_secret=S&oauth_expires_in=1000&oauth_session_handle=I"
    "&oauth_authorization_expires_in=2000"
)


def test_a_token_that_has_ended_is_renewed_before_it_is_used(integration, store, server, answers):
    store.token = dataclasses.replace(store.token, expires_at=1)
    answers("/plugins/servlet/oauth/access-token", RENEWED)
    answers(PROJECTS, Reply("{}"))
    rest = RestClient(Client(integration), store)
    rest.get(PROJECTS)
    rest.get(PROJECTS)
    assert server.paths() == [ACCESS_TOKEN, f"/bitbucket{PROJECTS}", f"/bitbucket{PROJECTS}"]
    renewal = server.received[0]
    assert renewal.method == "POST"
    assert renewal.oauth["oauth_token"] == "A"
    assert renewal.body == b"oauth_session_handle=H"
    assert renewal.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert server.received[1].oauth["oauth_token"] == "B"
    (kept,) = store.kept
    assert (kept.value, kept.session_handle) == ("B", "I")


def test_a_token_that_the_server_finds_too_old_is_renewed_once(integration, store, server, answers):
    answers("/plugins/servlet/oauth/access-token", RENEWED)
    answers(PROJECTS, Reply("oauth_problem=token_expired", 401), Reply("{}"))
    assert RestClient(Client(integration), store).post(PROJECTS, {"a": 1}) == {}
    assert [request.oauth["oauth_token"] for request in server.received] == ["A", "A", "B"]
    assert server.received[2].body == b'{"a": 1}'


def test_a_renewed_token_that_is_too_old_again_is_not_renewed_again(rest, server, answers):
    answers("/plugins/servlet/oauth/access-token", RENEWED)
    answers(PROJECTS, Reply("oauth_problem=token_expired", 401))
    assert problem(rest.get, PROJECTS).code == "token_expired"
    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("reported", "code"), [("token_rejected", "token_revoked"), ("token_expired", "token_expired")]
)
def test_a_renewal_that_is_refused_says_why(integration, store, answers, slept, reported, code):
    store.token = dataclasses.replace(store.token, expires_at=1)
    answers("/plugins/servlet/oauth/access-token", Reply(f"oauth_problem={reported}", 401))
    assert problem(RestClient(Client(integration), store, sleep=slept.append).get, PROJECTS).code == code
    assert store.kept == []


@pytest.mark.parametrize("change", [{"session_handle": ""}, {"renewable_until": 1}])
def test_a_token_that_cannot_be_renewed_has_expired_and_nothing_is_sent(integration, store, server, change):
    store.token = dataclasses.replace(store.token, expires_at=1, **change)
    assert problem(RestClient(Client(integration), store).get, PROJECTS).code == "token_expired"
    assert server.received == []


@pytest.mark.parametrize("expires_at", [1, None])
def test_a_token_that_somebody_else_renewed_meanwhile_is_taken_over(integration, store, server, answers, expires_at):
    store.token = dataclasses.replace(store.token, expires_at=expires_at)
    rest = RestClient(Client(integration), store)
    store.token = dataclasses.replace(store.token, value="C", expires_at=None)
    server.scripts[ACCESS_TOKEN] = Reply("oauth_problem=token_rejected", 401)
    server.scripts[f"/bitbucket{PROJECTS}"] = lambda received: (
        Reply("{}") if received.oauth["oauth_token"] == "C" else Reply("oauth_problem=token_rejected", 401)
    )
    assert rest.get(PROJECTS) == {}
    assert len(server.received) == 2
    assert store.kept == []


def test_a_token_that_was_taken_over_and_is_rejected_as_well_was_revoked(integration, store, answers):
    rest = RestClient(Client(integration), store)
    store.token = dataclasses.replace(store.token, value="C")
    answers(PROJECTS, Reply("oauth_problem=token_rejected", 401))
    assert problem(rest.get, PROJECTS).code == "token_revoked"


def test_a_client_does_not_show_its_token(rest):
    assert repr(rest).startswith("<RestClient http://127.0.0.1:")

import pytest
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.oauth import AccessToken, Client, read_json
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Answer
from tests.scripted_server import Reply
from tests.security.rows import row

CALLBACK = "https://app.example/complete/bitbucket-server/?integration=acme-1"
CONFIRMED = "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true"
REQUEST_TOKEN = "/bitbucket/plugins/servlet/oauth/request-token"
ACCESS_TOKEN = "/bitbucket/plugins/servlet/oauth/access-token"
HTML = (("Content-Type", "text/html;charset=UTF-8"),)
TOKEN = AccessToken("A", "", None, None)


@pytest.fixture
def client(integration):
    return Client(integration)


def problem(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value


def test_a_request_token_is_asked_for_by_post_with_the_callback(client, server):
    server.scripts[REQUEST_TOKEN] = Reply(CONFIRMED)
    assert client.request_token(CALLBACK) == "T"
    (request,) = server.received
    assert request.method == "POST"
    assert request.oauth["oauth_callback"] == CALLBACK
    assert request.oauth["oauth_consumer_key"] == "the-consumer"
    assert "oauth_token" not in request.oauth
    assert "oauth_verifier" not in request.oauth


def test_the_browser_is_sent_to_the_authorize_page_with_the_token_and_nothing_else(client, server):
    assert client.authorize_url("T+1") == f"{server.url}/bitbucket/plugins/servlet/oauth/authorize?oauth_token=T%2B1"


def test_a_verifier_is_exchanged_for_an_access_token(client, server):
    server.scripts[ACCESS_TOKEN] = Reply(
        "oauth_token=A&oauth_token_secret=B&oauth_expires_in=157680000&oauth_session_handle=H"
        "&oauth_authorization_expires_in=160272000"
    )
    assert client.access_token("T", "AbC123") == AccessToken("A", "H", 157680000, 160272000)
    (request,) = server.received
    assert request.method == "POST"
    assert request.oauth["oauth_token"] == "T"
    assert request.oauth["oauth_verifier"] == "AbC123"
    assert "oauth_callback" not in request.oauth


def test_a_signed_get_carries_neither_callback_nor_verifier(client, server):
    server.scripts["/bitbucket/rest/x"] = Reply("{}")
    client.as_person(TOKEN).json(client.integration.server.url.join("/rest/x"))
    (request,) = server.received
    assert request.oauth["oauth_token"] == "A"
    assert not {"oauth_callback", "oauth_verifier"} & request.oauth.keys()


def test_denied_is_the_persons_decision_and_asks_the_server_nothing(client, server):
    assert problem(client.access_token, "T", "denied").code == "login_declined"
    assert server.received == []


@row(49, 50, 51, 52)
@pytest.mark.parametrize(
    ("body", "code", "claim"),
    [
        ("oauth_token=T&oauth_token_secret=S", "callback_not_confirmed", "oauth_callback_confirmed"),
        (CONFIRMED.replace("true", "false"), "callback_confirmation_invalid", "oauth_callback_confirmed"),
        (CONFIRMED.replace("true", "TRUE"), "callback_confirmation_invalid", "oauth_callback_confirmed"),
        (CONFIRMED + "&oauth_callback_confirmed=true", "malformed_answer", None),
        ("oauth_token=a&" + CONFIRMED, "malformed_answer", None),
        ("oauth_token=T&" + CONFIRMED, "malformed_answer", None),
        (CONFIRMED + "&oauth%5Ftoken=b", "malformed_answer", None),
        ("", "empty_answer", "oauth_token"),
        ("   \n", "empty_answer", "oauth_token"),
        ('{"oauth_token": "T"}', "intercepted", "oauth_token"),
        ("<html>Log in</html>", "intercepted", "oauth_token"),
        ("<html>oauth_token</html>", "intercepted", "oauth_token"),
        ("a=b&" * 40 + CONFIRMED, "intercepted", "oauth_token"),
        (CONFIRMED.replace("=T&", "=&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=%00&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=%0d%0aSet-Cookie:x&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=a%00b&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=é&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=%C3%A9&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", "=a+b&"), "token_invalid", "oauth_token"),
        (CONFIRMED.replace("=T&", f"={'t' * 256}&"), "token_invalid", "oauth_token"),
        (b"\xff\xfe", "malformed_answer", None),
        (b"x" * 9000, "malformed_answer", None),
    ],
)
def test_an_answer_without_a_confirmed_token_is_a_problem(client, server, body, code, claim):
    server.scripts[REQUEST_TOKEN] = Reply(body)
    caught = problem(client.request_token, CALLBACK)
    assert (caught.code, caught.claim) == (code, claim)


@row(54)
@pytest.mark.parametrize(
    "charset", ["nonexistent", "rot13", "utf-16", "utf-7", "punycode", "idna", "\x00", "", "x" * 1000]
)
def test_the_declared_character_set_plays_no_part(client, server, charset):
    server.scripts[REQUEST_TOKEN] = Reply(CONFIRMED, headers=[("Content-Type", f"text/plain; charset={charset}")])
    assert client.request_token(CALLBACK) == "T"


@row(53)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (201, "request_refused"),
        (204, "request_refused"),
        (206, "request_refused"),
        (300, "redirected"),
        (301, "redirected"),
        (302, "redirected"),
        (303, "redirected"),
        (304, "redirected"),
        (307, "redirected"),
        (308, "redirected"),
        (404, "request_refused"),
        (418, "request_refused"),
        (429, "rate_limited"),
        (500, "server_error"),
        (502, "server_starting"),
        (503, "server_starting"),
        (504, "server_starting"),
        (999, "request_refused"),
    ],
)
def test_every_other_status_is_a_problem_after_one_request(client, server, status, code):
    headers = [("Location", f"{server.url}/elsewhere"), ("Content-Type", "text/plain")]
    server.scripts[REQUEST_TOKEN] = Reply(CONFIRMED, status, headers)
    caught = problem(client.request_token, CALLBACK)
    assert caught.code == code
    assert caught.status_code == status
    assert server.paths() == [REQUEST_TOKEN]


@row(59)
@pytest.mark.parametrize(
    ("reported", "status", "code"),
    [
        ("consumer_key_unknown", 401, "consumer_key_unknown"),
        ("signature_invalid", 401, "signature_invalid"),
        ("signature_method_rejected", 400, "signature_method_rejected"),
        ("timestamp_refused", 400, "timestamp_refused"),
        ("nonce_used", 401, "nonce_used"),
        ("token_rejected", 401, "token_rejected"),
        ("token_used", 401, "token_rejected"),
        ("token_expired", 401, "token_expired"),
        ("permission_denied", 401, "permission_denied"),
        ("permission_unknown", 401, "permission_unknown"),
        ("token_revoked", 401, "token_revoked"),
        ("consumer_key_refused", 401, "consumer_key_refused"),
        ("consumer_key_rejected", 401, "consumer_key_refused"),
        ("user_refused", 401, "permission_unknown"),
        ("additional_authorization_required", 401, "oauth_problem"),
        ("parameter_absent", 400, "authorization_header_lost"),
        ("parameter_rejected", 400, "oauth_problem"),
        ("version_rejected", 400, "oauth_problem"),
    ],
)
@pytest.mark.parametrize("place", ["body", "header", "reordered body"])
def test_every_oauth_problem_is_a_problem_with_a_code(client, server, reported, status, code, place):
    body = {
        "body": f"oauth_problem={reported}&oauth_problem_advice=x",
        "reordered body": f"oauth_signature_base_string=GET%26x&oauth_problem={reported}",
        "header": "",
    }[place]
    headers = [("WWW-Authenticate", 'Basic realm="x"')]
    if place == "header":
        headers.append(("WWW-Authenticate", f'OAuth realm="http%3A%2F%2Fx", oauth_problem="{reported}"'))
    server.scripts[REQUEST_TOKEN] = Reply(body, status, headers)
    caught = problem(client.request_token, CALLBACK)
    assert caught.code == code
    assert caught.provider_code == reported


@row(59)
def test_a_problem_that_nobody_knows_is_named_other(client, server):
    server.scripts[REQUEST_TOKEN] = Reply("oauth_problem=%3Cscript%3E", 401)
    caught = problem(client.request_token, CALLBACK)
    assert (caught.code, caught.provider_code) == ("oauth_problem", "other")
    assert caught.reason == "It reported a problem that OAuth does not have."


@row(61)
@pytest.mark.parametrize("body", ['{"errors":[{"message":"no"}]}', '{"error":"access_denied"}', "<html>"])
def test_another_401_is_a_refusal(client, server, body):
    server.scripts[REQUEST_TOKEN] = Reply(body, 401)
    assert problem(client.request_token, CALLBACK).code == "request_refused"


@row(60)
@pytest.mark.parametrize("wish", ["999999999", "1\tx", "1" * 500])
def test_a_server_that_limits_us_is_one_problem_whatever_it_wishes(client, server, wish):
    server.scripts[REQUEST_TOKEN] = Reply("", 429, [("Retry-After", wish)])
    assert problem(client.request_token, CALLBACK).code == "rate_limited"


def test_an_empty_401_is_about_no_account_where_the_application_itself_asks(client, server):
    server.scripts[REQUEST_TOKEN] = server.scripts[ACCESS_TOKEN] = Reply("", 401)
    assert problem(client.request_token, CALLBACK).code == "request_refused"
    assert problem(client.access_token, "T", "V").code == "request_refused"


def test_json_that_is_not_utf_8_is_told_so():
    with pytest.raises(BitbucketServerError) as caught:
        read_json(Answer(200, HTTPHeaderDict(), b'"\xff"'))
    assert (caught.value.code, caught.value.reason) == ("malformed_answer", "It is not UTF-8.")


def test_nobody_listening_is_a_failed_connection(integration, server):
    server.__exit__()
    try:
        assert problem(Client(integration).request_token, CALLBACK).code == "connection_failed"
    finally:
        server.__enter__()


def test_an_access_token_does_not_show_itself():
    assert "secret" not in repr(AccessToken("secret-token", "secret-handle", 1, 2))

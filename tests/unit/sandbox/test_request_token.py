import re
import time
from urllib.parse import parse_qs, quote

import pytest
from authlib.oauth1.rfc5849.signature import SIGNATURE_TYPE_BODY, SIGNATURE_TYPE_QUERY

from social_bitbucket_server.sandbox import Sandbox

from .calling import CALLBACK, REQUEST_TOKEN, Caller, answer, problem, send
from .conftest import pem, public_pem


def ask(caller, **changes):
    return caller.call("POST", REQUEST_TOKEN, **({"oauth_callback": CALLBACK} | changes))


def test_a_request_token_comes_with_secret_and_confirmation_as_plain_text(caller):
    response = ask(caller)
    assert response.headers["Content-Type"] == "text/plain"
    assert re.fullmatch(
        r"oauth_token=[A-Za-z0-9]{32}&oauth_token_secret=[A-Za-z0-9]{32}&oauth_callback_confirmed=true", response.text
    )


def test_without_a_callback_the_token_is_plain_oauth_1_0_and_nothing_is_confirmed(caller):
    assert set(answer(ask(caller, oauth_callback=None))) == {"oauth_token", "oauth_token_secret"}


def test_out_of_band_is_accepted_as_callback(caller):
    assert "oauth_token" in answer(ask(caller, oauth_callback="oob"))


def test_a_get_answers_200_with_nothing(caller):
    response = caller.call("GET", REQUEST_TOKEN, oauth_callback=CALLBACK)
    assert (response.status_code, response.content) == (200, b"")
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("signature_type", [SIGNATURE_TYPE_QUERY, SIGNATURE_TYPE_BODY])
def test_parameters_may_come_in_the_query_and_in_a_form(caller, signature_type):
    assert "oauth_token" in answer(ask(caller, signature_type=signature_type))


def test_a_body_of_another_type_has_no_oauth_parameters(caller):
    response = send(
        "POST", caller.url + REQUEST_TOKEN, data="oauth_consumer_key=acme", headers={"Content-Type": "text/plain"}
    )
    assert problem(response) == (400, "parameter_absent")


# In the order in which it is checked: whatever is wrong besides comes later.
WRONG = {"oauth_callback": "nowhere", "signature": "x"}


def test_first_a_missing_consumer_key_is_named(caller):
    response = ask(caller, oauth_consumer_key=None, **WRONG)
    assert problem(response) == (400, "parameter_absent")
    assert parse_qs(response.text)["oauth_parameters_absent"] == ["oauth_consumer_key"]


def test_then_an_unknown_consumer_key(caller):
    assert problem(ask(caller, oauth_consumer_key="nobody", **WRONG)) == (401, "consumer_key_unknown")


def test_then_a_consumer_that_may_not_log_people_in(sandbox, rsa_key):
    sandbox.link(consumer_key="two-legged", public_key=public_pem(rsa_key), three_legged_allowed=False)
    caller = Caller(sandbox.url, "two-legged", pem(rsa_key))
    assert problem(ask(caller, **WRONG)) == (401, "permission_denied")


@pytest.mark.parametrize(
    "callback", ["nowhere", "/complete", "ftp://app.example/", "https://", "javascript:alert(1)", "", "http://[::1"]
)
def test_then_a_callback_that_is_neither_oob_nor_an_absolute_address(caller, callback):
    response = ask(caller, oauth_callback=callback, signature="x")
    assert problem(response) == (400, "parameter_rejected")
    assert parse_qs(response.text)["oauth_parameters_rejected"] == ["oauth_callback"]
    assert "oauth_problem_advice" in parse_qs(response.text)


def test_then_another_oauth_version(caller):
    response = ask(caller, oauth_version="2.0", oauth_timestamp="1", signature="x")
    assert problem(response) == (400, "version_rejected")


@pytest.mark.parametrize("name", ["oauth_timestamp", "oauth_nonce", "oauth_signature_method"])
def test_then_parameters_of_the_signature_that_are_missing(caller, name):
    response = ask(caller, **{name: None, "signature": "x"})
    assert problem(response) == (400, "parameter_absent")
    assert parse_qs(response.text)["oauth_parameters_absent"] == [name]


@pytest.mark.parametrize("offset", [-360, 360])
def test_then_a_timestamp_out_of_the_window_with_the_acceptable_ones(caller, offset):
    now = int(time.time())
    response = ask(caller, oauth_timestamp=str(now + offset), signature="x")
    assert problem(response) == (400, "timestamp_refused")
    earliest, latest = map(int, parse_qs(response.text)["oauth_acceptable_timestamps"][0].split("-"))
    assert latest - earliest == 600
    assert earliest <= now <= latest


@pytest.mark.parametrize("offset", [-240, 240])
def test_a_timestamp_within_the_window_is_accepted(caller, offset):
    assert "oauth_token" in answer(ask(caller, oauth_timestamp=str(int(time.time()) + offset)))


@pytest.mark.parametrize("timestamp", ["soon", "1.5", "²", "9" * 19])
def test_the_server_fails_over_a_timestamp_that_is_no_number(caller, timestamp):
    assert ask(caller, oauth_timestamp=timestamp).status_code == 500


def test_then_a_nonce_that_was_used(caller):
    again = {"oauth_timestamp": str(int(time.time())), "oauth_nonce": "once"}
    answer(ask(caller, **again))
    assert problem(ask(caller, method_name="PLAINTEXT", **again)) == (400, "signature_method_rejected")
    assert problem(ask(caller, signature="x", **again)) == (401, "nonce_used")


def test_a_nonce_is_burnt_before_the_signature_is_checked(caller, impostor):
    again = {"oauth_timestamp": str(int(time.time())), "oauth_nonce": "once"}
    assert problem(ask(impostor, **again)) == (401, "signature_invalid")
    assert problem(ask(caller, **again)) == (401, "nonce_used")


@pytest.mark.parametrize("method", ["HMAC-SHA1", "PLAINTEXT"])
def test_then_another_signature_method(caller, method):
    response = ask(caller, method_name=method)
    assert problem(response) == (400, "signature_method_rejected")


def test_then_a_signature_by_another_key_with_the_base_string_of_the_server(impostor, sandbox):
    response = ask(impostor)
    assert problem(response) == (401, "signature_invalid")
    base_string = parse_qs(response.text)["oauth_signature_base_string"][0]
    assert base_string.startswith(f"POST&{quote(sandbox.url + REQUEST_TOKEN, safe='')}&")


def test_a_signature_of_another_size_fails_the_server_without_a_problem(caller):
    response = ask(caller, signature="c2hvcnQ=")
    assert response.status_code == 500
    assert response.headers["Content-Type"].startswith("text/html")
    assert "oauth_problem" not in response.text


@pytest.mark.parametrize("signature", ["x", "é"])
def test_a_signature_that_is_no_base64_fails_the_server(caller, signature):
    assert ask(caller, signature=signature).status_code == 500


@pytest.mark.parametrize("public_key", ["", "garbage", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_public_key_that_cannot_be_read_fails_the_server(sandbox, rsa_key, public_key):
    sandbox.link(consumer_key="garbage", public_key=public_key)
    assert ask(Caller(sandbox.url, "garbage", pem(rsa_key))).status_code == 500


def test_a_problem_comes_form_encoded_with_two_challenges_on_401(caller, sandbox):
    response = ask(caller, oauth_consumer_key="nobody")
    realm = quote(sandbox.url, safe="")
    assert response.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert response.raw.headers.getlist("WWW-Authenticate") == [
        f'OAuth realm="{realm}", oauth_problem="consumer_key_unknown"',
        f'OAuth realm="{realm}"',
    ]


def test_a_problem_comes_with_one_challenge_on_400(caller, sandbox):
    response = ask(caller, oauth_version="2.0")
    (challenge,) = response.raw.headers.getlist("WWW-Authenticate")
    assert challenge == (
        f'OAuth realm="{quote(sandbox.url, safe="")}", oauth_problem="version_rejected", '
        'oauth_acceptable_versions="1.0-1.0"'
    )


def test_another_host_name_is_signed_as_the_client_sent_it_while_the_realm_stays(caller, sandbox):
    elsewhere = Caller(caller.url.replace("127.0.0.1", "LOCALHOST"), caller.key, caller.private_key)
    assert "oauth_token" in answer(ask(elsewhere))
    refusal = ask(elsewhere, oauth_version="2.0")
    assert quote(sandbox.url, safe="") in refusal.headers["WWW-Authenticate"]


@pytest.mark.socket
def test_a_server_without_context_path_works_too(rsa_key):
    with Sandbox() as sandbox:
        sandbox.link(consumer_key="acme", public_key=public_pem(rsa_key))
        assert "oauth_token" in answer(ask(Caller(sandbox.url, "acme", pem(rsa_key))))

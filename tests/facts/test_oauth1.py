"""OAuth 1.0a: signatures, the three calls, and signed requests. Signed by Authlib."""

import secrets
import time
from urllib.parse import parse_qs

import pytest
from authlib.oauth1.rfc5849.signature import SIGNATURE_TYPE_BODY, SIGNATURE_TYPE_QUERY
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.sandbox.calling import ACCESS_TOKEN, CALLBACK, PROPERTIES, REQUEST_TOKEN, WHOAMI, answer, problem, send
from tests.unit.sandbox.conftest import pem

from .plugin import fact
from .server import FactCaller


def ask(caller, **options):
    return caller.call("POST", REQUEST_TOKEN, **({"oauth_callback": CALLBACK} | options))


@fact("1.1")
@pytest.mark.parametrize("path", [REQUEST_TOKEN, ACCESS_TOKEN])
def test_get_at_a_token_address_is_answered_with_nothing(bitbucket, path):
    found = send("GET", bitbucket.url + path)
    assert (found.status_code, found.text) == (200, "")


@fact("1.2")
@pytest.mark.parametrize("place", [SIGNATURE_TYPE_QUERY, SIGNATURE_TYPE_BODY])
def test_parameters_may_stand_in_query_or_form(caller, place):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    headers = form if place == SIGNATURE_TYPE_BODY else {}
    assert answer(ask(caller, signature_type=place, headers=headers))["oauth_callback_confirmed"] == "true"


@fact("2.1")
@pytest.mark.parametrize("method", ["HMAC-SHA1", "PLAINTEXT"])
def test_another_signature_method_is_rejected(caller, method):
    refused = ask(caller, method_name=method)
    assert problem(refused) == (400, "signature_method_rejected")
    assert "oauth_problem" in refused.headers["WWW-Authenticate"]


@fact("2.2")
@pytest.mark.parametrize("offset", [-400, 400])
def test_a_timestamp_may_be_five_minutes_off(caller, offset):
    refused = ask(caller, oauth_timestamp=str(int(time.time()) + offset))
    assert problem(refused) == (400, "timestamp_refused")
    earliest, latest = parse_qs(refused.text)["oauth_acceptable_timestamps"][0].split("-")
    assert int(latest) - int(earliest) == 600


@fact("2.3")
def test_a_nonce_is_used_up_before_the_signature_is_checked(caller):
    again = {"oauth_timestamp": str(int(time.time())), "oauth_nonce": secrets.token_hex(8)}
    assert ask(caller, oauth_callback=f"{CALLBACK}&changed=1", signature="AAAA", **again).status_code in {401, 500}
    assert problem(ask(caller, **again)) == (401, "nonce_used")


@fact("2.4")
def test_an_invalid_signature_is_explained_with_three_fields(bitbucket, caller):
    other = FactCaller(bitbucket.url, caller.key, pem(rsa.generate_private_key(65537, bitbucket.bits)), bitbucket)
    refused = ask(other)
    assert problem(refused) == (401, "signature_invalid")
    told = parse_qs(refused.text)
    assert {"oauth_signature", "oauth_signature_base_string", "oauth_signature_method"} <= set(told)
    assert told["oauth_signature_base_string"][0].startswith("POST&http")
    assert told["oauth_signature_method"] == ["RSA-SHA1"]


@fact("2.5")
def test_the_server_fails_over_a_signature_by_a_key_of_another_size(bitbucket, caller):
    other = FactCaller(
        bitbucket.url, caller.key, pem(rsa.generate_private_key(65537, 3072 - bitbucket.bits)), bitbucket
    )
    assert ask(other).status_code == 500


@fact("2.6")
def test_a_parameter_that_comes_twice_is_rejected(caller):
    uri, headers, _ = caller.sign("POST", REQUEST_TOKEN, oauth_callback=CALLBACK)
    assert problem(send("POST", f"{uri}?oauth_nonce=again", headers=headers)) == (400, "parameter_rejected")


@fact("2.7")
@pytest.mark.parametrize("version", [None, "1", "1.0"])
def test_oauth_version_may_be_one_or_missing(caller, version):
    assert ask(caller, oauth_version=version).status_code == 200


@fact("2.7")
def test_another_oauth_version_is_rejected_and_no_number_is_a_server_error(caller):
    assert problem(ask(caller, oauth_version="2.0")) == (400, "version_rejected")
    assert ask(caller, oauth_version="1.0A").status_code == 500


@fact("2.8")
def test_the_server_fails_over_a_timestamp_that_is_no_number(caller):
    assert ask(caller, oauth_timestamp="soon").status_code == 500


@fact("2.9")
def test_the_method_is_looked_at_before_timestamp_and_nonce(caller):
    assert problem(ask(caller, method_name="PLAINTEXT", oauth_timestamp="1"))[1] == "signature_method_rejected"
    assert problem(ask(caller, method_name="PLAINTEXT", oauth_nonce=None))[1] == "signature_method_rejected"


@fact("3.1")
def test_a_request_token_has_its_three_fields(caller):
    begun = ask(caller)
    assert begun.headers["Content-Type"].startswith("text/plain")
    fields = answer(begun)
    assert set(fields) == {"oauth_token", "oauth_token_secret", "oauth_callback_confirmed"}
    assert {len(fields["oauth_token"]), len(fields["oauth_token_secret"])} == {32}


@fact("3.2")
def test_the_consumer_is_looked_at_before_the_callback_and_the_signature(bitbucket, caller):
    missing = ask(caller, oauth_consumer_key=None)
    assert problem(missing) == (400, "parameter_absent")
    assert parse_qs(missing.text)["oauth_parameters_absent"] == ["oauth_consumer_key"]
    unknown = FactCaller(bitbucket.url, f"unknown-{secrets.token_hex(8)}", caller.private_key, bitbucket)
    assert problem(ask(unknown, oauth_callback="x", signature="x")) == (401, "consumer_key_unknown")


@fact("3.3")
@pytest.mark.parametrize("callback", ["/complete", "app.example", "ftp://app.example/", "HTTPS://app.example/x"])
def test_a_callback_is_an_absolute_address_with_a_scheme_in_small_letters(caller, callback):
    refused = ask(caller, oauth_callback=callback, signature="x")
    assert problem(refused) == (400, "parameter_rejected")
    assert parse_qs(refused.text)["oauth_parameters_rejected"] == ["oauth_callback"]


@fact("3.3")
def test_a_callback_may_be_oob(caller):
    assert answer(ask(caller, oauth_callback="oob"))["oauth_callback_confirmed"] == "true"


@fact("3.4")
def test_allow_leads_back_with_a_verifier_of_six_characters(caller):
    token = caller.begun()["oauth_token"]
    back = caller.back(token)
    assert (back["oauth_token"], back["integration"], len(back["oauth_verifier"])) == (token, "acme-1", 6)


@fact("3.4")
def test_deny_leads_back_with_the_verifier_denied(caller):
    token = caller.begun()["oauth_token"]
    back = caller.back(token, allow=False)
    assert back["oauth_verifier"] == "denied"
    assert "oauth_problem" not in back
    assert problem(caller.exchange(token, oauth_verifier="denied")) == (401, "permission_denied")


@fact("3.5")
def test_the_page_for_a_bad_token_names_the_problem_in_a_header(bitbucket, caller):
    page = send("GET", caller.authorize_url("unknown"))
    assert page.status_code == 401
    assert "html" in page.headers["Content-Type"]
    assert 'oauth_problem="token_rejected"' in page.headers["WWW-Authenticate"]


@fact("3.6")
def test_an_access_token_has_its_five_fields_and_a_request_token_works_once(caller):
    token = caller.begun()["oauth_token"]
    verifier = caller.back(token)["oauth_verifier"]
    fields = answer(caller.exchange(token, oauth_verifier=verifier))
    assert set(fields) == {
        "oauth_token",
        "oauth_token_secret",
        "oauth_expires_in",
        "oauth_session_handle",
        "oauth_authorization_expires_in",
    }
    assert problem(caller.exchange(token, oauth_verifier=verifier)) == (401, "token_rejected")


@fact("3.7")
def test_an_exchange_before_the_decision_is_unknown_permission(caller):
    assert problem(caller.exchange(caller.begun()["oauth_token"], oauth_verifier="V")) == (401, "permission_unknown")


@fact("3.7")
def test_a_missing_verifier_is_absent_and_a_wrong_one_rejected(caller):
    token = caller.begun()["oauth_token"]
    caller.back(token)
    absent = caller.exchange(token)
    assert problem(absent) == (400, "parameter_absent")
    assert parse_qs(absent.text)["oauth_parameters_absent"] == ["oauth_verifier"]
    assert problem(caller.exchange(token, oauth_verifier="wrong!")) == (401, "token_rejected")


@fact("3.8")
def test_the_access_token_keeps_the_request_tokens_secret(caller):
    begun = caller.begun()
    verifier = caller.back(begun["oauth_token"])["oauth_verifier"]
    granted = answer(caller.exchange(begun["oauth_token"], oauth_verifier=verifier))
    assert granted["oauth_token_secret"] == begun["oauth_token_secret"]


@fact("3.9")
def test_an_access_token_is_renewed_with_its_session_handle(caller):
    granted = caller.session()
    absent = caller.exchange(granted["oauth_token"])
    assert problem(absent) == (400, "parameter_absent")
    assert parse_qs(absent.text)["oauth_parameters_absent"] == ["oauth_session_handle"]
    handle = granted["oauth_session_handle"]
    renewed = answer(caller.exchange(granted["oauth_token"], oauth_session_handle=handle))
    assert renewed["oauth_token"] != granted["oauth_token"]
    assert problem(caller.call("GET", PROPERTIES, token=granted["oauth_token"])) == (401, "token_rejected")


@fact("3.10")
def test_a_request_token_lives_ten_minutes_and_a_session_five_years(bitbucket):
    caller = bitbucket.caller()
    granted, token = caller.session(), caller.begun()["oauth_token"]
    bitbucket.let_pass(601)
    assert problem(caller.exchange(token, oauth_verifier="V")) == (401, "token_expired")
    bitbucket.let_pass(160_272_000)
    over = caller.exchange(granted["oauth_token"], oauth_session_handle=granted["oauth_session_handle"])
    assert problem(over) == (401, "permission_denied")


@fact("4.1")
def test_headers_name_the_person(bitbucket, caller, token):
    headers = caller.call("GET", PROPERTIES, token=token).headers
    assert headers["X-AUSERNAME"] == bitbucket.name
    assert headers["X-AUSERID"].isdigit()
    assert "X-AUSERNAME" not in send("GET", bitbucket.url + PROPERTIES).headers


@fact("4.2")
def test_whoami_names_the_person_who_signed(bitbucket, caller, token):
    assert caller.call("GET", WHOAMI, token=token).text == bitbucket.name
    anonymous = send("GET", bitbucket.url + WHOAMI)
    assert (anonymous.status_code, anonymous.text) == (200, "")


@fact("4.5")
@pytest.mark.parametrize("name", ["oauth_consumer_key", "oauth_token", "oauth_timestamp", "oauth_nonce"])
def test_a_request_with_fewer_than_six_parameters_is_anonymous(caller, token, name):
    found = caller.call("GET", PROPERTIES, **{"token": token, name: None})
    assert found.status_code == 200
    assert "X-AUSERNAME" not in found.headers


@fact("4.6")
def test_a_two_legged_request_is_an_empty_401_where_the_switch_is_off(caller):
    found = caller.call("GET", PROPERTIES, oauth_token="")
    assert (found.status_code, found.text) == (401, "")


@fact("4.7")
def test_a_disabled_persons_token_is_an_empty_401(bitbucket, caller, token):
    users = bitbucket.only_in_the_sandbox("it would disable a person").users
    users.disable(bitbucket.name)
    try:
        found = caller.call("GET", PROPERTIES, token=token)
    finally:
        users.enable(bitbucket.name)
    assert (found.status_code, found.text) == (401, "")

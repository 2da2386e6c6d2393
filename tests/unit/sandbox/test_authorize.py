import json
from html import unescape

import pytest

from social_bitbucket_server.sandbox import BrowserError

from .calling import ACCESS_TOKEN, AUTHORIZE, CALLBACK, answer


def test_allow_leads_to_the_callback_with_token_and_verifier_behind_its_own_query(caller, sandbox):
    token = caller.request_token()
    callback = sandbox.authorize(caller.authorize_url(token), user="jane")
    assert callback.startswith(f"{CALLBACK}&oauth_token={token}&oauth_verifier=")
    assert callback.rpartition("=")[2].isalnum()
    assert len(callback.rpartition("=")[2]) == 6


def test_a_callback_with_letters_of_other_scripts_is_encoded(caller, sandbox):
    token = caller.request_token(oauth_callback="https://app.example/日本?x=ü")
    callback = sandbox.authorize(caller.authorize_url(token), user="jane")
    assert callback.startswith(f"https://app.example/%E6%97%A5%E6%9C%AC?x=%C3%BC&oauth_token={token}")


def test_deny_leads_to_the_callback_with_denied_and_no_problem(caller, sandbox):
    token = caller.request_token(oauth_callback="https://app.example/")
    callback = sandbox.authorize(caller.authorize_url(token), user="jane", allow=False)
    assert callback == f"https://app.example/?oauth_token={token}&oauth_verifier=denied"


@pytest.mark.parametrize("user", ["admin", "jo@example", "kim", "build-bot", "natasha"])
def test_everybody_who_can_log_in_can_allow(caller, sandbox, user):
    assert caller.access_token(sandbox, user)


def test_the_page_names_consumer_and_person_and_asks(caller, visitor):
    visitor.log_in("jane").open(caller.authorize_url(caller.request_token()))
    assert visitor.status == 200
    assert visitor.heading == "Allow access?"
    assert "Acme would like" in visitor.text
    assert "Jane Doe (jane)" in visitor.text


def test_who_is_not_logged_in_logs_in_first_and_comes_back(caller, visitor):
    token = caller.request_token()
    visitor.open(caller.authorize_url(token))
    assert visitor.path.startswith("/login?")
    visitor.submit(j_username="jane", j_password="jane")
    assert visitor.path == f"{AUTHORIZE}?oauth_token={token}"


def test_an_unknown_token_is_a_page_with_401(visitor):
    visitor.open(f"{AUTHORIZE}?oauth_token=unknown")
    assert visitor.status == 401
    assert visitor.response.headers["Content-Type"].startswith("text/html")


def test_an_answered_token_is_a_page_with_401(caller, sandbox, visitor):
    token = caller.request_token()
    sandbox.authorize(caller.authorize_url(token), user="jane")
    assert visitor.open(caller.authorize_url(token)).status == 401


def test_an_exchanged_token_is_a_page_with_401(caller, sandbox, visitor):
    token, verifier = caller.allowed_token(sandbox)
    answer(caller.call("POST", ACCESS_TOKEN, token=token, oauth_verifier=verifier))
    assert visitor.open(caller.authorize_url(token)).status == 401


def test_an_expired_token_is_a_page_with_401(caller, sandbox, visitor):
    token = caller.request_token()
    sandbox.clock.advance(601)
    assert visitor.open(caller.authorize_url(token)).status == 401


def test_a_token_that_expires_on_the_page_is_refused(caller, sandbox, visitor):
    visitor.log_in("jane").open(caller.authorize_url(caller.request_token()))
    sandbox.clock.advance(601)
    assert visitor.submit(approve="1").status == 401


def test_a_token_of_a_link_that_is_gone_is_refused(caller, sandbox, visitor):
    token = caller.request_token()
    sandbox.links.remove(sandbox.links.all()[0].id)
    assert visitor.open(caller.authorize_url(token)).status == 401


def test_a_person_who_logs_out_on_the_page_must_log_in_again(caller, visitor, sandbox):
    visitor.log_in("jane").open(caller.authorize_url(caller.request_token()))
    sandbox.users.disable("jane")
    assert visitor.submit(approve="1").path.startswith("/login?")


def test_the_form_from_elsewhere_is_refused(caller, visitor):
    token = caller.request_token()
    visitor.log_in("jane").post(AUTHORIZE, oauth_token=token, approve="1", form_token="guessed")
    assert visitor.status == 400
    assert visitor.open(caller.authorize_url(token)).status == 200


def test_out_of_band_shows_the_verifier(caller, visitor):
    token = caller.request_token(oauth_callback="oob")
    visitor.log_in("jane").open(caller.authorize_url(token)).submit(approve="1")
    verifier = unescape(visitor.response.text.partition('id="verifier">')[2][:6])
    assert "oauth_token" in answer(caller.call("POST", ACCESS_TOKEN, token=token, oauth_verifier=verifier))


def test_out_of_band_can_be_denied(caller, visitor):
    token = caller.request_token(oauth_callback="oob")
    visitor.log_in("jane").open(caller.authorize_url(token)).submit(deny="1")
    assert visitor.heading == "Access denied"
    assert "verifier" not in visitor.response.text


def test_plain_oauth_1_0_goes_to_the_callback_of_the_address_without_a_verifier(caller, sandbox):
    token = caller.request_token(oauth_callback=None)
    address = f"{caller.authorize_url(token)}&oauth_callback=https%3A%2F%2Fapp.example%2F%3Fx%3D1"
    assert sandbox.authorize(address, user="jane") == f"https://app.example/?x=1&oauth_token={token}"


def test_plain_oauth_1_0_without_any_callback_says_that_it_is_done(caller, visitor):
    token = caller.request_token(oauth_callback=None)
    visitor.log_in("jane").open(caller.authorize_url(token)).submit(approve="1")
    assert visitor.heading == "Access allowed"
    assert "verifier" not in visitor.response.text


def test_the_browser_for_tests_says_which_page_refused(caller, sandbox):
    with pytest.raises(BrowserError) as caught:
        sandbox.authorize(caller.authorize_url("unknown"), user="jane")
    assert caught.value.status == 401


def test_the_browser_for_tests_cannot_log_a_disabled_person_in(caller, sandbox):
    with pytest.raises(BrowserError, match="login"):
        sandbox.authorize(caller.authorize_url(caller.request_token()), user="dora")


def test_the_browser_for_tests_needs_an_authorize_page(sandbox):
    with pytest.raises(BrowserError, match="did not ask to log in"):
        sandbox.authorize(f"{sandbox.url}/", user="jane")


def test_the_browser_for_tests_needs_a_callback(caller, sandbox):
    with pytest.raises(BrowserError, match="no callback"):
        sandbox.authorize(caller.authorize_url(caller.request_token(oauth_callback="oob")), user="jane")


def test_the_browser_for_tests_needs_a_person(caller, sandbox):
    with pytest.raises(KeyError):
        sandbox.authorize(caller.authorize_url("T"), user="nobody")


def test_the_person_sees_what_was_allowed_and_takes_it_back(caller, sandbox, visitor):
    token = caller.access_token(sandbox)
    visitor.log_in("jane").open("/plugins/servlet/oauth/users/access-tokens")
    assert "1 access token. Consumer key acme" in visitor.text
    visitor.submit()
    assert "None yet." in visitor.text
    assert caller.call("GET", "/rest/api/latest/users", token=token).status_code == 401


def test_the_list_of_what_was_allowed_is_for_people_who_are_logged_in(visitor):
    assert visitor.open("/plugins/servlet/oauth/users/access-tokens").path.startswith("/login?")


def test_nobody_can_take_back_tokens_of_nobody(sandbox):
    with pytest.raises(KeyError):
        sandbox.revoke("nobody")


def test_tokens_are_not_in_what_is_written_about_them(caller, sandbox):
    granted = caller.granted(sandbox)
    written = json.dumps([repr(record) for record in sandbox.requests])
    assert granted["oauth_token"] not in written
    assert granted["oauth_token_secret"] not in written

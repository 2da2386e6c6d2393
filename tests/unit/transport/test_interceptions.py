import pytest
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.transport import Answer, interception, interceptions


def answer(page):
    return Answer(200, HTTPHeaderDict({"Content-Type": "text/html"}), page.encode())


@pytest.mark.parametrize(
    "page", ['<h1 class="a">Sign in</h1>', "<TITLE>Company SSO</TITLE>", '<input type="password">']
)
def test_a_login_page_is_recognized(page):
    assert interception(answer(page)).code == "login_in_front"


@pytest.mark.parametrize("page", ["Two-Factor", "<b>2FA</b> is on", "name=u2f_response", "your TOTP code"])
def test_a_second_factor_is_recognized(page):
    assert interception(answer(page)).code == "second_factor_plugin"


def test_the_name_of_a_file_is_no_second_factor():
    page = '<link href="/app.9c2fa1.css" integrity="sha256-xtotpq"><h1>Please log in</h1>'
    assert interception(answer(page)).code == "login_in_front"


def test_a_page_made_to_slow_the_search_down_is_read_at_once(monkeypatch):
    monkeypatch.setattr(interceptions, "_LOOKED_AT", 2**21)
    assert interception(answer("<h1" * 2**19)).code == "intercepted"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("<title>400 No required SSL certificate was sent</title>", "client_certificate_missing"),
        ("Reason: Cannot perform Post-Handshake Authentication.<br />", "client_certificate_missing"),
        ("<h3>HTTP Error 403.7 - Forbidden</h3>", "client_certificate_missing"),
        ("<title>400 The SSL certificate error</title>", "client_certificate_refused"),
        ("<h3>HTTP Error 403.16 - Forbidden</h3>", "client_certificate_refused"),
    ],
)
def test_a_gateway_that_wants_a_client_certificate_is_recognized(page, code):
    assert interception(answer(page)).code == code

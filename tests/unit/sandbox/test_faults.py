import threading
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs

import pytest

from social_bitbucket_server.sandbox import Faults

from .calling import ACCESS_TOKEN, CALLBACK, PROPERTIES, REQUEST_TOKEN, WHOAMI, answer, problem, send


def ask(caller):
    return caller.call("POST", REQUEST_TOKEN, oauth_callback=CALLBACK)


@pytest.mark.parametrize("seconds", [900, -900])
def test_a_clock_that_is_wrong_refuses_timestamps_and_shows_in_the_date(caller, sandbox, seconds):
    sandbox.faults.clock_skew = seconds
    response = ask(caller)
    assert problem(response) == (400, "timestamp_refused")
    earliest, latest = map(int, parse_qs(response.text)["oauth_acceptable_timestamps"][0].split("-"))
    date = parsedate_to_datetime(response.headers["Date"]).timestamp()
    assert earliest <= date <= latest
    assert (date > time.time()) is (seconds > 0)


def test_a_clock_that_is_wrong_makes_no_token_older(caller, sandbox):
    token, verifier = caller.allowed_token(sandbox)
    sandbox.faults.clock_skew = 250
    sandbox.clock.advance(500)
    assert "oauth_token" in answer(caller.call("POST", ACCESS_TOKEN, token=token, oauth_verifier=verifier))


@pytest.mark.parametrize(
    ("fault", "value", "seen"),
    [
        ("seen_scheme", "https", "https://127.0.0.1:{port}/bitbucket/"),
        ("seen_host", "internal", "http://internal:{port}/bitbucket/"),
        ("seen_port", 8443, "http://127.0.0.1:8443/bitbucket/"),
        ("seen_port", 80, "http://127.0.0.1/bitbucket/"),
        ("seen_context_twice", True, "http://127.0.0.1:{port}/bitbucket/bitbucket/"),
    ],
)
def test_a_proxy_that_hides_the_address_spoils_signatures_and_the_answer_shows_it(caller, sandbox, fault, value, seen):
    setattr(sandbox.faults, fault, value)
    response = ask(caller)
    assert problem(response) == (401, "signature_invalid")
    address = parse_qs(parse_qs(response.text)["oauth_signature_base_string"][0].replace("&", "&a=", 1))["a"][0]
    assert address.startswith(seen.format(port=sandbox.url.split(":")[2].partition("/")[0]))


def test_a_host_header_without_port_is_taken_as_it_is(caller, sandbox):
    sandbox.faults.seen_host = "internal"
    response = caller.call("POST", REQUEST_TOKEN, oauth_callback=CALLBACK, headers={"Host": "bitbucket.localhost"})
    base_string = parse_qs(response.text)["oauth_signature_base_string"][0]
    assert base_string.startswith("POST&http%3A%2F%2Finternal%2Fbitbucket")


def test_an_ipv6_host_keeps_its_brackets(caller, impostor):
    response = impostor.call("POST", REQUEST_TOKEN, oauth_callback=CALLBACK, headers={"Host": "[::1]:7990"})
    base_string = parse_qs(response.text)["oauth_signature_base_string"][0]
    assert base_string.startswith("POST&http%3A%2F%2F%5B%3A%3A1%5D%3A7990%2F")


@pytest.mark.parametrize("path", [REQUEST_TOKEN, PROPERTIES, WHOAMI])
def test_a_redirect_to_a_log_in_page_intercepts_every_call(sandbox, path):
    sandbox.faults.interception = "redirect"
    response = send("POST" if path == REQUEST_TOKEN else "GET", sandbox.url + path)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{sandbox.url}/login"


@pytest.mark.parametrize("path", [REQUEST_TOKEN, PROPERTIES, WHOAMI])
def test_a_log_in_page_intercepts_every_call(sandbox, path):
    sandbox.faults.interception = "page"
    response = send("POST" if path == REQUEST_TOKEN else "GET", sandbox.url + path)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


def test_too_many_requests(sandbox):
    sandbox.faults.rate_limited = True
    sandbox.faults.retry_after = 7
    response = send("GET", sandbox.url + PROPERTIES)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert response.json()["errors"]


def test_a_server_that_fails(sandbox):
    sandbox.faults.server_error = True
    assert send("GET", sandbox.url + PROPERTIES).status_code == 500


def test_faults_can_be_limited_to_a_part_of_the_paths(caller, sandbox):
    sandbox.faults.server_error = True
    sandbox.faults.only_path = "/rest/"
    assert ask(caller).status_code == 200
    assert send("GET", sandbox.url + PROPERTIES).status_code == 500


def test_the_pages_of_people_stay_in_order(visitor, sandbox):
    sandbox.faults.update({"server_error": True, "interception": "page"})
    assert visitor.log_in("jane").status == 200
    assert "Faults are switched on" in visitor.text


def test_a_slow_answer_comes(sandbox):
    sandbox.faults.delay = 0.01
    assert send("GET", sandbox.url + PROPERTIES).ok


def test_a_slow_answer_ends_with_the_server(sandbox):
    sandbox.faults.delay = 3600.0
    begun = threading.Event()
    sandbox.requests.add = lambda record: begun.set()

    def wait_for_ever():
        with suppress(OSError):  # Whether the answer still gets out is left open.
            send("GET", sandbox.url + PROPERTIES)

    caller = threading.Thread(target=wait_for_ever)
    caller.start()
    assert begun.wait(120)
    sandbox.stop()
    caller.join(120)
    assert not caller.is_alive()


def test_whoami_can_be_closed(caller, sandbox):
    token = caller.access_token(sandbox)
    sandbox.faults.whoami_closed = True
    response = caller.call("GET", WHOAMI, token=token)
    assert (response.status_code, response.content) == (401, b"")


def test_the_headers_that_name_the_user_can_be_removed(caller, sandbox):
    token = caller.access_token(sandbox)
    sandbox.faults.user_headers_removed = True
    headers = caller.call("GET", PROPERTIES, token=token).headers
    assert "X-AUSERNAME" not in headers
    assert "X-AUSERID" not in headers


def test_another_version_can_be_given(sandbox):
    sandbox.faults.version = "9.4"
    answered = send("GET", sandbox.url + PROPERTIES).json()
    assert (answered["version"], answered["buildNumber"]) == ("9.4", "9004000")


def test_reset_switches_everything_off(sandbox):
    sandbox.faults.update({"clock_skew": 5, "server_error": True, "version": "8.0"})
    sandbox.faults.reset()
    assert sandbox.faults == Faults()
    assert not sandbox.faults.are_on


def test_a_switch_that_is_not_there_cannot_be_thrown(sandbox):
    with pytest.raises(AttributeError):
        sandbox.faults.clock_scew = 900


def json_url(sandbox):
    return f"{sandbox.url}/sandbox/faults.json"


def test_programs_read_the_switches(sandbox):
    assert send("GET", json_url(sandbox)).json() == Faults().as_dict()


def test_post_changes_those_that_are_named(sandbox):
    sandbox.faults.server_error = True
    assert send("POST", json_url(sandbox), json={"clock_skew": -900, "delay": 1}).json()["delay"] == 1.0
    assert (sandbox.faults.clock_skew, sandbox.faults.server_error) == (-900, True)


def test_put_switches_the_others_off(sandbox):
    sandbox.faults.server_error = True
    send("PUT", json_url(sandbox), json={"clock_skew": 900})
    assert sandbox.faults == Faults(clock_skew=900)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"clock_scew": 1}, "There is no fault called clock_scew."),
        ({"clock_skew": "1"}, "clock_skew must be a whole number."),
        ({"clock_skew": True}, "clock_skew must be a whole number."),
        ({"clock_skew": 10**12}, "clock_skew must be from -315360000 to 315360000."),
        ({"server_error": 1}, "server_error must be true or false."),
        ({"delay": "x"}, "delay must be a number."),
        ({"delay": -1}, "delay must be from 0 to 3600."),
        ({"interception": "fire"}, "interception must be empty, redirect or page."),
        ({"seen_scheme": "ftp"}, "seen_scheme must be empty, http or https."),
        ({"seen_port": 65536}, "seen_port must be from 0 to 65535."),
        ({"version": "new"}, "version must be like 7.6.0."),
        ({"version": None}, "version must be a text."),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_nothing_changes(sandbox, values, text):
    response = send("POST", json_url(sandbox), json={"server_error": True} | values)
    assert (response.status_code, response.json()) == (400, {"error": text})
    assert not sandbox.faults.are_on


@pytest.mark.parametrize(
    ("body", "content_type"),
    [("[]", "application/json"), ("{", "application/json"), ("{}", "text/plain"), ("a=1", None)],
)
def test_what_is_no_json_object_is_refused(sandbox, body, content_type):
    response = send("POST", json_url(sandbox), data=body, headers={"Content-Type": content_type})
    assert response.status_code == 400


def test_the_page_shows_and_throws_the_switches(visitor, sandbox):
    visitor.open("/sandbox/faults").submit(clock_skew="900", seen_scheme="https", delay="0.5", whoami_closed="1")
    assert visitor.status == 200
    assert visitor.page.fields["clock_skew"] == "900"
    assert sandbox.faults == Faults(clock_skew=900, seen_scheme="https", delay=0.5, whoami_closed=True)
    visitor.submit(reset="1")
    assert not sandbox.faults.are_on


def test_the_page_refuses_what_cannot_be_and_keeps_what_was_typed(visitor, sandbox):
    visitor.open("/sandbox/faults").submit(clock_skew="soon", seen_host="internal")
    assert (visitor.status, visitor.refusal) == (400, "clock_skew must be a whole number.")
    assert visitor.page.fields["seen_host"] == "internal"
    assert not sandbox.faults.are_on


def test_the_form_from_elsewhere_is_refused(visitor, sandbox):
    assert visitor.post("/sandbox/faults", server_error="1").status == 400
    assert not sandbox.faults.are_on

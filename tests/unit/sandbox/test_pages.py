import pytest

from .calling import PROPERTIES, WHOAMI


def test_the_first_page_tells_the_base_url(visitor, sandbox):
    visitor.open("/")
    assert sandbox.url in visitor.text
    assert "a stand-in for Bitbucket 7.6.0, not Bitbucket itself" in visitor.text


def test_the_base_url_without_a_slash_is_the_first_page_too(visitor):
    assert visitor.open("").heading == "A stand-in for Bitbucket 7.6.0"


def test_the_log_in_page_shows_who_is_here_with_remarks(visitor):
    visitor.open("/login")
    assert "password is the same as the user name." in visitor.text
    assert "dora Dora Disabled disabled, cannot log in" in visitor.text
    assert "admin Ada Admin administrator" in visitor.text
    assert "30 more" in visitor.text


def test_a_right_password_logs_in(visitor):
    assert "Jane Doe (jane)" in visitor.log_in("jane").text


@pytest.mark.parametrize(("name", "password"), [("jane", "wrong"), ("nobody", "nobody"), ("jane", ""), ("jane", "ü")])
def test_a_wrong_password_does_not(visitor, name, password):
    visitor.open("/login").submit(j_username=name, j_password=password)
    assert visitor.status == 401
    assert visitor.refusal.startswith("Name or password is not right.")


def test_a_disabled_person_is_told_so(visitor):
    assert visitor.log_in("dora").refusal == "The account dora is disabled, so it cannot log in."


def test_a_person_who_is_disabled_later_is_logged_out(visitor, sandbox):
    visitor.log_in("jane")
    sandbox.users.disable("jane")
    assert "Jane Doe (jane)" not in visitor.open("/").text


def test_log_out(visitor):
    visitor.log_in("jane")
    token = visitor.response.text.partition('name="form_token" value="')[2].partition('"')[0]
    assert "Jane Doe (jane)" not in visitor.post("/logout", form_token=token).text


def test_log_out_from_elsewhere_is_refused(visitor):
    assert visitor.log_in("jane").post("/logout").status == 400
    assert "Jane Doe (jane)" in visitor.open("/").text


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "evil",
        "/elsewhere",
        "/bitbucketeer/",
        "javascript:alert(1)",
    ],
)
def test_after_the_log_in_nobody_is_sent_out_of_the_sandbox(visitor, target):
    visitor.open("/login").submit(next=target, j_username="jane", j_password="jane")
    assert visitor.path == "/"


def test_after_the_log_in_a_person_is_where_they_wanted_to_be(visitor):
    visitor.open("/login").submit(next="/bitbucket/sandbox/faults?x=1", j_username="jane", j_password="jane")
    assert visitor.path == "/sandbox/faults?x=1"


def test_without_a_context_path_nobody_is_sent_out_either(new_visitor):
    new_visitor.open("/login").submit(next="//evil.example/", j_username="jane", j_password="jane")
    assert new_visitor.path == "/"


def test_the_sign_in_holds_for_rest_in_the_browser(visitor):
    assert visitor.log_in("jo@example").open(WHOAMI).text == "jo@example"
    assert visitor.open(PROPERTIES).response.headers["X-AUSERNAME"] == "jo%40example"


def test_pages_have_no_scripts_and_cannot_be_framed(visitor):
    policy = visitor.open("/").response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_the_cookie_of_the_sign_in_is_this_sandboxs_own(visitor, sandbox):
    cookie = visitor.log_in("jane").response.request.headers["Cookie"]
    assert cookie.startswith(f"bitbucket_sandbox_{sandbox.url.split(':')[2].partition('/')[0]}=")


def test_the_style_sheet_is_there(visitor):
    visitor.open("/sandbox/static/sandbox.css")
    assert visitor.response.headers["Content-Type"].startswith("text/css")


def test_a_page_that_is_not_there(visitor):
    assert visitor.open("/projects").status == 404
    assert visitor.heading == "No such page"


def test_a_page_opened_in_the_wrong_way(visitor):
    visitor.post("/")
    assert visitor.status == 405
    assert "GET" in visitor.response.headers["Allow"]


@pytest.mark.parametrize("path", ["/rest/api/latest/application-properties", "/", "/bitbucketeer"])
def test_outside_of_the_context_path_there_is_nothing(visitor, sandbox, path):
    visitor.open(sandbox.url.removesuffix("/bitbucket") + path)
    assert visitor.status == 404
    assert sandbox.url in visitor.text


@pytest.mark.parametrize("path", ["/sandbox/faults", "/sandbox/faults.json"])
def test_a_look_at_the_head_of_a_page_changes_no_fault(sandbox, visitor, path):
    sandbox.faults.clock_skew = 900
    assert visitor.head(path).status == 200
    assert sandbox.faults.clock_skew == 900


def test_a_look_at_the_head_of_a_question_decides_nothing(caller, visitor):
    url = caller.authorize_url(caller.request_token())
    visitor.log_in("jane")
    assert visitor.head(url).status == 200
    assert visitor.open(url).heading == "Allow access?"

"""The README's Flask application, as it stands there, in single-server mode."""

import re
import sys
import types
from pathlib import Path
from urllib.parse import urlsplit

import pytest

README = Path(__file__).parents[2] / "README.md"


def readme_source():
    return re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]


@pytest.fixture
def app(bitbucket_sandbox, private_key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    monkeypatch.setenv("BITBUCKET_URL", bitbucket_sandbox.url)
    Path("bitbucket.pem").write_text(private_key.pem())
    bitbucket_sandbox.link(consumer_key="my-application", public_key=private_key.public.pem)
    module = types.ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    exec(compile(readme_source(), str(README), "exec"), module.__dict__)
    yield module.app
    module.session.remove()
    module.engine.dispose()


@pytest.fixture
def browser(app):
    return app.test_client()


def log_in(browser, sandbox, user="jane", *, allow=True):
    """Log *user* in as a person does: press the button, allow or decline, and come back."""
    form = browser.get("/").text
    begun = browser.post("/login/bitbucket-server/", data={"csrf_token": csrf_token(form)})
    assert begun.status_code == 303
    callback = urlsplit(sandbox.authorize(begun.location, user=user, allow=allow))
    return browser.get(f"{callback.path}?{callback.query}")


def test_a_field_that_chooses_nothing_counts_for_nothing(browser, bitbucket_sandbox):
    form = {"csrf_token": csrf_token(browser.get("/").text), "integration": ""}
    browser.post("/login/bitbucket-server/", data=form)
    (asked,) = bitbucket_sandbox.requests.to("/request-token")
    assert urlsplit(asked.oauth_parameters["oauth_callback"]).path == "/complete/bitbucket-server/"


def csrf_token(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 120


def test_the_application_has_twenty_lines_below_its_imports():
    below = readme_source().partition("\nengine = ")[2]
    assert len([line for line in below.splitlines() if line.strip()]) <= 20


def test_a_person_logs_in(browser, bitbucket_sandbox, caplog):
    answer = log_in(browser, bitbucket_sandbox)
    assert "login failed" not in caplog.text
    assert answer.status_code == 303
    assert answer.location == "/"
    assert "Hello jane" in browser.get("/").text


def test_the_same_person_is_the_same_user_the_next_time(app, bitbucket_sandbox):
    for _ in range(2):
        log_in(app.test_client(), bitbucket_sandbox)
    users = sys.modules["app"].session.query(sys.modules["app"].User).all()
    assert [user.username for user in users] == ["jane"]


def test_denying_shows_a_page_and_logs_nobody_in(browser, bitbucket_sandbox):
    answer = log_in(browser, bitbucket_sandbox, allow=False)
    assert answer.status_code == 400
    assert "declined" in answer.text
    assert "Hello" not in browser.get("/").text


def test_a_login_never_begins_by_get(browser, bitbucket_sandbox):
    page = browser.get("/login/bitbucket-server/")
    assert page.status_code == 200
    assert '<form method="post"' in page.text
    assert not list(bitbucket_sandbox.requests)


@pytest.mark.parametrize("data", [{}, {"csrf_token": "wrong"}])
def test_a_login_never_begins_without_the_csrf_token(browser, bitbucket_sandbox, data):
    browser.get("/")
    assert browser.post("/login/bitbucket-server/", data=data).status_code == 400
    assert not list(bitbucket_sandbox.requests)


def test_a_replayed_callback_is_refused(browser, bitbucket_sandbox):
    begun = browser.post("/login/bitbucket-server/", data={"csrf_token": csrf_token(browser.get("/").text)})
    callback = urlsplit(bitbucket_sandbox.authorize(begun.location, user="jane"))
    address = f"{callback.path}?{callback.query}"
    assert browser.get(address).status_code == 303
    again = browser.get(address)
    assert again.status_code == 400
    assert "Reference" in again.text


def test_a_callback_in_another_browser_is_refused(app, browser, bitbucket_sandbox):
    begun = browser.post("/login/bitbucket-server/", data={"csrf_token": csrf_token(browser.get("/").text)})
    callback = urlsplit(bitbucket_sandbox.authorize(begun.location, user="jane"))
    assert app.test_client().get(f"{callback.path}?{callback.query}").status_code == 400

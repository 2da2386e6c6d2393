import os
import re
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

os.environ |= {"SECRET_KEY": "for tests", "BITBUCKET_URL": "set by the fixture", "DATABASE_URL": "sqlite:///tests.db"}

from app import Base, app, engine, settings


@pytest.fixture
def client(bitbucket_sandbox):
    settings.update(bitbucket_sandbox.settings())
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    return TestClient(app)


def test_jane_logs_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Hello jane" in client.get("/").text


def test_whoever_declines_is_not_logged_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane", allow=False)
    assert "Access was declined in Bitbucket." in answer.text
    assert "Hello" not in client.get("/").text


def test_another_site_begins_no_login(client, bitbucket_sandbox):
    client.get("/")
    assert client.post("/login/bitbucket-server/", data={"form_token": "guessed"}).status_code == 400
    assert client.post("/login/bitbucket-server/", content=b"form_token=\xff").status_code == 400
    assert not list(bitbucket_sandbox.requests)


def test_a_callback_in_another_browser_is_refused(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane")
    assert TestClient(app).get(str(answer.request.url)).status_code == 400


def test_asking_for_the_headers_of_a_callback_uses_no_login_up(client, bitbucket_sandbox):
    [token] = re.findall('name="form_token" value="([^"]+)"', client.get("/").text)
    begun = client.post("/login/bitbucket-server/", data={"form_token": token}, follow_redirects=False)
    callback = urlsplit(bitbucket_sandbox.authorize(begun.headers["Location"], user="jane"))
    address = f"{callback.path}?{callback.query}"
    assert client.head(address).status_code == 405
    assert client.get(address, follow_redirects=False).status_code == 303

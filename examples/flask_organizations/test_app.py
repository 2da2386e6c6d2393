import os

import pytest

from social_bitbucket_server.crypto import KeyRing

os.environ |= {
    "DATABASE_URL": "sqlite:///:memory:?uri=true",
    "KEY_RING": KeyRing.generate(),
    "ORIGIN": "http://localhost",
    "SECRET_KEY": "for tests",
    "TEST_ADDRESSES": "127.0.0.1",
}

import re

from app import Base, app, engine


@pytest.fixture
def admin():
    Base.metadata.create_all(engine)
    client = app.test_client()
    said = app.test_cli_runner().invoke(args=["organization", "acme"]).output
    login_link, admin_link = re.findall(r"http://localhost(\S+)", said)
    assert login_link == "/o/acme/login"
    assert client.get(admin_link).location == "/o/acme/settings/integrations"
    yield client
    Base.metadata.drop_all(engine)


def found(pattern, page):
    match = re.search(pattern, page, re.DOTALL)
    assert match
    return match[1]


def send(client, path, **fields):
    token = found(r'name="csrf_token"[^>]* value="([^"]+)"', client.get(path).text)
    return client.post(path, data={"csrf_token": token, **fields})


def test_a_user_of_an_organization_logs_in(admin, bitbucket_sandbox):
    made = send(admin, "/o/acme/settings/integrations/add", name="Bitbucket", base_url=bitbucket_sandbox.url)
    worksheet = admin.get(made.location).text
    consumer_key = found(r"<dt>Consumer Key</dt>.*?<code[^>]*>([^<]+)", worksheet)
    public_key = found(r"(-----BEGIN PUBLIC KEY-----[^<]+)", worksheet)
    bitbucket_sandbox.link(consumer_key=consumer_key, public_key=public_key)
    jane = app.test_client()
    answer = bitbucket_sandbox.login(jane, "jane", page="/o/acme/login")
    assert (answer.status_code, answer.location) == (303, "/")
    assert jane.get("/").text == "Hello jane"


def test_nobody_but_the_administrator_changes_an_organization(admin):
    assert app.test_client().get("/admin/made-up").status_code == 404
    assert app.test_client().get("/o/acme/settings/integrations").status_code == 303

import os

import pytest

os.environ |= {"SECRET_KEY": "for tests", "BITBUCKET_URL": "set by the fixture", "DATABASE_URL": "sqlite://"}

from app import Base, app, engine


@pytest.fixture
def client(bitbucket_sandbox):
    app.config.update(bitbucket_sandbox.settings())
    Base.metadata.create_all(engine)
    yield app.test_client()
    Base.metadata.drop_all(engine)


def test_jane_logs_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane")
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/").text == "Hello jane"


def test_whoever_declines_is_not_logged_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane", allow=False)
    assert "Access was declined in Bitbucket." in answer.text
    assert "Hello" not in client.get("/").text


def test_a_server_that_fails_is_said_so(client, bitbucket_sandbox):
    bitbucket_sandbox.faults.server_error = True
    answer = bitbucket_sandbox.login(client, "jane")
    assert answer.status_code == 502
    assert "Reference" in answer.text

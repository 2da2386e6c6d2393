import os

import pytest
from starlette.testclient import TestClient

os.environ |= {"SECRET_KEY": "for tests", "BITBUCKET_URL": "set by the fixture", "DATABASE_URL": "sqlite:///tests.db"}

from app import Base, app, engine, settings


@pytest.fixture
def client(bitbucket_sandbox):
    settings.update(bitbucket_sandbox.settings())
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    return TestClient(app, base_url="http://127.0.0.1:8000")


def test_jane_logs_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Hello jane" in client.get("/").text


def test_whoever_declines_is_not_logged_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane", allow=False)
    assert "Access was declined in Bitbucket." in answer.text
    assert "Hello" not in client.get("/").text

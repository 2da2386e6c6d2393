import os

import pytest
from fastapi.testclient import TestClient

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


def test_programs_learn_who_is_logged_in(client, bitbucket_sandbox):
    assert client.get("/me").status_code == 401
    bitbucket_sandbox.login(client, "jane")
    assert client.get("/me").json()["username"] == "jane"

"""Tests of what the operator asks and does."""

from __future__ import annotations

import socket

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from demo_app import database, integrations
from social_bitbucket_server.crypto import KeyRing
from tests.demo_visitor import InProcess, Visitor
from tests.unit.demo.conftest import AppMaker

BASE_URL = "https://bitbucket.acme.example"
OLD, NEW = (KeyRing.generate().partition(":")[2] for _ in range(2))


def run(app: Flask, *arguments: str) -> str:
    runner: FlaskCliRunner = app.test_cli_runner()
    result = runner.invoke(args=arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def integration_id(make_app: AppMaker) -> str:
    """An integration whose private key is sealed with the old key."""
    owner = Visitor(InProcess(make_app(KEY_RING=f"1:{OLD}")))
    owner.create_organization("acme")
    return owner.add_integration("acme", BASE_URL).rpartition("/")[2]


def opens(app: Flask, integration_id: str) -> bool:
    with app.app_context():
        assert integrations.for_login(integration_id) is not None
    return Visitor(InProcess(app)).get("/healthz").status == 200


def test_a_new_application_is_healthy(app: Flask) -> None:
    assert Visitor(InProcess(app)).get("/healthz").text == "ok\n"


def test_a_ring_that_opens_nothing_is_not_healthy(make_app: AppMaker, integration_id: str) -> None:
    page = Visitor(InProcess(make_app(KEY_RING=f"1:{NEW}"))).get("/healthz")
    assert page.status == 503


@pytest.mark.socket
def test_a_database_that_does_not_answer_is_said_in_a_few_words(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    engine = app.extensions["engine"]
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        app.extensions["engine"] = database.make_engine(f"postgresql://demo:hunter2@127.0.0.1:{port}/demo")
        page = Visitor(InProcess(app)).get("/healthz")
    engine.dispose()
    assert (page.status, page.text) == (503, "The database does not answer.\n")
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "The database does not answer: OperationalError" in caplog.text
    assert "hunter2" not in caplog.text


def test_other_pages_work_without_the_right_ring(make_app: AppMaker, integration_id: str) -> None:
    visitor = Visitor(InProcess(make_app(KEY_RING=f"1:{NEW}")))
    assert visitor.get("/o/acme/login").status == 200
    answer = visitor.post(f"/o/acme/login/{integration_id}/begin", "/o/acme/login")
    assert answer.status == 503
    assert "The stored private key cannot be opened" in answer.words


def test_keys_sealed_again_open_without_the_old_key(make_app: AppMaker, integration_id: str) -> None:
    both = make_app(KEY_RING=f"2:{NEW},1:{OLD}")
    assert run(both, "keys", "rewrap").startswith("1 private keys")
    assert opens(make_app(KEY_RING=f"2:{NEW}"), integration_id)


def test_sealing_again_twice_changes_no_key(make_app: AppMaker, integration_id: str) -> None:
    both = make_app(KEY_RING=f"2:{NEW},1:{OLD}")
    run(both, "keys", "rewrap")
    run(both, "keys", "rewrap")
    assert opens(both, integration_id)

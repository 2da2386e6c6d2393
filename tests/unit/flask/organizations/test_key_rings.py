"""Tests of key rings that open the stored keys, or do not."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.flask.organizations.current import store
from tests.unit.flask.organizations.conftest import AppMaker
from tests.visitor import InProcess, Visitor

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
        assert store.integrations.for_login(integration_id) is not None
        return store.resealing.opens_keys()


def test_a_ring_that_opens_nothing_is_written_down_at_the_start(
    make_app: AppMaker, integration_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    make_app(KEY_RING=f"1:{OLD}")
    assert caplog.messages == []
    make_app(KEY_RING=f"1:{NEW}")
    (line,) = map(json.loads, caplog.messages)
    assert (line["event"], line["code"]) == ("key.decrypt_failed", "key_ring")


def test_other_pages_work_without_the_right_ring(make_app: AppMaker, integration_id: str) -> None:
    visitor = Visitor(InProcess(make_app(KEY_RING=f"1:{NEW}")))
    assert visitor.get("/o/acme/login").status == 200
    answer = visitor.post(f"/o/acme/login/{integration_id}/begin", "/o/acme/login")
    assert answer.status == 503
    assert "The stored private key cannot be opened" in answer.words


def test_keys_sealed_again_open_without_the_old_key(make_app: AppMaker, integration_id: str) -> None:
    both = make_app(KEY_RING=f"2:{NEW},1:{OLD}")
    assert run(both, "bitbucket-server", "reseal").startswith("1 private keys")
    assert opens(make_app(KEY_RING=f"2:{NEW}"), integration_id)


def test_sealing_again_twice_changes_no_key(make_app: AppMaker, integration_id: str) -> None:
    both = make_app(KEY_RING=f"2:{NEW},1:{OLD}")
    run(both, "bitbucket-server", "reseal")
    run(both, "bitbucket-server", "reseal")
    assert opens(both, integration_id)

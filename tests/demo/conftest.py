"""The demo, prepared as ``make demo`` does it, with a sandbox that forgets everything at each start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo_app import create_app, people
from demo_app.__main__ import SETTINGS
from demo_app.acme import prepare
from demo_app.models import db
from social_bitbucket_server.sandbox import Sandbox
from tests import prepared
from tests.visitor import InProcess, Visitor

ORIGIN = "http://127.0.0.1:5000"

Start = Callable[[], Any]


class Demo:
    """The running demo."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.app = create_app(ORIGIN, folder, **SETTINGS, RATELIMIT_ENABLED=True)
        self.said = prepare(self.app, sandbox, ORIGIN, folder)

    def visitor(self) -> Visitor:
        return Visitor(InProcess(self.app, ORIGIN))

    def owner(self) -> Visitor:
        """Return Acme's owner, logged in with the printed password."""
        visitor = self.visitor()
        found = re.search(r"owner@acme.example, password (\S+)", self.said)
        assert found
        page = visitor.post("/o/acme/login/owner", email="owner@acme.example", password=found[1])
        assert page.status == 303, page.words
        return visitor


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Starts the demo, as a context manager; a second start finds what the first one kept."""
    monkeypatch.setattr(people, "generate_password_hash", prepared.cheap_password_hash)

    @contextmanager
    def running() -> Iterator[Demo]:
        with Sandbox(context="/bitbucket") as sandbox:
            demo = Demo(tmp_path / "instance", sandbox)
            yield demo
            with demo.app.app_context():
                db.engine.dispose()

    return running

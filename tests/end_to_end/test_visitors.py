"""Tests of a visitor of the application when nothing answers."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bench.load import visitors
from bench.load.visitors import Application, Door, begin, open_browser


@pytest.mark.socket
def test_a_socket_behind_which_nothing_answers_ends_a_visit_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "_SECONDS_FOR_AN_ANSWER", 0)

    async def visit(port: int) -> None:
        async with await open_browser(Application(port, "app.example")) as browser:
            await begin(browser, Door("acme", "", ""))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(TimeoutError, match=f"Port {port} did not answer GET /o/acme/login within 0 seconds"):
            asyncio.run(visit(port))

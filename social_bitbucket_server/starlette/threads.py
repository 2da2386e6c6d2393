"""Work that waits for a database or a server. It runs in a thread, so that the event loop goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

ResultT = TypeVar("ResultT")


class Threads:
    """Runs work in threads. After each piece of it *teardown* is called in its thread, if there is one."""

    def __init__(self, teardown: Callable[[], object] | None) -> None:
        self._teardown = teardown

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Return what *work* returns."""
        return await run_in_threadpool(self._run, work)

    def _run(self, work: Callable[[], ResultT]) -> ResultT:
        try:
            return work()
        finally:
            if self._teardown is not None:
                self._teardown()

"""One transport for each process, and none of its parent's."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from social_bitbucket_server.transport import Transport, default_transport, use_transport


def test_all_threads_of_a_process_share_one_transport(transport):
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: default_transport(), range(20))) == {transport}


def test_another_transport_is_used_by_all_threads_from_then_on():
    another = Transport()
    use_transport(another)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(default_transport).result() is default_transport() is another


def test_a_forked_process_has_a_transport_of_its_own(transport, monkeypatch):
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        own = default_transport()
        assert own is default_transport()
    assert own is not transport
    assert own.bulkheads.of("organization a") is not transport.bulkheads.of("organization a")
    assert default_transport() is transport


FORKED = """
import os
from social_bitbucket_server.transport import Budget, Limits, Route, default_transport

ORIGIN, ROUTE = "https://bitbucket.example", Route(owner="acme")

def use(transport):
    with transport.begin_step("organization acme", Limits()) as budget:
        transport.admit(ORIGIN, ROUTE, budget)
        transport.clocks.learn("acme", ORIGIN, 400)
        transport.clocks.forget("acme", ORIGIN)
    transport._way(ORIGIN, ROUTE)

parents = default_transport()
use(parents)
locks = (
    parents._making,
    parents.clocks._changing,
    parents._breaker(ORIGIN, ROUTE)._lock,
    parents.bulkheads.of("organization acme")._lock,
)
for lock in locks:
    lock.acquire()
child = os.fork()
if not child:
    use(default_transport())
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
"""


@pytest.mark.program
def test_a_forked_process_waits_for_no_lock_that_a_thread_of_its_parent_held():
    """The thread is not there to release the lock."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120, cwd=Path(__file__).parents[3])

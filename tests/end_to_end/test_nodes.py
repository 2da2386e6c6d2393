"""Two nodes behind nginx, without sticky sessions: they share a database, a Redis, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import inspect

from bench.load import application, nodes
from bench.load.nodes import Cluster
from bench.load.place import Place
from bench.load.throughput import everybody
from bench.load.visitors import Application, Crowd, Door, LoginFailed, begin, come_back, crowd, log_in, open_browser
from tests import redis_server
from tests.demo_visitor import PLATFORM, OverHTTP, Visitor
from tests.postgresql import programs

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def two_nodes(everything: Place) -> Iterator[Cluster]:
    with nodes.cluster(everything) as cluster:
        yield cluster


@pytest.fixture
def cluster(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None]) -> Cluster:
    must_be_there(programs() is not None, "PostgreSQL")
    must_be_there(redis_server.program() is not None, "Redis or Valkey")
    must_be_there(nodes.nginx() is not None, "nginx")
    found: Cluster = request.getfixturevalue("two_nodes")
    return found


@pytest.fixture
def entrances(cluster: Cluster) -> list[Application]:
    """Each node, past nginx."""
    return [node.application(cluster.application.host) for node in cluster.nodes]


@pytest.fixture
def owner(cluster: Cluster) -> Iterator[Visitor]:
    through_nginx = OverHTTP(cluster.origin)
    through_nginx.session.verify = str(cluster.ca)
    with through_nginx.session:
        yield Visitor(through_nginx)


async def begin_at(application: Application, door: Door) -> str:
    async with await open_browser(application) as browser:
        return await begin(browser, door)


def test_a_login_that_begins_on_one_node_ends_on_the_other(cluster: Cluster, entrances: list[Application]) -> None:
    async def across(first: Application, second: Application, person: int) -> str:
        async with await open_browser(first) as here, await open_browser(second) as there:
            begun = await begin(here, cluster.doors[0])
            there.cookie = here.cookie
            return await come_back(there, cluster.doors[0], begun, person)

    for person, (first, second) in enumerate(itertools.permutations(entrances), 9001):
        assert asyncio.run(across(first, second, person))


def test_nginx_sends_a_login_to_whichever_node_is_next(cluster: Cluster) -> None:
    who = itertools.islice(everybody(cluster.doors), 20)
    found = asyncio.run(crowd(cluster.application, who, concurrency=4))
    assert (len(found.logins), found.failed) == (20, [])
    served = re.findall(r'"(127\.0\.0\.1:[0-9]+)" "[0-9]{3}"$', cluster.access_log.read_text(), re.MULTILINE)
    assert set(served) == {node.address for node in cluster.nodes}


def log_with(cluster: Cluster, text: str) -> str:
    """nginx's log as soon as it has *text*: a line is written when its answer is sent already."""
    until = time.monotonic() + 60
    while text not in (log := cluster.access_log.read_text()):
        assert time.monotonic() < until, log
    return log


def test_the_log_of_nginx_holds_no_verifier(cluster: Cluster) -> None:
    asyncio.run(log_in(cluster.application, cluster.doors[0], 9010))
    log = log_with(cluster, "/complete/bitbucket-server/")
    assert not re.search("verifier|oauth_token", log)


def test_the_log_of_nginx_holds_no_set_up_link(cluster: Cluster, owner: Visitor) -> None:
    token = "t" * 43
    for path in (f"/setup/{token}", f"/setup/{token}/link.sh"):
        owner.get(path)
    log = log_with(cluster, "GET /setup/.../link.sh") + log_with(cluster, 'GET /setup/..."')
    assert token not in log


def test_an_integration_that_is_changed_on_one_node_is_changed_on_the_other_at_once(
    cluster: Cluster, entrances: list[Application], owner: Visitor, everything: Place
) -> None:
    before, after = everything.ports[:2]

    def ports() -> list[int | None]:
        return [urlsplit(asyncio.run(begin_at(node, door))).port for node in entrances]

    owner.create_organization("acme")
    path = owner.add_integration("acme", f"https://127.0.0.1:{before}")
    door = Door("acme", path.rpartition("/")[2], "")
    assert ports() == [before, before]
    owner.post(f"{path}/edit", name="Moved", platform=PLATFORM, base_url=f"https://127.0.0.1:{after}", enabled="y")
    assert ports() == [after, after]
    owner.post(f"{path}/edit", name="Moved", platform=PLATFORM, base_url=f"https://127.0.0.1:{after}")
    for node in entrances:
        with pytest.raises(LoginFailed, match="page 200"):
            asyncio.run(begin_at(node, door))


def test_what_is_limited_is_counted_for_both_nodes_together(
    cluster: Cluster, entrances: list[Application], owner: Visitor
) -> None:
    owner.create_organization("globex")
    page = owner.get("/o/globex/login/owner")
    statuses = [
        owner.send(
            "/o/globex/login/owner", csrf_token=page.csrf_token, email="a@globex.example", password="x" * 10
        ).status
        for _ in range(12)
    ]
    assert statuses == [422] * 10 + [429] * 2


def test_a_rolling_restart_with_a_migration_loses_no_login(cluster: Cluster, tmp_path: Path) -> None:
    release = nodes.next_release(tmp_path)

    async def meanwhile() -> tuple[Crowd, str]:
        door = cluster.doors[0]
        async with await open_browser(cluster.application) as browser:
            begun = await begin(browser, door)
            others = await nodes.while_renewed(cluster, release, concurrency=4)
            return others, await come_back(browser, door, begun, 9020)

    others, cookie = asyncio.run(meanwhile())
    assert (others.failed, bool(cookie)) == ([], True)
    assert len(others.logins) > 4
    columns = inspect(cluster.app.extensions["engine"]).get_columns("login_sessions")
    assert "one_more" in {column["name"] for column in columns}


def test_a_node_of_the_release_before_starts_beside_a_newer_one(cluster: Cluster, tmp_path: Path) -> None:
    newer, older = cluster.nodes
    for node, release in ((newer, nodes.next_release(tmp_path)), (older, application.ROOT)):
        node.stop()
        node.release = release
        node.start()
    who = itertools.islice(everybody(cluster.doors), 10)
    assert len(asyncio.run(crowd(cluster.application, who, concurrency=2)).logins) == 10

"""Two nodes behind nginx, without sticky sessions: they share a database, a Redis, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tests.visitor import OverHTTP, Visitor

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def shared_cluster(shared_place: Place) -> Iterator[Cluster]:
    with nodes.cluster(shared_place) as cluster:
        yield cluster


@pytest.fixture
def cluster(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None], place: Place) -> Cluster:
    must_be_there(redis_server.program() is not None, "Redis or Valkey")
    must_be_there(nodes.nginx() is not None, "nginx")
    cluster: Cluster = request.getfixturevalue("shared_cluster")
    return cluster


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


async def open_page(application: Application, door: Door) -> None:
    async with await open_browser(application) as browser:
        status, _, _ = await browser.ask(b"GET", f"/o/{door.slug}/login".encode())
    assert status == 200


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


def test_nginx_sends_a_login_to_whichever_node_is_next(cluster: Cluster, owner: Visitor) -> None:
    who = itertools.islice(everybody(cluster.doors), 6)
    found = asyncio.run(crowd(cluster.application, who, concurrency=2))
    assert (len(found.logins), found.failed) == (6, [])
    served = re.findall(r'"(127\.0\.0\.1:[0-9]+)" "[0-9]{3}"$', log_of(cluster, owner), re.MULTILINE)
    assert set(served) == {node.address for node in cluster.nodes}


def log_of(cluster: Cluster, owner: Visitor) -> str:
    """Return what nginx wrote about the requests until now. Its only process writes a line when it has sent the answer,
    and before it takes the next request."""
    owner.get("/nowhere")
    return cluster.access_log.read_text()


def test_the_log_of_nginx_holds_no_verifier(cluster: Cluster, owner: Visitor) -> None:
    asyncio.run(log_in(cluster.application, cluster.doors[0], 9010))
    log = log_of(cluster, owner)
    assert "/complete/bitbucket-server/" in log
    assert not re.search("verifier|oauth_token", log)


def test_the_log_of_nginx_holds_no_set_up_link(cluster: Cluster, owner: Visitor) -> None:
    token = "t" * 43
    for path in (f"/setup/{token}", f"/setup/{token}/link.sh"):
        owner.get(path)
    log = log_of(cluster, owner)
    assert "GET /setup/.../link.sh" in log
    assert 'GET /setup/..."' in log
    assert token not in log


def test_an_integration_that_is_changed_on_one_node_is_changed_on_the_other_at_once(
    cluster: Cluster, entrances: list[Application], owner: Visitor, place: Place
) -> None:
    before, after = place.ports[:2]

    def ports() -> list[int | None]:
        return [urlsplit(asyncio.run(begin_at(node, door))).port for node in entrances]

    owner.create_organization("acme")
    path = owner.add_integration("acme", f"https://127.0.0.1:{before}")
    door = Door("acme", path.rpartition("/")[2], "")
    assert ports() == [before, before]
    owner.post(f"{path}/edit", name="Moved", base_url=f"https://127.0.0.1:{after}")
    assert ports() == [after, after]
    owner.post(f"{path}/disable")
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


@dataclass(frozen=True)
class Renewal:
    """Result of bringing a later *release* with a migration to both nodes while people logged in. *under_way* is the
    answer to the request that the first node handled when it was stopped. *cookie* is from the login that began before
    and ended after. *others* logged in meanwhile."""

    release: Path
    under_way: str | BaseException
    others: Crowd
    cookie: str


@pytest.fixture(scope="module")
def shared_renewal(shared_place: Place, shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Renewal:
    release = nodes.next_release(tmp_path_factory.mktemp("release"))
    first, second = (node.application(shared_cluster.application.host) for node in shared_cluster.nodes)
    door = shared_cluster.doors[0]

    async def renew() -> Renewal:
        async with await open_browser(shared_cluster.application) as browser:
            begun = await begin(browser, door)
        shared_place.servers.stall()
        under_way = asyncio.create_task(begin_at(first, door))
        await asyncio.to_thread(shared_place.servers.wait_until_held, 1)
        renewal = asyncio.create_task(asyncio.to_thread(nodes.renew, shared_cluster, release))
        for _ in range(20):  # the first node begins to stop meanwhile
            await open_page(second, door)
        shared_place.servers.resume()
        others = await nodes.log_in_during(renewal, shared_cluster, concurrency=4)
        (answer,) = await asyncio.gather(under_way, return_exceptions=True)
        async with await open_browser(shared_cluster.application) as later:
            later.cookie = browser.cookie
            return Renewal(release, answer, others, await come_back(later, door, begun, 9020))

    return asyncio.run(renew())


@pytest.fixture
def renewal(request: pytest.FixtureRequest, cluster: Cluster) -> Renewal:
    renewal: Renewal = request.getfixturevalue("shared_renewal")
    return renewal


def test_a_rolling_restart_with_a_migration_loses_no_login(cluster: Cluster, renewal: Renewal) -> None:
    assert (renewal.others.failed, bool(renewal.cookie)) == ([], True)
    assert len(renewal.others.logins) > 4
    columns = inspect(cluster.app.extensions["engine"]).get_columns("users")
    assert "one_more" in {column["name"] for column in columns}


def test_a_node_that_is_stopped_answers_the_request_that_is_under_way(renewal: Renewal) -> None:
    assert isinstance(renewal.under_way, str), renewal.under_way


def test_a_node_of_the_release_before_starts_beside_a_newer_one(cluster: Cluster, renewal: Renewal) -> None:
    newer, older = cluster.nodes
    assert newer.release == renewal.release
    older.renew(application.ROOT)
    who = itertools.islice(everybody(cluster.doors), 10)
    assert len(asyncio.run(crowd(cluster.application, who, concurrency=2)).logins) == 10

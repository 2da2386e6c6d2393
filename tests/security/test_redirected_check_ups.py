"""A server that leads the check-up on to other ports of its own host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from social_bitbucket_server.onboarding import check_up
from tests.scripted_server import Reply
from tests.security.rows import row
from tests.security.world import PROPERTIES, World, everywhere


@pytest.fixture
def other_port(world: World) -> Iterator[socket.socket]:
    """Another program listens on B's host; B's server leads everybody there."""
    with socket.create_server((world.fb.address, 0)) as listening:
        listening.setblocking(False)
        target = f"https://{world.fb.host}:{listening.getsockname()[1]}/bitbucket{PROPERTIES}"
        for scripted in (PROPERTIES, f"/bitbucket{PROPERTIES}"):
            world.fb.scripts[scripted] = Reply("", 302, [("Location", target)])
        yield listening


def nobody_connected(listening: socket.socket) -> bool:
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@row(118)
@everywhere
@pytest.mark.parametrize("status", [302, 404])
def test_a_check_up_goes_to_no_port_that_the_rules_close(world, other_port, status):
    world.fb.scripts[PROPERTIES] = replace(world.fb.scripts[PROPERTIES], status=status)
    integration = world.find(world.b)
    results = list(check_up(lambda: integration, "https://app.example/complete/bitbucket-server/b/"))
    assert "base_url" not in str([result.facts for result in results])
    assert world.fb.received
    assert nobody_connected(other_port)


def by_the_owner(world: Any) -> int:
    owner = world.browser()
    owner.log_owner_in(world.b)
    page = world.b.settings_path
    return int(owner.post(f"{page}/test", token_from=page).status)


def by_the_set_up_link(world: Any) -> int:
    page = f"/setup/{world.set_up_link(world.b)}"
    return int(world.browser().post(f"{page}/test", token_from=page).status)


def before_it_is_added(world: Any) -> int:
    owner = world.browser()
    owner.log_owner_in(world.b)
    page = f"/o/{world.b.slug}/settings/integrations/add"
    form = {"base_url": world.fb.url, "oauth_version": "1"}
    return int(owner.post(f"{page}/look", form, token_from=page).status)


@row(118)
@pytest.mark.parametrize("act", [by_the_owner, by_the_set_up_link, before_it_is_added])
def test_nor_does_a_test_on_a_page(world, other_port, act: Callable[[Any], int]):
    assert act(world) in {200, 422}
    assert world.fb.received
    assert nobody_connected(other_port)

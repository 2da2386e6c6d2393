"""REST calls and rechecks count among the steps that wait for a server."""

import time

import pytest

from social_bitbucket_server.account import Recheck, RestClient, Standing, StoredToken, ask_whether_admitted
from social_bitbucket_server.integration import NO_ROLES
from social_bitbucket_server.integration.admission import EVERYBODY
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Share
from social_bitbucket_server.transport.bulkhead import MOST_REQUESTS
from tests.scripted_server import Reply

PROJECTS = "/rest/api/latest/projects"


class Store:
    """A place for one token that does not end."""

    def __init__(self, integration):
        self.token = StoredToken("A", "", int(time.time()) + 10_000, None, str(integration.server.url))

    def load(self):
        return self.token

    def keep(self, token):
        raise AssertionError


@pytest.fixture
def slept():
    return []


@pytest.fixture
def rest(integration, slept):
    return RestClient(Client(integration), Store(integration), sleep=slept.append)


@pytest.fixture
def take_all_places(integration, transport):
    """Let other steps of the organization wait for long."""

    def take():
        room = transport.bulkheads.of(integration.tenant)
        while room.take_place(transport.limits):
            pass

    return take


def code_of(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value.code


def test_a_call_is_refused_unsent_while_slow_steps_are_many(rest, server, take_all_places):
    take_all_places()
    assert code_of(rest.get, PROJECTS) == "server_busy"
    assert server.received == []


def test_a_call_does_not_pause_for_a_limit_while_slow_steps_are_many(rest, server, slept, take_all_places):
    def limit(_):
        take_all_places()
        return Reply("{}", 429, [("Retry-After", "20")])

    server.scripts[f"/bitbucket{PROJECTS}"] = limit
    assert code_of(rest.get, PROJECTS) == "rate_limited"
    assert slept == []


def test_each_call_is_a_step_of_its_own(rest, server):
    server.scripts[f"/bitbucket{PROJECTS}"] = Reply("{}")
    for _ in range(2 * MOST_REQUESTS):
        assert rest.get(PROJECTS) == {}


def test_the_calls_of_a_recheck_are_one_step(integration, server, transport):
    server.scripts["/bitbucket/rest/api/latest/application-properties"] = Reply("{}", headers=[("X-AUSERNAME", "jane")])
    server.scripts["/bitbucket/rest/api/latest/users"] = lambda received: Reply(
        f'{{"values": [], "isLastPage": false, "nextPageStart": {int(received.query["start"][0]) + 25}}}'
    )
    budget = transport.begin_step(integration.tenant, share=Share(1, 4, answers=3))
    rest = RestClient(Client(integration), Store(integration), budget=budget)
    assert code_of(ask_whether_admitted, rest, "ns:1", EVERYBODY, NO_ROLES, "") == "conversation_too_long"
    assert len(server.received) == 4


def test_a_recheck_that_is_refused_says_nothing_about_the_person():
    found = Recheck.failed(BitbucketServerError("server_overloaded"))
    assert found.standing is Standing.UNANSWERED
    assert found.is_the_servers

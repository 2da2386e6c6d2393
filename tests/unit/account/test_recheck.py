"""Tests of what an answer about a person's standing means."""

import json
import time

import pytest

from social_bitbucket_server.account import Recheck, RestClient, Standing, StoredToken, ask_whether_admitted
from social_bitbucket_server.integration import NO_ROLES
from social_bitbucket_server.integration.admission import EVERYBODY
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.problems import PROBLEMS, BitbucketServerError
from tests.scripted_server import Reply

PROPERTIES = "/bitbucket/rest/api/latest/application-properties"
JANE = "/bitbucket/rest/api/latest/users/jane"
JSON = ("Content-Type", "application/json")


class Store:
    def __init__(self, token):
        self.token = token

    def load(self):
        return self.token

    def keep(self, token):
        self.token = token


@pytest.fixture
def rest(integration, server):
    server.scripts[PROPERTIES] = lambda _: Reply("{}", headers=(JSON, ("X-AUSERNAME", "jane")))
    token = StoredToken("A", "H", int(time.time()) + 1000, None, str(integration.server.url))
    return RestClient(Client(integration), Store(token), sleep=lambda _: None)


def record(**changes):
    fields = {"id": 2, "name": "jane", "slug": "jane", "displayName": "Jane", "active": True, "type": "NORMAL"}
    return lambda _: Reply(json.dumps(fields | changes), headers=(JSON,))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": 3}, "account_replaced"),
        ({"active": False}, "account_inactive"),
        ({"type": "SERVICE"}, "account_not_a_person"),
    ],
)
def test_who_is_another_or_may_not_log_in_is_refused(rest, server, changes, problem):
    server.scripts[JANE] = record()
    ask_whether_admitted(rest, "ns:2", EVERYBODY, NO_ROLES, "")
    server.scripts[JANE] = record(**changes)
    with pytest.raises(BitbucketServerError) as caught:
        ask_whether_admitted(rest, "ns:2", EVERYBODY, NO_ROLES, "")
    assert Recheck.failed(caught.value) == Recheck(Standing.REFUSED, problem, roles=())


def test_most_problems_say_nothing_about_a_person():
    refused = {code for code in PROBLEMS if Recheck.failed(BitbucketServerError(code)).standing is Standing.REFUSED}
    assert refused == {
        "account_inactive",
        "account_not_a_person",
        "account_not_admitted",
        "account_replaced",
        "person_not_allowed",
    }


def test_the_token_goes_to_the_base_url_alone(rest, integration, server):
    for url in ("https://evil.test/", f"{integration.server.url}.evil.test/", server.url):
        with pytest.raises(ValueError, match="base URL"):
            rest.as_person().json(url)
    assert server.received == []

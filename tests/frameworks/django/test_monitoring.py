"""The counters of docs/monitoring.md in Django, by the setting and by the signal."""

import pytest
from django.test import override_settings

from social_bitbucket_server.django.events import event_recorded
from tests.frameworks.django.conftest import Visitor
from tests.frameworks.test_monitoring import code, counts, opentelemetry, prometheus  # noqa: F401  # fixtures


def connect():
    """Connect the signal as the page does. Its receiver is gone when the caller forgets what is returned."""
    known = {}
    exec(compile(code("Signals", 1), "docs/monitoring.md", "exec"), known)
    return known


@pytest.mark.parametrize("way", ["setting", "signal"])
def test_an_integration_that_fails_is_counted(way, counts, acme, bitbucket_sandbox):  # noqa: F811  # a fixture
    named = {"SOCIAL_AUTH_BITBUCKET_SERVER_ON_EVENT": "monitoring.count"} if way == "setting" else {}
    connected = connect() if way == "signal" else {}
    with override_settings(**named):
        Visitor().log_in(acme, bitbucket_sandbox)
        bitbucket_sandbox.faults.server_error = True
        for _ in range(2):
            Visitor().begin(acme)
    event_recorded.disconnect(connected.get("receive"))
    assert counts() == {
        ("login.begin", "", acme.pk): 1,
        ("login.success", "", acme.pk): 1,
        ("login.failure", "server_error", acme.pk): 2,
        ("integration.failing", "server_error", acme.pk): 1,
    }

"""What an application is told of in Flask with organizations: by the signal, and by its own function."""

import dataclasses

import pytest
from sqlalchemy import update

from social_bitbucket_server.flask.organizations import event_recorded
from tests.flask_app.models import Organization, models
from tests.flow.site import log_in, on_every_database
from tests.frameworks.test_monitoring import code, counts, opentelemetry, prometheus  # noqa: F401  # fixtures


@pytest.fixture
def told(site):
    """Let *site* tell a function, and return the events that it was told of without an error."""
    extension, events = site.app.extensions["bitbucket_organizations"], []

    def tell(function):
        def listen(event, details):
            function()
            events.append(event.value)

        extension.settings = dataclasses.replace(extension.settings, on_event=listen)
        return events

    return tell


def test_the_signal_counts(counts, site, acme, sandbox):  # noqa: F811  # a fixture
    known = {"app": site.app}
    exec(compile(code("Signals"), "docs/monitoring.md", "exec"), known)
    integration = acme.rpartition("/")[2]
    log_in(site.visitor(), acme, sandbox)
    sandbox.faults.server_error = True
    for _ in range(2):
        site.visitor().begin(acme)
    event_recorded.disconnect(known["receive"], site.app)
    found = {key: value for key, value in counts().items() if key[0] != "user.created"}
    assert found == {
        ("login.begin", "", integration): 1,
        ("login.success", "", integration): 1,
        ("login.failure", "server_error", integration): 2,
        ("integration.failing", "server_error", integration): 1,
    }


@on_every_database
def test_a_function_that_fails_in_the_applications_session_ends_no_login(site, acme, sandbox, told):
    def fail():
        models.session.add(models.event())  # without a value of its columns
        models.session.flush()

    assert told(fail) == []
    jane = site.visitor()
    assert log_in(jane, acme, sandbox).location == "/o/acme/account"
    assert jane.get("/o/acme/account").status == 200
    assert {("login.begin",), ("user.created",), ("login.success",)} <= set(site.rows(models.event.event))


@on_every_database
def test_a_function_writes_into_the_database_and_waits_for_no_login(site, acme, sandbox, told):
    def write():
        with site.app.extensions["engine"].begin() as connection:
            connection.execute(update(Organization).values(slug=Organization.slug))

    events = told(write)
    assert log_in(site.visitor(), acme, sandbox).location == "/o/acme/account"
    assert events == ["login.begin", "user.created", "login.success"]

"""The counters of docs/monitoring.md in Flask with organizations, by the signal."""

from social_bitbucket_server.flask.organizations import event_recorded
from tests.flow.site import log_in
from tests.frameworks.test_monitoring import code, counts, opentelemetry, prometheus  # noqa: F401  # fixtures


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

"""The first logins of a process come at once, while social-core is still loading its backends."""

from social_core.backends import utils

from tests.security.world import everywhere


@everywhere
def test_a_login_works_while_another_request_has_emptied_cores_mapping(world, monkeypatch):
    monkeypatch.setattr(utils, "BACKENDSCACHE", {})
    monkeypatch.setattr(utils, "load_backends", lambda *_, **__: {})
    assert world.browser().log_in(world.a, "alice").status == 303
    assert list(world.identities()) == [f"{world.a.namespace}:42"]

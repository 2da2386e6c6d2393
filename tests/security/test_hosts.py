"""The ``Host`` header: what is no host's name ends with 400, in front of the framework."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from social_bitbucket_server.login.host_check import is_host
from tests.security.rows import row
from tests.security.world import HOST, ORIGIN, Page, World

NONE = (
    None,
    "",
    "..",
    ".example",
    "app..example",
    f"{'a' * 64}.example",
    f"{'a.' * 150}example",
    "app.ex\xe4mple",
    "\xff",
    "xn--",
    "xn--a.example",
    "a b",
    "a,b",
    "a/b",
    "a@b",
    "a\\b",
    "%41",
    "[::1",
    "[1.2.3.4]",
    "[::1::]",
    "app.example:x",
    "app.example:1:2",
)
in_frameworks = pytest.mark.parametrize("application", ["organizations", "django", "flask"], indirect=True)


def send(world: World, host: str | None, path: str, method: str = "GET") -> Page:
    """Return the answer to a request with this header, or without one."""
    environ: dict[str, Any] = create_environ(path, method=method)
    del environ["HTTP_HOST"]
    if host is not None:
        environ["HTTP_HOST"] = host
    answer, status, headers = run_wsgi_app(world.serving.app, environ, buffered=True)
    page = Page(int(status.split()[0]), headers.to_wsgi_list(), b"".join(answer))
    world.pages.append(page)
    return page


@row(117)
@in_frameworks
def test_what_is_no_hosts_name_ends_with_400(world):
    place = world.a
    sent = [
        *(("GET", path) for path in (place.login_path, place.callback(), place.account_path, "/nowhere")),
        *(("POST", path) for path in (place.begin_path, "/nowhere")),
    ]
    answers = {(host, *what): send(world, host, *reversed(what)).status for host in NONE for what in sent}
    assert {what: status for what, status in answers.items() if status != 400} == {}


@row(95)
@in_frameworks
def test_no_redirect_leads_to_plain_http(world):
    """Behind a proxy that ends TLS, a request looks like one without TLS."""
    place = world.a
    callback = place.callback()
    paths = (callback.rstrip("/"), callback.replace("/complete/", "/complete//"), f"/{callback}")
    for path in (*paths, place.begin_path.rstrip("/"), f"/{place.begin_path}"):
        answer = send(world, HOST, f"{path}?oauth_token=T&oauth_verifier=V")
        to = answer.location
        assert not to or to.startswith(f"{ORIGIN}/") or (to.startswith("/") and not to.startswith("//")), (path, to)


@row(117)
@pytest.mark.parametrize("application", ["organizations"], indirect=True)
def test_the_page_says_which_host_is_right(world):
    assert ORIGIN in send(world, None, "/").text


@row(117)
@pytest.mark.parametrize("application", ["flask", "organizations"], indirect=True)
def test_nothing_of_it_is_in_the_log(world):
    for host in NONE:
        send(world, host, world.a.login_path)
    assert "Traceback" not in world.log.text


@pytest.mark.parametrize(
    "host", [HOST, "localhost", "app_1.example:8443", "127.0.0.1:5000", "[::1]:80", "a.b.", "xn--mnchen-3ya.de"]
)
def test_names_and_addresses_are_hosts(host):
    assert is_host(host)


@pytest.mark.parametrize("host", ["[::::]", "[1.2.3.4]", "[:]", "[::1]x", "[::1]:65536", "app.example:65536"])
def test_what_no_address_can_be_made_of_is_no_host(host):
    assert not is_host(host)

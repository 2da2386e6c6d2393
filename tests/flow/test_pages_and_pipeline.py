"""The Flask code of docs/pages-and-pipeline.md, in the README's application."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import login_required
from jinja2 import DictLoader

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/pages-and-pipeline.md").read_text()


def block(heading: str, language: str = "python") -> str:
    """Return the first block of code below *heading*."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.partition(f"\n## {heading}\n")[2], re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def module(
    bitbucket_sandbox: Sandbox, private_key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """The README's application as a module, with a page for people who are logged in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    monkeypatch.setenv("BITBUCKET_URL", bitbucket_sandbox.url)
    Path("bitbucket.pem").write_text(private_key.pem())
    bitbucket_sandbox.link(consumer_key="my-application", public_key=private_key.public.pem)
    module = types.ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    source = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert source
    exec("from flask import render_template, request, url_for\n" + source[1], module.__dict__)
    module.app.get("/private")(login_required(lambda: "For you"))
    module.app.jinja_env.loader = DictLoader(
        {
            "login.html": block("Where people go after the login", "html"),
            "login_failed.html": "Ours: {{ problem.title }} {{ problem.remedy }} {{ reference }}",
        }
    )
    yield module
    module.session.remove()
    module.engine.dispose()


def run(module: Any, code: str, **names: Any) -> None:
    exec(code, module.__dict__ | names)


def log_in(browser: FlaskClient, page: str, sandbox: Sandbox, *, allow: bool = True) -> Any:
    """Press the button of *page*, with every field of its form, and come back."""
    fields = dict(re.findall(r'name="(\w+)" value="([^"]+)"', browser.get(page).text))
    begun = browser.post("/login/bitbucket-server/", data=fields)
    callback = urlsplit(sandbox.authorize(begun.location, user="jane", allow=allow))
    return browser.get(f"{callback.path}?{callback.query}")


def test_a_login_page_of_ones_own_leads_to_the_wanted_page(module: Any, bitbucket_sandbox: Sandbox) -> None:
    app: Flask = module.app
    run(module, block("Where people go after the login"), login_manager=app.login_manager)  # type: ignore[attr-defined]
    browser = app.test_client()
    page = browser.get("/private").location
    assert urlsplit(page).path == "/login"
    assert log_in(browser, page, bitbucket_sandbox).location == "/private"
    assert browser.get("/private").text == "For you"


def test_the_page_with_the_button_does_as_login_page(module: Any, bitbucket_sandbox: Sandbox) -> None:
    module.app.login_manager.login_view = "bitbucket_server.page"
    browser = module.app.test_client()
    page = browser.get("/private").location
    assert urlsplit(page).path == "/login/bitbucket-server/"
    assert log_in(browser, page, bitbucket_sandbox).location == "/private"


def test_an_error_page_of_ones_own_has_the_problem_and_the_reference(module: Any, bitbucket_sandbox: Sandbox) -> None:
    run(module, block("The error page"), bitbucket=bitbucket)
    failed = log_in(module.app.test_client(), "/", bitbucket_sandbox, allow=False)
    assert failed.status_code == 400
    assert re.fullmatch(r"Ours: Access was declined in Bitbucket\. .+ \w+", failed.text)


def test_an_application_factory_adds_the_login(module: Any) -> None:
    settings = types.ModuleType("settings")
    vars(settings).update(module.app.config)
    sys.modules["settings"] = settings
    names = module.__dict__ | {"storage": module.app.config["SOCIAL_AUTH_STORAGE"]}
    try:
        exec(block("An application factory"), names)
        assert "bitbucket_server.begin" in names["create_app"]().view_functions
    finally:
        del sys.modules["settings"]

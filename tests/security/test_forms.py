"""Forms that no page sends: text fields as files, twice, and bodies of other kinds."""

from __future__ import annotations

import json

import pytest

from tests.security.rows import row
from tests.security.world import Browser

in_frameworks = pytest.mark.parametrize("application", ["organizations", "django", "flask"], indirect=True)


def as_files(fields: dict[str, str], *files: str) -> str:
    """Return *fields* as multipart, those in *files* as a file each."""
    return (
        "".join(
            f'--X\r\nContent-Disposition: form-data; name="{name}"{"; filename=x" * (name in files)}\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        + "--X--\r\n"
    )


def send(browser: Browser, path: str, kind: str, body: str) -> int:
    return browser.request("POST", path, body, {"Content-Type": kind}).status


@row(116)
@in_frameworks
def test_text_fields_that_come_as_files_count_as_absent(world):
    browser = world.browser()
    fields = {**browser.get(world.a.login_path).csrf_field, "next": "/x", "integration": "b", "oauth": "1"}
    (token, *others) = fields
    multipart = "multipart/form-data; boundary=X"
    with world.nothing_new():
        assert send(browser, world.a.begin_path, multipart, as_files(fields, token)) in {400, 403}
        assert world.fa.received == []
        assert send(browser, world.a.begin_path, multipart, as_files(fields, *others)) == 303
    assert world.fb.received == []


@row(116)
@in_frameworks
def test_bodies_that_are_no_form_are_refused(world):
    browser = world.browser()
    fields = browser.get(world.a.login_path).csrf_field
    bodies = [("application/json", text) for text in (json.dumps(fields), "[1]", "{", "9" * 5000)]
    bodies += [(f"multipart/form-data{boundary}", "--X\r\n\r\n") for boundary in ("", "; boundary=", "; boundary=Y")]
    with world.nothing_new():
        assert {send(browser, world.a.begin_path, *body) for body in bodies} <= {400, 403}
    assert world.fa.received == []

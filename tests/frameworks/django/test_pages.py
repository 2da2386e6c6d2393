"""The pages in other words: translated, and with templates of an application's own."""

import gettext
import struct

import pytest
from django.template import engines
from django.test import RequestFactory, override_settings
from django.urls import set_script_prefix
from django.utils import translation
from django.utils.translation import trans_real

from social_bitbucket_server.django import errors
from social_bitbucket_server.problems import PROBLEMS, BitbucketServerError
from tests.frameworks.django.conftest import login_page

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "This login is not under way in this browser.": "Diese Anmeldung läuft nicht in diesem Browser.",
    "Log in with Bitbucket": "Mit Bitbucket anmelden",
    "your Bitbucket admin": "den Bitbucket-Admin",
}


def catalog(messages):
    """The bytes of a compiled catalog."""
    pairs = [(key.encode(), value.encode()) for key, value in sorted(messages.items())]
    count = len(pairs)
    position = 28 + 16 * count
    tables, texts = [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), position + len(texts))
            texts += pair[column] + b"\0"
    header = struct.pack("<IIIIIII", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    return header + tables[0] + tables[1] + texts


@pytest.fixture
def german(tmp_path):
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(catalog(GERMAN))
    forget_catalogs()
    with override_settings(LOCALE_PATHS=[tmp_path]), translation.override("de"):
        yield
    forget_catalogs()


def forget_catalogs():
    trans_real._translations = {}
    trans_real._default = None
    gettext._translations = {}


@pytest.mark.usefixtures("german")
def test_what_went_wrong_is_said_in_the_readers_language():
    error = BitbucketServerError("login_not_pending").as_social_error(None, "callback")
    assert errors.words_for(error).title == "Diese Anmeldung läuft nicht in diesem Browser."


@pytest.mark.usefixtures("german")
def test_who_can_help_is_said_in_the_readers_language():
    (code, *_) = [code for code, problem in PROBLEMS.items() if problem.who == "your Bitbucket admin"]
    assert errors.words_for(BitbucketServerError(code).as_social_error(None, "begin")).who == "den Bitbucket-Admin"


@pytest.mark.usefixtures("german")
def test_the_button_is_in_the_readers_language(visitor, acme):
    with override_settings(LANGUAGE_CODE="de"):
        assert "Mit Bitbucket anmelden" in visitor.open(login_page(acme)).content.decode()


def test_an_application_puts_its_own_template_in_place_of_ours(visitor, acme, bitbucket_sandbox, tmp_path, monkeypatch):
    folder = tmp_path / "social_bitbucket_server"
    folder.mkdir()
    (folder / "error.html").write_text("Our own: {{ words.title }} {{ reference }}")
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    visitor.open(callback)
    templates = [{**engines.templates["django"], "DIRS": [tmp_path]}]
    templates[0].pop("NAME", None)
    with override_settings(TEMPLATES=templates):
        page = visitor.open(callback).content.decode()
    assert page.startswith("Our own: This login is not under way in this browser. ")


def test_the_way_back_from_an_error_page_stays_below_the_projects_prefix():
    error = BitbucketServerError("form_expired").as_social_error(None, "begin")
    set_script_prefix("/portal/")
    try:
        page = errors.show_error(RequestFactory().get("/"), error)
    finally:
        set_script_prefix("/")
    assert '<a class="button" href="/portal/">' in page.content.decode()

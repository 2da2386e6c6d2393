"""All sentences of Django's pages can be translated, and the template for translators has every one of them."""

import ast
import re

import pytest

from tests.frameworks.django import catalogue
from tests.frameworks.django.catalogue import CATALOGUE

BITBUCKETS_OWN = {"Application URL", "Consumer Key"}
"""Words of Bitbucket's form, which stay as they are in every language."""

NOT_SHOWN = {"app- model-"}
"""The classes of a page's body."""

SHOWN = {"_back", "_changed", "_do", "message_user", "add_error", "ValidationError"}
"""The functions whose arguments people read."""


def test_the_committed_template_has_every_sentence():
    """``make social_bitbucket_server/django/locale/django.pot`` writes it anew."""
    assert CATALOGUE.read_text() == catalogue.written()


@pytest.mark.parametrize(
    "sentence",
    [
        "Let %(name)s log in with Bitbucket",
        "Choose how long the link opens.",
        "The login link is closed.",
        "your Bitbucket admin",
        "seven days",
        "Its host name ends with a dot.",
        "A set-up link was made.",
    ],
)
def test_sentences_of_every_origin_are_there(sentence):
    assert f'msgid "{sentence}"' in CATALOGUE.read_text()


@pytest.mark.parametrize("template", catalogue.templates(), ids=lambda path: path.name)
def test_a_template_has_no_words_that_cannot_be_translated(template):
    text = catalogue.text_of(template)
    attributes = re.findall(r'\b(?:alt|title|aria-label|placeholder)="([^"{]*)"', text)
    words = re.sub(r"<style.*?</style>|<script.*?</script>|<[^<>]*>|&\w+;", "\n", text, flags=re.DOTALL).split("\n")
    shown = {part.strip() for part in [*words, *attributes] if re.search(r"[A-Za-z]{2}", part)}
    assert shown - BITBUCKETS_OWN - NOT_SHOWN == set()


@pytest.mark.parametrize("module", catalogue.modules(), ids=lambda path: path.name)
def test_a_module_shows_no_sentence_that_cannot_be_translated(module):
    bare = []
    for node in ast.walk(ast.parse(module.read_text())):
        name = getattr(getattr(node, "func", None), "attr", "") or getattr(getattr(node, "func", None), "id", "")
        if isinstance(node, ast.Call) and name in SHOWN:
            texts = (part.value for part in node.args if isinstance(part, ast.Constant))
            bare += [text for text in texts if isinstance(text, str) and " " in text]
    assert bare == []


def test_no_sentence_of_a_template_begins_or_ends_with_spaces():
    """Blocks are asked for with their own spaces, which a catalogue would have to repeat exactly."""
    for template in catalogue.templates():
        for sentence, _plural in catalogue._of_template(template):
            assert sentence == sentence.strip(), template.name

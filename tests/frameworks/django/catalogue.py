"""The template of catalogues for translators: every sentence that Django's pages show.

``python -m tests.frameworks.django.catalogue`` writes it. It is made without GNU gettext, whose versions differ.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.frameworks.django import project

project.set_up()

from django.template import Template
from django.template.base import Node, TextNode
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.translation import trim_whitespace

import social_bitbucket_server
from social_bitbucket_server.django.models import RECORDED
from social_bitbucket_server.onboarding import Dialog
from social_bitbucket_server.organizations import KeyState, SetupLinkLife, SetupStep
from social_bitbucket_server.problems import PROBLEMS, Who

LIBRARY = Path(social_bitbucket_server.__file__).parent
DJANGO = LIBRARY / "django"
CATALOGUE = DJANGO / "locale" / "django.pot"
REASONS = (
    "integration/admission.py",
    "integration/server_url.py",
    "transport/ca_certificates.py",
    "transport/certificates.py",
    "transport/client_certificates.py",
)
"""The modules that say why a field cannot be used. Reasons with a value in them are in English."""

Message = tuple[str, str | None]
"""A sentence, and its plural or ``None``."""

_HEADER = """# Sentences of Bitbucket Server logins in Django.
# Written by python -m tests.frameworks.django.catalogue: change the sentences in the code.
msgid ""
msgstr ""
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"
"""
_SINGULAR = {"_", "gettext", "gettext_lazy"}


def templates() -> list[Path]:
    """Return the files of all templates."""
    return sorted((DJANGO / "templates").rglob("*.html"))


def text_of(template: Path) -> str:
    """Return what *template* has outside of its tags: markup and untranslated words."""
    nodes = Template(template.read_text()).nodelist.get_nodes_by_type(TextNode)
    return "".join(node.s for node in nodes)


def modules() -> list[Path]:
    """Return the files of all modules for Django."""
    return [path for path in sorted(DJANGO.rglob("*.py")) if "migrations" not in path.parts]


def written() -> str:
    """Return the template of catalogues."""
    found: dict[Message, set[str]] = {}
    for message, place in _messages():
        found.setdefault(message, set()).add(place)
    return "\n".join([_HEADER, *(_entry(message, found[message]) for message in sorted(found, key=str))])


def _entry(message: Message, places: set[str]) -> str:
    singular, plural = message
    lines = [f"#: {place}" for place in sorted(places)]
    if re.search(r"%\(\w+\)", f"{singular}{plural}"):
        lines.append("#, python-format")
    lines.append(f"msgid {_quoted(singular)}")
    if plural is None:
        return "\n".join([*lines, 'msgstr ""\n'])
    return "\n".join([*lines, f"msgid_plural {_quoted(plural)}", 'msgstr[0] ""', 'msgstr[1] ""\n'])


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", '\\n"\n"'))


def _messages() -> Iterator[tuple[Message, str]]:
    for path in templates():
        for message in _of_template(path):
            yield message, _place(path)
    for path in modules():
        for message in _of_module(path):
            yield message, _place(path)
    for name in REASONS:
        for text in _reasons(LIBRARY / name):
            yield (text, None), name
    for text, place in _of_tables():
        yield (text, None), place


def _of_template(path: Path) -> Iterator[Message]:
    nodes = Template(path.read_text()).nodelist
    for node in nodes.get_nodes_by_type(TranslateNode):
        text = getattr(node.filter_expression.var, "literal", None)
        if isinstance(text, str):  # other values are in the tables
            yield str(text), None
    for node in nodes.get_nodes_by_type(BlockTranslateNode):
        yield _block(node, node.singular), _block(node, node.plural) if node.plural else None


def _block(node: Node, tokens: list[object]) -> str:
    text: str = node.render_token_list(tokens)[0]
    return trim_whitespace(text) if node.trimmed else text


def _of_module(path: Path) -> Iterator[Message]:
    for call in _calls(path):
        texts = [part.value for part in call.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if call.func.id in _SINGULAR and texts:
            yield texts[0], None
        elif call.func.id == "ngettext":
            yield texts[0], texts[1]


def _reasons(path: Path) -> Iterator[str]:
    for call in _calls(path):
        if call.func.id == "BitbucketServerError" or call.func.id.startswith("_invalid"):
            for part in call.args:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value:
                    yield part.value


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node


def _of_tables() -> Iterator[tuple[str, str]]:
    for problem in PROBLEMS.values():
        for text in (problem.title, problem.meaning, problem.remedy):
            yield text, "problems"
    for who in Who:
        yield who.value, "problems"
    for event in RECORDED:
        yield event.sentence, "organizations/events.py"
    for state in KeyState:
        yield state.meaning, "organizations/key_pairs.py"
    for step in SetupStep:
        yield step.label, "organizations/conditions.py"
    for life in SetupLinkLife:
        yield life.words, "organizations/setup_links.py"
    for dialog in Dialog:
        yield dialog.versions, "onboarding/worksheets.py"


def _place(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_text(written())

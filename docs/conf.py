"""Sphinx's configuration. ``make docs`` builds the site from the Markdown files in this folder."""

from __future__ import annotations

import re
import sys
import warnings
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path

import django
from django.conf import settings
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sqlalchemy.exc import SAWarning

# Mixins are read here without a class that maps them.
warnings.simplefilter("ignore", SAWarning)

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "social_django",
        "social_bitbucket_server.django",
    ],
)
django.setup()

project = "social-auth-bitbucket-server"
project_copyright = "the contributors of social-auth-bitbucket-server"
release = version = installed_version("social-auth-bitbucket-server")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
# Headings have the anchors that forges give them, so links work in both places.
myst_heading_anchors = 4
# Two public classes are called Integration, and annotations have short names.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries = False

SIDEBAR = {
    "Bitbucket admin": ["bitbucket-admins"],
    "Developer": [
        "developers",
        "flask",
        "django",
        "starlette",
        "any-framework",
        "flask-organizations",
        "many-organizations",
        "existing-projects",
        "existing-accounts",
        "sqlalchemy-users",
        "pages-and-pipeline",
        "who-may-log-in",
        "roles",
        "oauth2",
        "calling-bitbucket",
        "testing",
    ],
    "Organization's admin": ["organization-admins", "upgrade-to-oauth2"],
    "Operator": [
        "operators",
        "deployment",
        "networks",
        "keys-and-backups",
        "monitoring",
        "personal-data",
        "rechecks",
        "upgrading",
        "netbox",
        "weblate",
    ],
    "Reference": [
        "questions",
        "settings",
        "command-line",
        "check-up",
        "problems",
        "events",
        "addresses",
        "api",
        "signatures",
        "compatibility",
        "glossary",
    ],
    "Explanation": ["how-a-login-works", "security", "performance", "facts"],
    "Contributing": ["contributing/structure", "contributing/testing"],
}
"""The pages beside the text, by caption. Forges have the links of the start page instead."""

_NAMED_AFTER_A_FILE = re.compile(r"\[[\w/-]+\.md\]\(")
_ROW = re.compile(r"^\| `([\w.]+)` \| (`.*`) \|$", re.MULTILINE)


def sidebar() -> str:
    """Return the directives that put the pages into the sidebar."""
    parts = (["```{toctree}", ":hidden:", f":caption: {caption}", *SIDEBAR[caption], "```", ""] for caption in SIDEBAR)
    return "\n".join(line for part in parts for line in part)


def signatures() -> str:
    """Return the directives that show every name in api.md, module by module."""
    page = (Path(__file__).parent / "api.md").read_text()
    parts: list[str] = []
    for module, names in _ROW.findall(page):
        path = f"social_bitbucket_server.{module}"
        shown = [line for name in re.findall(r"`(\w+)`", names) for line in signature(path, name)]
        parts += [f"## {path}", "", "```{eval-rst}", *shown, "```", ""]
    return "\n".join(parts)


def signature(path: str, name: str) -> list[str]:
    """Return the lines that show *name* in the module *path* with its docstring."""
    found = getattr(import_module(path), name)
    if isinstance(found, type):
        kind = "exception" if issubclass(found, BaseException) else "class"
        # Of a backend, only what the other pages name is public.
        members = [] if path.endswith(".backends") else ["   :members:"]
        return [f".. auto{kind}:: {path}.{name}", *members, ""]
    if callable(found):
        return [f".. autofunction:: {path}.{name}", ""]
    return [f".. py:data:: {path}.{name}", "", *(f"   {line}" for line in data_docstring(path, name)), ""]


def data_docstring(path: str, name: str) -> list[str]:
    """Return the text below the assignment of *name*, in whichever file of the room *path* it is."""
    files = [module for module in sys.modules if module == path or module.startswith(f"{path}.")]
    docstrings = (ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name)) for module in files)
    return next(filter(None, docstrings), [])


def add_what_forges_need_not(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the sidebar to the start page, and the signatures to their page. A link that is called after a file gets
    the title of its target instead."""
    source[0] = _NAMED_AFTER_A_FILE.sub("[](", source[0])
    if page == "index":
        source[0] += "\n" + sidebar()
    if page == "signatures":
        source[0] += "\n" + signatures()


def setup(app: Sphinx) -> None:
    """Connect this file's hook."""
    app.connect("source-read", add_what_forges_need_not)

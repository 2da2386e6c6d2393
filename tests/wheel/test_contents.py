"""Tests of what the distributions hold, and of what can be imported with one extra alone."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import DIST, PROJECT, Environment

METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("examples/*/README.md")]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
IMPORTABLE = {
    "": ["backends", "pipeline", "any_framework", "organizations", "cli", "__main__"],
    "django": ["django", "django.models", "django.admin", "django.urls"],
    "flask": ["flask", "sqlalchemy"],
    "organizations": ["flask.organizations", "sqlalchemy.organizations"],
    "sandbox": ["sandbox"],
    "sqlalchemy": ["sqlalchemy"],
    "starlette": ["starlette", "sqlalchemy"],
}
"""What can be imported with each extra, and without any."""
OF_APPLICATIONS = {"demo", "postgresql", "redis"}
"""Extras with packages that applications use, and the wheel does not."""
IMPORT = """
import importlib, sys

if "django" in sys.argv[1]:
    import django
    from django.conf import settings

    apps = ["auth", "contenttypes", "sessions", "messages", "admin"]
    apps = [*(f"django.contrib.{app}" for app in apps), "social_django", "social_bitbucket_server.django"]
    urls = "social_bitbucket_server.django.urls"
    settings.configure(INSTALLED_APPS=apps, SECRET_KEY="for this test", ROOT_URLCONF=urls)
    django.setup()
for name in sys.argv[1].split():
    importlib.import_module(f"social_bitbucket_server.{name}")
"""


@pytest.fixture(scope="module")
def sdist() -> set[str]:
    """The files of the source distribution."""
    (archive,) = DIST.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        return {name.partition("/")[2] for name in files.getnames()}


def linked_files() -> Iterator[tuple[str, str]]:
    """Yield each document of the checkout and the file that it links to, as paths in the project."""
    for document in DOCUMENTS:
        for target in LINK.findall(document.read_text()):
            path = (document.parent / target).resolve().relative_to(PROJECT.resolve())
            yield str(document.relative_to(PROJECT)), str(path)


def test_the_source_distribution_has_the_documents_and_all_that_they_link_to(sdist: set[str]) -> None:
    folders = {str(parent) for name in sdist for parent in Path(name).parents}
    named = {name for link in linked_files() for name in link}
    assert len(named) > 30
    assert not named - sdist - folders


def test_the_wheel_has_the_library_alone(wheel: Path) -> None:
    own = f"{METADATA['name'].replace('-', '_')}-{METADATA['version']}.dist-info"
    with zipfile.ZipFile(wheel) as files:
        assert {name.partition("/")[0] for name in files.namelist()} == {"social_bitbucket_server", own}


def test_the_page_on_the_package_index_has_no_link_to_a_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        (metadata,) = (name for name in files.namelist() if name.endswith("/METADATA"))
        page = files.read(metadata).decode()
    assert METADATA["description"] in page
    assert not LINK.findall(page)


def test_every_extra_is_tried() -> None:
    assert set(IMPORTABLE) == {"", *METADATA["optional-dependencies"]} - OF_APPLICATIONS


@pytest.mark.program
@pytest.mark.parametrize("extra", IMPORTABLE)
def test_an_extra_by_itself_is_enough(extra: str, install: Callable[..., Environment], tmp_path: Path) -> None:
    install(extra).run("python", "-c", IMPORT, " ".join(IMPORTABLE[extra]), cwd=tmp_path)


@pytest.mark.program
@pytest.mark.parametrize("extra", sorted(OF_APPLICATIONS))
def test_an_extra_for_applications_installs(extra: str, install: Callable[..., Environment], tmp_path: Path) -> None:
    assert METADATA["version"] in install(extra).run("social-bitbucket-server", "--version", cwd=tmp_path)

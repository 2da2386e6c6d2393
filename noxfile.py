"""The matrix: versions of Python, Django and the other dependencies with which the tests must pass.

``nox`` takes every Python that this machine has, and skips the others. One part of the matrix, and some of the tests:
``nox --session "newest(3.12-django6.0)" -- tests/unit``.
"""

from __future__ import annotations

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DJANGOS = ("5.2", "6.0", "6.1")
MATRIX = [
    nox.param(python, django, id=f"{python}-django{django}")
    for python in PYTHONS
    for django in DJANGOS
    if django == "5.2" or python != "3.11"  # Django 6 needs Python 3.12
]
EXTRAS = "demo,django,postgresql,redis,starlette"
MAIN_OF_CORE = "social-auth-core @ git+https://github.com/python-social-auth/social-core"

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lowest", "newest"]


@nox.session
@nox.parametrize(["python", "django"], MATRIX)
def lowest(session: nox.Session, django: str) -> None:
    """Test with the lowest versions that pyproject.toml allows. The packages that those need are the newest."""
    install(session, "--resolution=lowest-direct", f"Django=={django}.*")
    run_tests(session)


@nox.session
@nox.parametrize(["python", "django"], MATRIX)
def newest(session: nox.Session, django: str) -> None:
    """Test with the newest versions."""
    install(session, f"Django=={django}.*")
    run_tests(session)


@nox.session(python=PYTHONS[-1])
def core_main(session: nox.Session) -> None:
    """Test with the next version of social-auth-core, from its main branch."""
    install(session)
    session.install("--no-deps", MAIN_OF_CORE)
    run_tests(session)


def install(session: nox.Session, *requirements: str) -> None:
    """Install this project with what its tests need, and *requirements*."""
    session.install("--upgrade", "--editable", f".[{EXTRAS}]", "--group=test", *requirements)


def run_tests(session: nox.Session) -> None:
    """Run the tests, or what stands after ``--`` on the command line."""
    session.run("python", "-m", "pytest", "-n", "auto", "--dist=worksteal", *session.posargs)

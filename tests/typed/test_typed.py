"""Tests that every name in docs/api.md exists, and that a project with all of them passes strict type checkers."""

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frameworks.django import project

pytestmark = pytest.mark.program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = "social_bitbucket_server"
PAGE = (ROOT / "docs/api.md").read_text()
PUBLIC = {
    module: set(re.findall(r"`(\w+)`", names))
    for module, names in re.findall(r"^\| `([\w.]+)` \| (`\w+`.*) \|$", PAGE, re.MULTILINE)
}
PROJECT = HERE / "project"
EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir())


def imported(path):
    """Return the package's names that a file takes, directly or through a module, as pairs of module and name."""
    tree = ast.parse(path.read_text())
    modules, names = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            parent = node.module.removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                child = f"{parent}.{alias.name}".lstrip(".")
                if child in PUBLIC:
                    modules[alias.asname or alias.name] = child
                else:
                    names.add((parent, alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            names.add((modules[node.value.id], node.attr))
    return names


ALL = {(module, name) for module, names in PUBLIC.items() for name in names}


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_name_is_there(module):
    project.set_up()
    there = importlib.import_module(f"{PACKAGE}.{module}")
    assert [name for name in PUBLIC[module] if not hasattr(there, name)] == []
    assert set(getattr(there, "__all__", PUBLIC[module])) == PUBLIC[module]


def test_the_project_uses_every_public_name():
    assert {name for path in PROJECT.rglob("*.py") for name in imported(path)} == ALL


@pytest.mark.parametrize("folder", ["demo_app", "examples"])
def test_the_applications_use_public_names_alone(folder):
    used = {name for path in (ROOT / folder).rglob("*.py") for name in imported(path)}
    assert used
    assert used <= ALL


def check_types(folder, checker, request):
    """Run *checker* in *folder*. mypy keeps its cache between runs, and checks only changed files again."""
    kept = getattr(request.config, "cache", None)
    options = ["--cache-dir", str(kept.mkdir("mypy"))] if checker[0] == "mypy" and kept is not None else []
    finished = subprocess.run(
        [sys.executable, "-m", *checker, *options], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    "checker",
    [["mypy", "--config-file", "mypy.ini", "."], ["pyright", "--pythonpath", sys.executable]],
    ids=lambda command: command[0],
)
def test_the_project_passes_in_strict_mode(checker, tmp_path, request):
    elsewhere = shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    check_types(elsewhere, checker, request)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_pass_mypy(example, tmp_path, request):
    elsewhere = shutil.copytree(ROOT / "examples" / example, tmp_path / example)
    check_types(elsewhere, ["mypy", "--config-file", str(HERE / "examples.ini"), "."], request)


def test_the_examples_and_the_measurements_pass_pyright(tmp_path, request):
    shutil.copytree(ROOT / "examples", tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "bench", tmp_path / "bench")
    environments = [{"root": folder} for folder in EXAMPLES]
    environments.append({"root": ".", "extraPaths": [str(ROOT)]})  # measurements use the tests' own application
    roots = {"executionEnvironments": environments}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(roots))
    check_types(tmp_path, ["pyright", "--pythonpath", sys.executable], request)

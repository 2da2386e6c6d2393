"""docs/settings.md names every setting that the code reads, with the code's default."""

import ast
import re
from pathlib import Path

import pytest

import social_bitbucket_server
from social_bitbucket_server.integration import from_settings as configuration
from social_bitbucket_server.integration import setting_names

PACKAGE = Path(social_bitbucket_server.__file__).parent
PAGE = (PACKAGE.parent / "docs/settings.md").read_text()
READING = {"setting", "setting_name"}
NAME = re.compile(r"(?!REPO_|POST|SESSION_COOKIE_)[A-Z][A-Z_]+")  # scopes, methods, and what the frameworks set
PREFIX = "SOCIAL_AUTH_BITBUCKET_SERVER_"
TYPES = {
    "text": str,
    "path": str,
    "list": list,
    "mapping": dict,
    "truth": bool,
    "seconds": (int, float),
    "number": int,
    "`True` or path": (bool, str),
    "callable or its path": str,
    "mapping, callable or its path": str,
}


def called(node):
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def names_in(node):
    """Return every name of a setting in a function that reads settings. Return an empty set for any other function."""
    for inner in ast.walk(node):
        is_call = isinstance(inner, ast.Call) and called(inner) in READING
        is_item = isinstance(inner, ast.Subscript) and getattr(inner.value, "id", "") == "settings"
        if is_call or is_item:
            constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
            return {each for each in constants if isinstance(each, str) and NAME.fullmatch(each)}
    return set()


def read_by(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    names = {name for function in functions for name in names_in(function)}
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return names | {text.removeprefix(PREFIX) for text in texts if re.fullmatch(f"{PREFIX}[A-Z_]+", text)}


@pytest.fixture(scope="module")
def readers():
    """The files that read each setting."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if "sandbox" not in path.parts:
            for name in read_by(path) - {"SOCIAL_AUTH_", PREFIX}:
                found.setdefault(name, set()).add(path.relative_to(PACKAGE))
    return found


def rows():
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in re.sub(r"\| \|", "| - |", PAGE).splitlines()
        if re.match(r"\| `[A-Z_]+` \|", line)
    ]


OURS = {row[0].strip("`"): row[1:] for row in rows() if len(row) == 6}
CORES = {row[0].strip("`") for row in rows() if len(row) == 2}


def test_every_setting_that_the_code_reads_is_there(readers):
    assert set(readers) - setting_names.CORES == (set(OURS) | CORES) - setting_names.CORES


@pytest.mark.parametrize("name", OURS)
def test_the_example_is_of_the_type(name):
    kind, _, example, _, _ = OURS[name]
    assert isinstance(ast.literal_eval(example.strip("`")), TYPES[kind])


FRAMEWORKS = {
    frozenset({"django"}): "Django",
    frozenset({"django", "flask"}): "Django, Flask",
    frozenset({"organizations"}): "Django, Flask",
    frozenset({"django", "organizations"}): "Django, Flask",
}


@pytest.mark.parametrize("name", OURS)
def test_the_frameworks_are_those_that_read_the_setting(name, readers):
    rooms = frozenset(path.parts[0] for path in readers[name])
    assert OURS[name][3] == FRAMEWORKS.get(rooms, "all")


def test_the_defaults_are_the_codes():
    calls = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and called(node) == "setting" and len(node.args) == 2
    ]
    compared = 0
    for call in calls:
        name, default = call.args
        if isinstance(name, ast.Constant) and name.value in OURS:
            assert OURS[name.value][1] == f"`{ast.literal_eval(default)!r}`", name.value
            compared += 1
    assert compared > 2


def test_every_field_of_an_integration_is_there():
    table = PAGE.partition("The fields of an integration")[2].partition("\n## ")[0]
    listed = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)}
    assert listed == configuration._FIELDS | configuration._OAUTH2_FIELDS


def test_the_readme_names_no_other_settings():
    readme = (PACKAGE.parent / "README.md").read_text()
    named = set(re.findall(rf"{PREFIX}(?!OAUTH2)([A-Z_]+)", readme))
    assert named
    assert named <= set(OURS)

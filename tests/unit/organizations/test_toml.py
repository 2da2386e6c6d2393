"""TOML that organizations enter."""

import tomllib

import pytest

from social_bitbucket_server.organizations import toml
from tests.security.rows import row

MOST_BYTES = 16 * 1024
KEY = ".".join("a" * 9)
COSTLY = {
    "longer than 16 KB": ["x" * 16_385, f"# {'é' * 8192}", f"{'a.' * 16_000}a = 1"],
    "a key of more than 8 parts": [
        f"{KEY} = 1",
        f"{'a.' * 4000}a = 1",
        f"[{KEY}]",
        f"[[ {KEY} ]]",
        f"x = 1\n  {KEY} = 1",
        rf'"\"".{KEY} = 1',
        rf'"\\" . "a\"b" . {KEY} = 1',
        f"x = {{{KEY} = 1}}",
        f"x = {{y = 1, {KEY} = 1}}",
        f"{' . '.join(['a'] * 9)} = 1",
        f"""{'."a".'.join(['"b c"', "'d.e'", "f", "g", "h"])} = 1""",
    ],
    "a number of more than 100 digits": [
        f"x = {'9' * 5000}",
        f"x = 0x{'f' * 101}",
        f"x = {'1_' * 60}1",
        f"x = 1.{'0' * 101}",
    ],
    "more than 8 brackets": ["x = " + "[" * 1000, "x = " + "[" * 9 + "]" * 9, "x = " + "{a = " * 1000, "[" * 9],
}


@row(114)
@pytest.mark.parametrize(("says", "text"), [(says, text) for says, texts in COSTLY.items() for text in texts])
def test_what_costs_much_is_refused_before_it_is_parsed(monkeypatch, says, text):
    monkeypatch.delattr(tomllib, "loads")
    with pytest.raises(toml.UnreadableError, match=says):
        toml.read(text, most_bytes=MOST_BYTES)


@pytest.mark.parametrize("text", ["x", "x = 1979-13-01", "x = 1\nx = 2", "\ud800", 'x = "\x00"'])
def test_what_is_no_toml_is_said_to_be_none(text):
    with pytest.raises(toml.UnreadableError, match="This is not TOML"):
        toml.read(text, most_bytes=MOST_BYTES)


def test_long_names_in_texts_are_no_keys():
    name = ".".join("abcdefghij")
    document = f'base_url = "https://{name}/x"\ngroups = ["{name}", "{name}"]\n'
    assert toml.read(document, most_bytes=MOST_BYTES) == {"base_url": f"https://{name}/x", "groups": [name, name]}


def test_the_largest_of_everything_is_read():
    text = f"{'.'.join('a' * 8)} = 1\nx = {'9' * 100}\ny = {'[' * 8}{']' * 8}\n"
    assert toml.read(text + "#" * (MOST_BYTES - len(text)), most_bytes=MOST_BYTES).keys() == {"a", "x", "y"}

"""``check`` as somebody types it."""

import json
import stat

import pytest

from social_bitbucket_server.__main__ import main
from social_bitbucket_server.checkup import Stage
from social_bitbucket_server.commands import report


@pytest.fixture
def key_file(tmp_path, private_key):
    path = tmp_path / "acme.pem"
    path.write_text(private_key.pem())
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return path


@pytest.fixture
def sandbox(bitbucket_sandbox, private_key):
    bitbucket_sandbox.link(consumer_key="acme", public_key=private_key.public.pem)
    return bitbucket_sandbox


@pytest.fixture
def options(sandbox, key_file):
    return ["check", "--url", sandbox.url, "--consumer-key", "acme", "--private-key-file", str(key_file)]


def test_everything_passes_with_one_line_a_stage(options, capsys):
    assert main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0][2:] for line in lines[:-1]] == [
        stage for stage in Stage if stage is not Stage.CREDENTIALS
    ]
    assert "people can log in" in lines[-1]


@pytest.mark.parametrize(
    ("faults", "stage", "first_words"),
    [
        ({"interception": "page"}, Stage.HTTP, "Something in front of Bitbucket asks to log in."),
        ({"interception": "redirect"}, Stage.HTTP, "Something in front of Bitbucket asks to log in."),
        ({"rate_limited": True}, Stage.HTTP, "The Bitbucket Server limits our requests."),
        ({"server_error": True}, Stage.HTTP, "The Bitbucket Server reported an error of its own."),
        ({"clock_skew": 900}, Stage.CLOCK, "The clocks differ too much."),
        ({"seen_scheme": "https"}, Stage.SIGNATURE, "Bitbucket sees another address than the base URL"),
    ],
)
def test_the_exit_status_is_the_first_stage_that_fails(options, sandbox, capsys, faults, stage, first_words):
    sandbox.faults.update(faults)
    assert main(options) == [stage for stage in Stage if stage is not Stage.CREDENTIALS].index(stage) + 1
    output = capsys.readouterr().out
    assert f"✗ {stage}: {first_words}" in output
    assert "What to do: " in output


def test_what_the_server_sees_stands_beside_what_we_signed(options, sandbox, capsys):
    sandbox.faults.seen_host = "internal.example"
    main(options)
    output = capsys.readouterr().out
    assert "! host: 127.0.0.1   the server: internal.example" in output


def test_json_has_every_stage(options, sandbox, capsys):
    sandbox.faults.seen_host = "internal.example"
    assert main([*options, "--json"]) == 8
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert [stage["stage"] for stage in told["stages"]] == [stage for stage in Stage if stage is not Stage.CREDENTIALS]
    assert told["stages"][-1]["problem"] == "address_hidden"
    assert told["stages"][-1]["explanation"]["cause"] == "host"


def test_the_integration_may_stand_in_a_file(sandbox, key_file, tmp_path):
    path = tmp_path / "acme.toml"
    path.write_text(f'url = "{sandbox.url}"\nconsumer_key = "acme"\nprivate_key_file = "{key_file}"\n')
    assert main(["check", "--file", str(path)]) == 0


def test_the_integration_may_stand_in_the_environment(sandbox, key_file, monkeypatch):
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_URL", sandbox.url)
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_KEY", "acme")
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE", str(key_file))
    assert main(["check"]) == 0


def test_nothing_configured_is_named(capsys):
    assert main(["check"]) == 1
    assert "A setting is missing. It is the integration's url." in capsys.readouterr().out


@pytest.mark.parametrize(("text", "words"), [(None, "cannot be read"), ("= 1", "is not TOML")])
def test_a_file_that_cannot_be_used_is_named(tmp_path, capsys, text, words):
    path = tmp_path / "acme.toml"
    if text is not None:
        path.write_text(text)
    assert main(["check", "--file", str(path)]) == 1
    assert words in capsys.readouterr().err


def test_watch_waits_until_the_values_were_pasted(bitbucket_sandbox, key_file, private_key, monkeypatch, capsys):
    pauses = []

    def paste(_seconds):
        pauses.append(_seconds)
        if len(pauses) == 2:
            bitbucket_sandbox.link(consumer_key="acme", public_key=private_key.public.pem)

    monkeypatch.setattr(report.time, "sleep", paste)
    options = ["check", "--url", bitbucket_sandbox.url, "--consumer-key", "acme", "--private-key-file", str(key_file)]
    assert main([*options, "--watch"]) == 0
    assert len(pauses) == 2
    assert "people can log in" in capsys.readouterr().out

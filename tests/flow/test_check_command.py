"""``check`` as somebody types it."""

import io
import json
import re
import stat
import sys

import pytest

from social_bitbucket_server.__main__ import main
from social_bitbucket_server.cli import PROGRAM, report
from social_bitbucket_server.cli.report import FIRST_STATUS
from social_bitbucket_server.onboarding import Stage
from social_bitbucket_server.sandbox import Sandbox


@pytest.fixture
def key_file(tmp_path, private_key):
    path = tmp_path / "acme.pem"
    path.write_text(private_key.pem())
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return path


@pytest.fixture
def bitbucket_sandbox():
    with Sandbox(context="/bitbucket", names=["bitbucket.example"]) as sandbox:
        yield sandbox


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
    assert lines[-1] == "Everything passed. Next: log in once in your application."


def test_what_the_server_sees_stands_beside_what_we_signed(options, sandbox, capsys):
    sandbox.faults.seen_host = "internal.example"
    main(options)
    output = capsys.readouterr().out
    assert "! host: 127.0.0.1   the server: internal.example" in output


def test_the_command_that_explains_a_failure_works_as_printed(options, sandbox, capsys):
    sandbox.faults.seen_host = "internal.example"
    main(options)
    program, *command = re.search(r"More: (.+)", capsys.readouterr().out)[1].split()
    assert program == PROGRAM
    assert main(command) == 0
    assert "Documentation: docs/problems.md#address_hidden" in capsys.readouterr().out


def test_json_has_every_stage(options, sandbox, capsys):
    sandbox.faults.seen_host = "internal.example"
    assert main([*options, "--json"]) == 18
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert [stage["stage"] for stage in told["stages"]] == [stage for stage in Stage if stage is not Stage.CREDENTIALS]
    signature = told["stages"][7]
    assert (signature["problem"], signature["explanation"]["cause"]) == ("address_hidden", "host")


def test_the_integration_may_stand_in_a_file(sandbox, key_file, tmp_path):
    path = tmp_path / "acme.toml"
    path.write_text(f'url = "{sandbox.url}"\nconsumer_key = "acme"\nprivate_key_file = "{key_file}"\n')
    assert main(["check", "--file", str(path)]) == 0


def test_an_option_goes_before_all_that_the_file_says_about_the_same(
    sandbox, key_file, other_private_key, tmp_path, capsys
):
    path = tmp_path / "acme.toml"
    fields = {"url": sandbox.url, "consumer_key": "acme", "private_key": other_private_key.pem()}
    path.write_text("".join(f"{field} = {json.dumps(value)}\n" for field, value in fields.items()))
    assert main(["check", "--file", str(path)]) == 18
    assert main(["check", "--file", str(path), "--private-key-file", str(key_file)]) == 0
    path.write_text(path.read_text() + 'ca_certificates = "nonsense"\n')
    given = ["check", "--file", str(path), "--private-key-file", str(key_file)]
    assert main(given) == 11
    assert "This cannot be used as CA certificate." in capsys.readouterr().out
    assert main([*given, "--ca-file", str(tmp_path)]) == 0


def test_connections_may_go_elsewhere(options, sandbox, key_file, tmp_path, monkeypatch, capsys):
    _, _, inside = sandbox.url.partition("://")
    inside = inside.partition("/")[0]
    elsewhere = ["--url", "http://bitbucket.example/bitbucket", "--allow-http"]
    assert main([*options, *elsewhere]) == 12
    assert main([*options, *elsewhere, "--connect-to", inside]) == 0
    path = tmp_path / "acme.toml"
    fields = {"url": elsewhere[1], "consumer_key": "acme", "private_key_file": str(key_file), "connect_to": inside}
    path.write_text("".join(f"{field} = {json.dumps(value)}\n" for field, value in fields.items()))
    assert main(["check", "--file", str(path), "--allow-http"]) == 0
    assert main(["check", "--file", str(path), "--allow-http", "--connect-to", "no port"]) == 11
    assert "The address to connect to cannot be used." in capsys.readouterr().out
    for name, value in (
        ("URL", elsewhere[1]),
        ("KEY", "acme"),
        ("PRIVATE_KEY_FILE", str(key_file)),
        ("CONNECT_TO", inside),
    ):
        monkeypatch.setenv(f"SOCIAL_AUTH_BITBUCKET_SERVER_{name}", value)
    assert main(["check", "--allow-http"]) == 0


@pytest.mark.parametrize(("text", "status"), [(None, 0), ("", 11)], ids=["a key", "nothing"])
def test_the_private_key_may_come_from_standard_input(sandbox, private_key, monkeypatch, capsys, text, status):
    key = private_key.pem() if text is None else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(key.encode())))
    given = ["--url", sandbox.url, "--consumer-key", "acme", "--private-key-file", "-"]
    assert main(["check", *given]) == status
    assert ("There is no private key." in capsys.readouterr().out) == (status == 11)


def test_the_integration_may_stand_in_the_environment(sandbox, key_file, monkeypatch):
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_URL", sandbox.url)
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_KEY", "acme")
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE", str(key_file))
    assert main(["check"]) == 0


@pytest.mark.parametrize("command", [["check"], ["link", "--application-url", "https://app.example"]])
def test_where_nothing_says_which_integration_it_is_told_how_to(command, capsys):
    assert main(command) == 1
    words = capsys.readouterr().err
    assert "Give --url, --consumer-key and --private-key-file, or a --file" in words
    assert "or set SOCIAL_AUTH_BITBUCKET_SERVER_URL" in words


@pytest.mark.parametrize("name", ["private_key_file", "verify"])
def test_a_name_that_no_file_can_have_is_told_in_a_sentence(sandbox, key_file, tmp_path, capsys, name):
    url = sandbox.url.replace("http:", "https:")
    fields = {"url": url, "consumer_key": "acme", "private_key_file": str(key_file), name: "a\0b"}
    path = tmp_path / "acme.toml"
    path.write_text("".join(f"{field} = {json.dumps(value)}\n" for field, value in fields.items()))
    assert main(["check", "--file", str(path)]) == FIRST_STATUS
    assert f"✗ Base URL: A setting has a value that cannot be used. {name} in {path}: " in capsys.readouterr().out


@pytest.mark.parametrize(("text", "words"), [(None, "cannot be read"), ("= 1", "is not TOML"), ("# empty", "is empty")])
def test_a_file_that_cannot_be_used_is_named(sandbox, key_file, monkeypatch, tmp_path, capsys, text, words):
    for name, value in (("URL", sandbox.url), ("KEY", "acme"), ("PRIVATE_KEY_FILE", str(key_file))):
        monkeypatch.setenv(f"SOCIAL_AUTH_BITBUCKET_SERVER_{name}", value)
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
    assert "Everything passed." in capsys.readouterr().out


@pytest.fixture
def by_oauth2(bitbucket_sandbox, tmp_path):
    link = bitbucket_sandbox.link_external_application(redirect_url="https://app.example/")
    path = tmp_path / "acme.toml"
    path.write_text(
        f'url = "{bitbucket_sandbox.url}"\nclient_id = "{link.client_id}"\nclient_secret = "{link.client_secret}"\n'
    )
    return ["check", "--file", str(path), "--callback", "https://app.example/"]


@pytest.mark.parametrize(
    ("faults", "status", "words"),
    [
        ({}, 0, "✓ Credentials: Bitbucket knows the client ID"),
        ({"codes_expired": True}, 0, "Everything passed."),
        ({"client_secret_refused": True}, 18, "Bitbucket does not know the client ID, or the client secret is another"),
        ({"version": "7.6.0"}, 18, "This version of Bitbucket does not offer OAuth 2."),
    ],
    ids=["in order", "codes expired", "secret refused", "before 7.20"],
)
def test_an_integration_by_oauth_2_is_tested_up_to_its_credentials(
    by_oauth2, bitbucket_sandbox, capsys, faults, status, words
):
    bitbucket_sandbox.faults.update(faults)
    assert main(by_oauth2) == status
    assert words in capsys.readouterr().out


def test_watch_ends_as_soon_as_the_client_secret_is_right(by_oauth2, bitbucket_sandbox, monkeypatch, capsys):
    bitbucket_sandbox.faults.client_secret_refused = True
    pauses = []

    def mend(seconds):
        pauses.append(seconds)
        bitbucket_sandbox.faults.client_secret_refused = False

    monkeypatch.setattr(report.time, "sleep", mend)
    assert main([*by_oauth2, "--watch"]) == 0
    assert len(pauses) == 1
    assert "client secret is another one" in capsys.readouterr().out


def test_a_client_secret_is_taken_from_the_environment(bitbucket_sandbox, monkeypatch):
    link = bitbucket_sandbox.link_external_application(redirect_url="https://app.example/")
    given = ["check", "--url", bitbucket_sandbox.url, "--client-id", link.client_id]
    assert main(given) == 11
    monkeypatch.setenv("BITBUCKET_CLIENT_SECRET", link.client_secret)
    assert main([*given, "--callback", "https://app.example/"]) == 0


def test_oauth_2_may_stand_in_the_environment(bitbucket_sandbox, monkeypatch):
    link = bitbucket_sandbox.link_external_application(redirect_url="https://app.example/")
    for name, value in (("URL", bitbucket_sandbox.url), ("KEY", link.client_id), ("SECRET", link.client_secret)):
        monkeypatch.setenv(f"SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_{name}", value)
    assert main(["check", "--callback", "https://app.example/"]) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("timeout = 'long'", "timeout must be a number of seconds"),
        ("consumer_key = 5", "consumer_key must be a text"),
        ("verify = 1", "verify must be a path"),
        ("allow_groups = 'developers'", "allow_groups must be a list of texts"),
    ],
)
def test_a_value_of_another_kind_in_a_file_is_named(tmp_path, capsys, line, words):
    path = tmp_path / "acme.toml"
    path.write_text(f'url = "https://bitbucket.example.com"\n{line}\n')
    assert main(["check", "--file", str(path)]) == 1
    assert words in capsys.readouterr().err


def test_a_file_as_windows_writes_it_is_read(sandbox, key_file, tmp_path):
    path = tmp_path / "acme.toml"
    lines = (
        f'url = "{sandbox.url}"',
        'consumer_key = "acme"',
        f'private_key_file = "{key_file}"',
        "allow_groups = ['ä']",
    )
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert main(["check", "--file", str(path)]) == 0


@pytest.mark.parametrize("given", ["options", "file", "environment"])
def test_an_option_allows_http_however_the_integration_is_given(
    key_file, tmp_path, monkeypatch, capsys, transport, given
):
    transport.resolver = lambda name: []
    url, path = "http://bitbucket.example.com", tmp_path / "acme.toml"
    path.write_text(f'url = "{url}"\nconsumer_key = "acme"\nprivate_key_file = "{key_file}"\n')
    options = ["--url", url, "--consumer-key", "acme", "--private-key-file", str(key_file)]
    if given == "environment":
        for name, value in (("URL", url), ("KEY", "acme"), ("PRIVATE_KEY_FILE", str(key_file))):
            monkeypatch.setenv(f"SOCIAL_AUTH_BITBUCKET_SERVER_{name}", value)
    command = ["check", *{"options": options, "file": ["--file", str(path)], "environment": []}[given]]
    assert main(command) == 11
    assert "it must begin with https://" in capsys.readouterr().out
    main([*command, "--allow-http"])
    assert "✓ Base URL: http://bitbucket.example.com" in capsys.readouterr().out


def test_a_zero_does_not_allow_http(key_file, monkeypatch, capsys):
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_URL", "http://bitbucket.example.com")
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_ALLOW_HTTP", "0")
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_KEY", "acme")
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE", str(key_file))
    assert main(["check"]) == 11
    assert "it must begin with https://" in capsys.readouterr().out


def test_a_callback_that_is_no_text_is_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*options, "--callback", "https://app.example/\udcff"])
    assert ended.value.code == 2
    assert "argument --callback" in capsys.readouterr().err


def test_a_timeout_that_is_no_number_is_named(sandbox, key_file, monkeypatch, capsys):
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_URL", sandbox.url)
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_REQUESTS_TIMEOUT", "long")
    assert main(["check"]) == 11
    assert "REQUESTS_TIMEOUT: It is a number of seconds." in capsys.readouterr().out


def test_watch_prints_what_changes_alone(
    bitbucket_sandbox, key_file, private_key, other_private_key, monkeypatch, capsys
):
    pauses = []

    def paste(_seconds):
        pauses.append(_seconds)
        if len(pauses) == 3:
            bitbucket_sandbox.link(name="x", consumer_key="acme", public_key=other_private_key.public.pem)
        if len(pauses) == 5:
            (link,) = bitbucket_sandbox.links.all()
            bitbucket_sandbox.links.remove(link.id)
            bitbucket_sandbox.link(consumer_key="acme", public_key=private_key.public.pem)

    monkeypatch.setattr(report.time, "sleep", paste)
    options = ["check", "--url", bitbucket_sandbox.url, "--consumer-key", "acme", "--private-key-file", str(key_file)]
    assert main([*options, "--watch"]) == 0
    printed = capsys.readouterr()
    assert re.findall("[✓✗] Signature: .*", printed.out) == [
        "✗ Signature: Bitbucket does not know the consumer key.",
        next(line for line in printed.out.splitlines() if "The public key in the application link is not" in line),
        "✓ Signature: Bitbucket knows the consumer key and accepts the signature",
    ]
    assert printed.err.count("Waiting") == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_at_a_terminal_it_has_colours_and_says_what_it_waits_for(options, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", shown := Terminal())
    assert main(options) == 0
    assert "\033[32m✓ HTTP\033[0m: " in shown.getvalue()
    assert "\033[33m! TLS\033[0m: " in shown.getvalue()
    assert "\r\033[K… HTTP\r\033[K" in shown.getvalue()


def test_nobody_gets_colours_who_wants_none(options, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", shown := Terminal())
    main(options)
    assert "✓ HTTP: " in shown.getvalue()

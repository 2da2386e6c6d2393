"""The command line: what goes to which stream, into which file, and how it fails."""

import argparse
import io
import json
import os
import re
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from social_bitbucket_server import __main__ as command_line
from social_bitbucket_server.cli.given import add_integration_options, integration_of
from social_bitbucket_server.crypto import PrivateKey, PublicKey
from social_bitbucket_server.problems import PROBLEMS, BitbucketServerError

WORKSHEET = (
    "worksheet",
    "--url",
    "https://bitbucket.example.com",
    "--application-url",
    "https://app.example.com/o/acme/",
)
OAUTH2_WORKSHEET = (
    "worksheet",
    "--url",
    "https://bitbucket.example.com",
    "--redirect-url",
    "https://app.example.com/complete/bitbucket-server-oauth2/",
)


@pytest.fixture
def run(capsys):
    """Runs a command and returns its exit status, standard output and standard error."""

    def run(*argv):
        try:
            status = command_line.main([str(argument) for argument in argv])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def key_file(tmp_path, private_key):
    path = tmp_path / "acme.pem"
    path.write_text(private_key.pem())
    return path


@pytest.fixture
def public_key_file(tmp_path, private_key):
    path = tmp_path / "acme.pub"
    path.write_text(private_key.public.pem)
    return path


@pytest.fixture
def encrypted_key_file(tmp_path, private_key):
    key = serialization.load_pem_private_key(private_key.pem().encode(), None)
    path = tmp_path / "encrypted.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"correct horse"),
        )
    )
    return path


@pytest.fixture
def type_on_standard_input(monkeypatch):
    def type_on_standard_input(data, *, at_a_terminal=False):
        standard_input = io.TextIOWrapper(io.BytesIO(data))
        standard_input.isatty = lambda: at_a_terminal
        monkeypatch.setattr(sys, "stdin", standard_input)

    return type_on_standard_input


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# keygen


def test_keygen_writes_a_private_key_in_pkcs8(run, tmp_path):
    run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem")

    assert (tmp_path / "key.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_keygen_prints_the_public_half_of_what_it_writes_and_nothing_else(run, tmp_path):
    status, output, _ = run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem")

    assert status == 0
    assert output == PrivateKey.read((tmp_path / "key.pem").read_bytes()).public.pem


def test_keygen_says_where_the_key_is_and_which_one(run, tmp_path):
    _, output, words = run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem")

    assert str(tmp_path / "key.pem") in words
    assert f"2048 bits, fingerprint {PublicKey.read(output).fingerprint}" in words


@pytest.mark.as_shipped
def test_keygen_makes_3072_bits_by_default(run, tmp_path):
    _, output, _ = run("keygen", "--out", tmp_path / "key.pem")

    assert PublicKey.read(output).bits == 3072


def test_the_private_key_file_is_for_its_owner_only(run, tmp_path):
    before = os.umask(0)
    try:
        run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem")
    finally:
        os.umask(before)

    assert mode(tmp_path / "key.pem") == 0o600


def test_without_a_file_the_private_key_alone_is_on_standard_output(run):
    _, output, words = run("keygen", "--bits", 2048)

    key = PrivateKey.read(output)
    assert output == key.pem()
    assert key.public.pem in words


def test_a_hyphen_is_standard_output_as_no_file_is(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    status, output, words = run("keygen", "--bits", 2048, "--out", "-")

    assert status == 0
    assert PrivateKey.read(output).public.pem in words
    assert list(tmp_path.iterdir()) == []


def test_keygen_shows_the_public_key_as_base64(run, tmp_path):
    _, output, _ = run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem", "--format", "base64")

    assert output == PrivateKey.read((tmp_path / "key.pem").read_bytes()).public.base64 + "\n"


def test_keygen_shows_a_certificate_and_until_when_it_is_valid(run, tmp_path):
    _, output, words = run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem", "--certificate", "Acme")

    certificate = x509.load_pem_x509_certificate(output.encode())
    assert certificate.subject.rfc4514_string() == "CN=Acme"
    assert f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}" in words


def test_keygen_never_overwrites_a_key(run, key_file, private_key):
    status, output, words = run("keygen", "--bits", 2048, "--out", key_file)

    assert (status, output) == (1, "")
    assert f"{key_file} exists already" in words
    assert "--force" in words
    assert PrivateKey.read(key_file.read_bytes()) == private_key


def test_keygen_does_not_follow_a_link_that_leads_nowhere(run, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    status, _, _ = run("keygen", "--bits", 2048, "--out", tmp_path / "link")

    assert status == 1
    assert not (tmp_path / "elsewhere").exists()


def test_forced_keygen_puts_a_new_file_in_the_place_of_the_old_one(run, tmp_path, key_file, private_key):
    key_file.chmod(0o644)
    (tmp_path / "same").hardlink_to(key_file)

    status, output, _ = run("keygen", "--bits", 2048, "--out", key_file, "--force")

    assert status == 0
    assert PrivateKey.read(key_file.read_bytes()).public == PublicKey.read(output)
    assert mode(key_file) == 0o600
    assert PrivateKey.read((tmp_path / "same").read_bytes()) == private_key


def test_forced_keygen_needs_no_old_file(run, tmp_path):
    run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem", "--force")

    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


def test_a_file_that_cannot_be_made_is_named(run, tmp_path):
    status, output, words = run("keygen", "--bits", 2048, "--out", tmp_path / "missing" / "key.pem")

    assert (status, output) == (1, "")
    assert f"{tmp_path / 'missing' / 'key.pem'} cannot be written: No such file or directory." in words


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_what_names_no_file_is_not_replaced(run, name):
    status, output, words = run("keygen", "--bits", 2048, "--out", name, "--force")

    assert (status, output) == (1, "")
    assert "is no name of a file." in words


@pytest.mark.parametrize("through_a_link", [False, True])
def test_what_is_no_file_is_not_replaced_by_one(run, tmp_path, through_a_link):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")

    status, output, words = run(
        "keygen", "--bits", 2048, "--out", tmp_path / ("link" if through_a_link else "pipe"), "--force"
    )

    assert (status, output) == (1, "")
    assert "is a device or a pipe" in words
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_a_failed_replacement_leaves_nothing_behind(run, tmp_path):
    (tmp_path / "directory").mkdir()

    status, _, words = run("keygen", "--bits", 2048, "--out", tmp_path / "directory", "--force")

    assert status == 1
    assert "directory cannot be written: Is a directory." in words
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--bits", "1024"),
        ("--format", "jwk"),
        ("--certificate", ""),
        ("--certificate", "x" * 65),
        ("--certificate", "Acme", "--format", "base64"),
    ],
)
def test_keygen_with_wrong_options_is_wrong_usage(run, wrong):
    status, output, words = run("keygen", *wrong)

    assert (status, output) == (2, "")
    assert "usage: social-bitbucket-server keygen" in words


# public


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), lambda public: public.pem),
        (("--format", "pem"), lambda public: public.pem),
        (("--format", "base64"), lambda public: public.base64 + "\n"),
    ],
)
def test_public_shows_the_public_half_again(run, key_file, private_key, options, shown):
    status, output, words = run("public", key_file, *options)

    assert (status, output) == (0, shown(private_key.public))
    assert private_key.public.fingerprint in words


def test_public_shows_a_certificate_of_the_same_key(run, key_file, private_key):
    _, output, _ = run("public", key_file, "--certificate", "Acme")

    assert PublicKey.read(output) == private_key.public


def test_public_reads_standard_input(run, private_key, type_on_standard_input):
    type_on_standard_input(private_key.pem().encode())

    assert run("public", "-")[1] == private_key.public.pem


def test_public_asks_for_the_passphrase_at_a_terminal(
    run, encrypted_key_file, private_key, type_on_standard_input, monkeypatch
):
    type_on_standard_input(b"", at_a_terminal=True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse")

    assert run("public", encrypted_key_file)[1] == private_key.public.pem


def test_a_wrong_passphrase_is_said_to_be_wrong(run, encrypted_key_file, type_on_standard_input, monkeypatch):
    type_on_standard_input(b"", at_a_terminal=True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "battery staple")

    status, _, words = run("public", encrypted_key_file)

    assert status == 1
    assert "not the right one" in words


def test_no_passphrase_is_asked_for_where_nobody_can_type_it(run, encrypted_key_file, type_on_standard_input):
    type_on_standard_input(b"")

    status, _, words = run("public", encrypted_key_file)

    assert status == 1
    assert "The private key is encrypted." in words


def test_an_encrypted_key_on_standard_input_is_refused(run, encrypted_key_file, type_on_standard_input):
    type_on_standard_input(encrypted_key_file.read_bytes(), at_a_terminal=True)

    assert run("public", "-")[0] == 1


def test_a_problem_is_told_with_its_remedy(run, public_key_file):
    status, output, words = run("public", public_key_file)

    assert (status, output) == (1, "")
    assert words == (
        "social-bitbucket-server: This is the public key.\n"
        "Give the other half of the key pair; its first line contains PRIVATE KEY.\n"
    )


def test_a_file_that_cannot_be_read_is_named(run, tmp_path):
    status, _, words = run("public", tmp_path / "missing.pem")

    assert status == 1
    assert words == (
        f"social-bitbucket-server: {tmp_path / 'missing.pem'} cannot be read: No such file or directory.\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("public", ""),
        ("check", "--file", ""),
        ("check", "--private-key-file", ""),
        ("check", "--ca-file", ""),
        (*WORKSHEET, "--private-key-file", ""),
        (*WORKSHEET, "--public-key-file", ""),
    ],
)
def test_an_empty_name_is_not_the_folder(run, command):
    status, output, words = run(*command)

    assert (status, output) == (2, "")
    assert "it must be the name of a file" in words


def test_no_more_is_read_of_a_file_than_a_key_can_have(run):
    status, _, words = run("public", "/dev/zero")

    assert status == 1
    assert "longer than 64 KiB" in words


# worksheet


@pytest.mark.parametrize("key", [("--private-key-file", "acme.pem"), ("--public-key-file", "acme.pub")])
def test_the_worksheet_has_the_public_key(run, tmp_path, private_key, key_file, public_key_file, key):
    status, output, _ = run(*WORKSHEET, "--consumer-key", "acme", key[0], tmp_path / key[1])

    assert status == 0
    assert private_key.public.pem in output
    assert "PRIVATE" not in output


def test_the_worksheet_has_the_values_that_were_given(run, key_file):
    _, output, words = run(
        *WORKSHEET, "--private-key-file", key_file, "--consumer-key", "acme", "--application-name", " Acme Packages "
    )

    assert "Open: Application Links = https://bitbucket.example.com/plugins/servlet/applinks/listAp" in output
    assert "Type: Application URL = https://app.example.com/o/acme/\n" in output
    assert "Type: Application Name = Acme Packages\n" in output
    assert "Type: Consumer Key = acme\n" in output
    assert "It is for this application alone" in output
    assert words == ""


def test_without_a_consumer_key_a_new_one_is_made_and_said_to_be_new(run, key_file):
    _, output, words = run(*WORKSHEET, "--private-key-file", key_file)

    consumer_key = re.search("Type: Consumer Key = ([0-9a-f]{40})\n", output)[1]
    assert f"The consumer key {consumer_key} is new: configure it in this application too." in words


def test_without_a_name_the_application_is_called_by_its_host(run, key_file):
    _, output, _ = run(*WORKSHEET, "--private-key-file", key_file)

    assert "Type: Application Name = app.example.com\n" in output


@pytest.mark.parametrize(
    ("options", "button"),
    [
        ((), "Create link"),
        (("--dialog", "10.1"), "Create link"),
        (("--dialog", "7.20"), "Create link"),
        (("--dialog", "7.19"), "Create new link"),
    ],
)
def test_the_worksheet_is_for_the_chosen_dialog(run, key_file, options, button):
    _, output, _ = run(*WORKSHEET, "--private-key-file", key_file, *options)

    assert f"Press: {button}\n" in output


def test_the_worksheet_is_json_where_asked_for(run, key_file, private_key):
    _, output, _ = run(*WORKSHEET, "--private-key-file", key_file, "--consumer-key", "acme", "--json")

    fields = json.loads(output)
    assert fields["consumer_key"] == "acme"
    assert fields["fingerprint"] == private_key.public.fingerprint
    assert fields["steps"][0]["entries"][0]["action"] == "open"


def test_a_base_url_that_cannot_be_used_is_a_problem(run, key_file):
    status, output, words = run(
        "worksheet", "--url", "http://x.example", "--application-url", "https://a.b", "--private-key-file", key_file
    )

    assert (status, output) == (1, "")
    assert "it must begin with https://" in words


@pytest.mark.parametrize("command", [WORKSHEET, OAUTH2_WORKSHEET], ids=["OAuth 1", "OAuth 2"])
def test_a_base_url_without_encryption_is_for_those_who_say_so_or_this_machine_alone(run, key_file, command):
    key = ("--private-key-file", key_file) if command is WORKSHEET else ()
    rest = [*command[3:], *key]

    refused = run("worksheet", "--url", "http://bitbucket.example.com", *rest)
    allowed = run("worksheet", "--url", "http://bitbucket.example.com", "--allow-http", *rest)
    own = run("worksheet", "--url", "http://localhost:7990/bitbucket", *rest)

    assert [status for status, *_ in (refused, allowed, own)] == [1, 0, 0]
    assert "= http://bitbucket.example.com/plugins/" in allowed[1]
    assert "= http://localhost:7990/bitbucket/plugins/" in own[1]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--application-url", "app.example.com"),
        ("--application-url", "ftp://app.example.com"),
        ("--application-url", "https://app.example.com/o acme"),
        ("--application-url", "https://[app"),
        ("--application-url", "https://app.example.com/" + "x" * 255),
        ("--application-name", " "),
        ("--application-name", "a\x1b[2J"),
        ("--consumer-key", "a b"),
        ("--consumer-key", "a" * 65),
        ("--consumer-key", ""),
        ("--dialog", "8"),
        ("--public-key-file", "acme.pub"),
    ],
)
def test_a_worksheet_with_wrong_options_is_wrong_usage(run, key_file, wrong):
    status, output, words = run(*WORKSHEET, "--private-key-file", key_file, *wrong)

    assert (status, output) == (2, "")
    assert f"argument {wrong[0]}" in words


def test_the_worksheet_of_oauth_2_has_the_values_that_were_given_and_needs_no_key(run):
    status, output, words = run(*OAUTH2_WORKSHEET, "--application-name", "Acme Packages")

    assert (status, words) == (0, "")
    assert "Choose: Application type = External application\n" in output
    assert f"Type: Redirect URL = {OAUTH2_WORKSHEET[-1]}\n" in output
    assert "Type: Name = Acme Packages\n" in output
    assert "Type: Name = app.example.com\n" in run(*OAUTH2_WORKSHEET)[1]


def test_the_worksheet_of_oauth_2_is_json_where_asked_for(run):
    fields = json.loads(run(*OAUTH2_WORKSHEET, "--json")[1])

    assert fields["redirect_url"] == OAUTH2_WORKSHEET[-1]
    assert fields["steps"][-1]["entries"][0]["action"] == "copy"


def test_the_worksheet_of_oauth_2_is_for_the_chosen_dialog(run):
    fields = json.loads(run(*OAUTH2_WORKSHEET, "--dialog", "7.20", "--json")[1])

    assert fields["steps"][1]["entries"][1]["choices"] == ["Atlassian product", "External application"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--application-url", "https://app.example.com/"),
        ("--consumer-key", "acme"),
        ("--private-key-file", "acme.pem"),
        ("--public-key-file", "acme.pub"),
        ("--script",),
        ("--dialog", "7.19"),
    ],
)
def test_the_worksheet_of_oauth_2_refuses_what_belongs_to_oauth_1(run, wrong):
    status, output, words = run(*OAUTH2_WORKSHEET, *wrong)

    assert (status, output) == (2, "")
    assert f"argument {wrong[0]}" in words


def test_a_worksheet_needs_a_key(run):
    status, _, words = run(*WORKSHEET)

    assert status == 2
    assert "one of the arguments --private-key-file --public-key-file is required" in words


# sandbox


def test_the_sandbox_runs_as_it_is_told(run, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(
        "social_bitbucket_server.sandbox.command.run", lambda **options: calls.append(options) or len(calls)
    )

    (tmp_path / "key.pub").write_text("a public key")
    (tmp_path / "a=b").mkdir()
    (tmp_path / "a=b" / "key.pub").write_text("another")
    defaults = {
        "port": 7990,
        "context": "/bitbucket",
        "version": "10.2",
        "basic_authentication": None,
        "names": [],
        "links": [],
        "program": [],
    }

    statuses = [
        run("sandbox")[0],
        run("sandbox", "--port", 8080, "--context", "", "--version", "8.19.0")[0],
        run("sandbox", "--link", f"packages={tmp_path / 'key.pub'}", "--", "pytest", "-x")[0],
        run("sandbox", "--basic-authentication", "--link", f"YWNtZQ=={tmp_path / 'key.pub'}")[0],
        run("sandbox", "--link", f"YWNtZTE==={tmp_path / 'a=b' / 'key.pub'}")[0],
        run("sandbox", "--name", "bitbucket", "--name", "bitbucket.test")[0],
    ]

    assert calls == [
        defaults,
        {**defaults, "port": 8080, "context": "", "version": "8.19.0"},
        {**defaults, "links": [("packages", "a public key")], "program": ["pytest", "-x"]},
        {**defaults, "basic_authentication": True, "links": [("YWNtZQ=", "a public key")]},
        {**defaults, "links": [("YWNtZTE==", "another")]},
        {**defaults, "names": ["bitbucket", "bitbucket.test"]},
    ]
    assert statuses == [1, 2, 3, 4, 5, 6]


@pytest.mark.program
@pytest.mark.socket
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--port", "99999"), "99999 is not a port number."),
        (("--link", "acme=empty.pub"), "The public key of acme cannot be used. It is empty."),
        (("--link", "acme=bytes.pub"), "The public key of acme cannot be used. It is neither a certificate nor a"),
        (("--link", "acme=missing.pub"), "missing.pub cannot be read: No such file or directory."),
        (("--", "./no-program"), "./no-program cannot be run: No such file or directory."),
    ],
)
def test_what_keeps_the_sandbox_from_serving_is_told_as_by_every_command(run, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pub").touch()
    (tmp_path / "bytes.pub").write_bytes(b"\xff\xfe")

    status, output, words = run("sandbox", "--port", 0, *options)

    assert (status, output) == (1, "")
    assert words.startswith(f"social-bitbucket-server: {sentence}")


@pytest.mark.program
def test_without_its_packages_the_sandbox_says_how_to_install_them():
    program = (
        "import sys; sys.modules['flask'] = None\n"
        "from social_bitbucket_server.__main__ import main\n"
        "sys.exit(main(['sandbox']))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr == (
        "social-bitbucket-server: The sandbox needs flask, which is not installed.\n"
        "Install it with: pip install 'social-auth-bitbucket-server[sandbox]'\n"
    )


class _Lacking:
    """A module that fails when something is imported from it, because another module is missing."""

    __path__ = ()

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        raise ModuleNotFoundError(name=self._name)


def test_a_missing_package_of_the_extra_is_a_problem(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "social_bitbucket_server.sandbox.command", _Lacking("waitress"))

    status, _, words = run("sandbox")

    assert status == 1
    assert "needs waitress" in words


def test_a_missing_module_that_no_extra_brings_is_not_explained_away(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "social_bitbucket_server.sandbox.command", _Lacking("something"))

    with pytest.raises(ModuleNotFoundError):
        run("sandbox")


# explain


def test_explain_says_what_a_problem_means_and_what_to_do(run):
    status, output, _ = run("explain", "signature_invalid")
    assert status == 0
    for words in (PROBLEMS["signature_invalid"].title, PROBLEMS["signature_invalid"].remedy, "your Bitbucket admin"):
        assert words in output


def test_explain_without_a_code_lists_all_problems(run):
    output = run("explain")[1]
    assert [line.split()[0] for line in output.splitlines()] == list(PROBLEMS)


def test_a_misspelt_code_is_answered_with_the_ones_that_could_be_meant(run):
    status, _, words = run("explain", "signature-invalit")
    assert status == 1
    assert "signature_invalid" in words


def test_a_code_may_be_written_with_hyphens(run):
    assert run("explain", "Signature-Invalid")[0] == 0


def test_the_documentation_of_problems_is_the_one_made_of_the_table(run):
    page = Path(__file__).parents[3] / "docs" / "problems.md"
    assert page.read_text() == run("explain", "--markdown")[1]


# The whole


def test_the_version_is_the_package_s(run):
    assert run("--version")[:2] == (0, f"social-bitbucket-server {version('social-auth-bitbucket-server')}\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ["keygen", "public", "worksheet", "sandbox", "--application-url"]),
        (("keygen",), ["default: 3072", "--out acme.pem", "vault kv put"]),
        (("public",), ["default: pem", "public acme.pem"]),
        (("worksheet",), ["default: 10.1", "--private-key-file acme.pem", "'Acme Packages' \\ --redirect-url"]),
        (("sandbox",), ["default: 7990", "default: /bitbucket", "default: 10.2"]),
    ],
)
def test_help_shows_examples_and_defaults(run, command, words):
    status, output, _ = run(*command, "--help")

    assert status == 0
    assert [word for word in words if word not in " ".join(output.split())] == []


def test_no_command_is_wrong_usage(run):
    assert run()[0] == 2


@pytest.mark.program
def test_it_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "social_bitbucket_server", "--version"], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("social-bitbucket-server ")


def test_ctrl_c_ends_it_quietly(run, monkeypatch):
    def interrupted(bits):
        raise KeyboardInterrupt

    monkeypatch.setattr(PrivateKey, "generate", interrupted)

    assert run("keygen") == (130, "", "")


def test_an_interrupted_writing_leaves_no_half_key_behind(run, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fdopen", interrupted)

    status, _, _ = run("keygen", "--bits", 2048, "--out", tmp_path / "key.pem")

    assert status == 130
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_gone_ends_it_quietly(monkeypatch, capsys, key_file):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        status = command_line.main([*WORKSHEET, "--consumer-key", "acme", "--private-key-file", str(key_file)])

    assert (status, capsys.readouterr().err) == (1, "")


def process(*argv, **options):
    """Run the command *argv* in a process, and return it once it has ended."""
    command = [sys.executable, "-m", "social_bitbucket_server", *map(str, argv)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.program
def test_output_that_cannot_be_written_is_told_in_a_sentence():
    with open("/dev/full", "w") as full:
        ended = process("explain", stdout=full)

    assert ended.returncode == 1
    assert ended.stderr == "social-bitbucket-server: The output cannot be written: No space left on device.\n"


@pytest.mark.program
def test_characters_that_the_output_does_not_have_are_written_as_numbers():
    ended = process(
        "explain", "invalid_base_url", stdout=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Administration \\u2192 Server settings" in ended.stdout


@pytest.mark.program
@pytest.mark.parametrize(("stream", "status"), [("stdin", 1), ("stdout", 0), ("stderr", 0)])
def test_a_closed_stream_is_one_to_nowhere(stream, status, key_file, tmp_path):
    file = "-" if stream == "stdin" else key_file
    descriptor = ("stdin", "stdout", "stderr").index(stream)

    shell = f'exec "{sys.executable}" -m social_bitbucket_server public "{file}" {descriptor}>&-'
    ended = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)

    assert ended.returncode == status
    assert "Traceback" not in ended.stderr


def test_the_end_of_what_is_typed_is_no_answer(run, encrypted_key_file, type_on_standard_input, monkeypatch):
    def end(prompt):
        raise EOFError

    type_on_standard_input(b"", at_a_terminal=True)
    monkeypatch.setattr("getpass.getpass", end)

    status, output, words = run("public", encrypted_key_file)

    assert (status, output) == (1, "")
    assert words == "social-bitbucket-server: Nothing was typed, and nothing was changed.\n"


@pytest.fixture
def options_with_encrypted_key(encrypted_key_file):
    parser = argparse.ArgumentParser()
    add_integration_options(parser)
    given = ["--url", "https://bitbucket.example.com", "--consumer-key", "acme"]
    return parser.parse_args([*given, "--private-key-file", str(encrypted_key_file)])


def test_a_test_asks_for_the_passphrase_once(
    options_with_encrypted_key, private_key, type_on_standard_input, monkeypatch
):
    type_on_standard_input(b"", at_a_terminal=True)
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or "correct horse")
    make_integration = integration_of(options_with_encrypted_key)
    assert [make_integration().private_key for _ in range(2)] == [private_key, private_key]
    assert asked == ["Passphrase of the private key: "]


def test_the_passphrase_may_stand_in_the_environment(options_with_encrypted_key, private_key, monkeypatch):
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_PASSPHRASE", "correct horse")
    assert integration_of(options_with_encrypted_key)().private_key == private_key


def test_an_option_is_named_where_its_value_is_wrong(options_with_encrypted_key, monkeypatch):
    with pytest.raises(BitbucketServerError, match="--private-key-file: No passphrase was given"):
        integration_of(options_with_encrypted_key)()
    monkeypatch.setenv("SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_PASSPHRASE", "correct horse")
    options_with_encrypted_key.url = "bitbucket.example.com"
    with pytest.raises(BitbucketServerError, match="--url: "):
        integration_of(options_with_encrypted_key)()


@pytest.mark.parametrize(("name", "content"), [("missing.pem", None), ("empty.pem", ""), ("ca.pem", "${CA}")])
def test_a_file_of_ca_certificates_is_looked_at_before_anything_is_asked(run, tmp_path, key_file, name, content):
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    options = ["--url", "https://127.0.0.1:9", "--consumer-key", "acme", "--private-key-file", key_file]
    _, out, _ = run("check", *options, "--ca-file", file)
    assert f"✗ Base URL: A setting has a value that cannot be used. --ca-file: {file}: " in out


def test_a_worksheet_for_the_address_of_a_page_says_so(run, key_file):
    options = ["--application-url", "https://app.example", "--private-key-file", key_file]
    _, _, err = run("worksheet", "--url", "https://git.example/scm/acme/x.git", *options)
    assert "The base URL may be https://git.example\n" in err

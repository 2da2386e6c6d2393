"""The script for the Bitbucket admin, run by ``sh`` with ``curl`` against a Bitbucket Server."""

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from social_bitbucket_server.__main__ import main
from social_bitbucket_server.account import fetch_profile
from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.onboarding import ApplicationLinks, link_script, scripts
from social_bitbucket_server.sandbox.state.links import Consumer
from tests.scripted_server import Reply, ScriptedServer

pytestmark = pytest.mark.program

SOURCE = Path(scripts.__file__).with_name("link_script.sh")
APPLICATION_URL = "https://app.example/o/acme/"
LINKS = "/rest/applinks/3.0/applicationlink"
CONSUMER = "/rest/applinks-oauth/1.0/applicationlink/0a1b-2c/authentication/consumer"
JSON = (("Content-Type", "application/json"),)
ADMIN = {"BITBUCKET_USER": "admin", "BITBUCKET_PASSWORD": "admin"}
HOSTILE = [
    "O'Reilly & Sons",
    'say "hello"',
    "two\nlines",
    "$(touch here)",
    "`touch here`",
    "'; touch here; '",
    "\\",
    "%s%n\\n",
    "-e @/etc/passwd",
    "Łódź 漢字 \u202egnirts\x1b[2J",
    '", "rpcUrl": "https://evil.example/',
]


@pytest.fixture
def bitbucket_sandbox(bitbucket_sandbox):
    """Its administrator has switched basic authentication on."""
    bitbucket_sandbox.basic_authentication = True
    return bitbucket_sandbox


@pytest.fixture(autouse=True)
def tools(must_be_there):
    must_be_there(shutil.which("curl") is not None, "curl")


@pytest.fixture
def make_script(private_key):
    def make(base_url, **values):
        chosen = {
            "server_url": ServerURL.parse(base_url),
            "application_url": APPLICATION_URL,
            "application_name": "Acme Packages",
            "consumer_key": "acme",
            "public_key": private_key.public,
        }
        return link_script(**(chosen | values))

    return make


@pytest.fixture
def run(tmp_path):
    """Run a script without a terminal; returns its exit status, and all that it said."""

    def run(script, *options, **variables):
        path = tmp_path / "link.sh"
        path.write_text(script)
        done = subprocess.run(
            ["/bin/sh", str(path), *options],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **(variables or ADMIN)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            start_new_session=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def log_in(sandbox, private_key):
    integration = Integration(
        id="acme",
        server=Server(ServerURL.parse(sandbox.url)),
        consumer_key="acme",
        private_key=private_key,
        namespace="",
    )
    client = Client(integration)
    token = client.request_token("https://app.example/callback")
    callback = urlsplit(sandbox.authorize(client.authorize_url(token), user="jane"))
    (verifier,) = parse_qs(callback.query)["oauth_verifier"]
    return fetch_profile(client.as_person(client.access_token(token, verifier))).name


def test_the_link_is_made_and_a_login_works(run, make_script, bitbucket_sandbox, private_key):
    status, words = run(make_script(bitbucket_sandbox.url))
    assert status == 0, words
    assert "The application link is made." in words
    assert "Next: test the connection" in words
    assert log_in(bitbucket_sandbox, private_key) == "jane"


def test_the_link_has_the_values_of_the_worksheet(run, make_script, bitbucket_sandbox, private_key):
    run(make_script(bitbucket_sandbox.url, consumer_name="Packages"))
    (link,) = bitbucket_sandbox.links.all()
    assert (link.name, link.application_url) == ("Acme Packages", APPLICATION_URL)
    assert link.consumer == Consumer("acme", "Packages", private_key.public.pem)


def test_twice_makes_one_link(run, make_script, bitbucket_sandbox):
    script = make_script(bitbucket_sandbox.url)
    run(script)
    before = bitbucket_sandbox.links.all()
    status, words = run(script)
    assert (status, bitbucket_sandbox.links.all()) == (0, before)
    assert "The application link is updated." in words


def test_among_other_links_the_right_one_is_updated(run, make_script, bitbucket_sandbox, other_private_key):
    links = bitbucket_sandbox.links
    links.add('a "quoted" {link}', "https://app.example/o/acme")
    for name in (f'x","rpcUrl":"{APPLICATION_URL}', "}{", "\\"):
        links.add(name, f"https://other.example/{len(links.all())}")
    wanted, *others = links.all()
    assert run(make_script(bitbucket_sandbox.url, public_key=other_private_key.public))[0] == 0
    updated, *untouched = links.all()
    assert updated.id == wanted.id
    assert updated.consumer.public_key == other_private_key.public.pem
    assert untouched == others


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"BITBUCKET_USER": "admin", "BITBUCKET_PASSWORD": "wrong"}, "does not accept this user name and password"),
        ({"BITBUCKET_TOKEN": "x"}, "HTTP access tokens are refused"),
    ],
)
def test_a_wrong_password_is_said_to_be_wrong(run, make_script, bitbucket_sandbox, variables, says):
    status, words = run(make_script(bitbucket_sandbox.url), **variables)
    assert status == 1
    assert says in words
    assert "status 401" in words
    assert "follow the worksheet by hand" in words
    assert bitbucket_sandbox.links.all() == []


def test_others_than_admins_are_told_so(run, make_script, bitbucket_sandbox):
    status, words = run(make_script(bitbucket_sandbox.url), BITBUCKET_USER="jane", BITBUCKET_PASSWORD="jane")
    assert status == 1
    assert "does not let this user administer application links (status 403)" in words


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("CAPTCHA required. Log in in a browser.", "Log in to Bitbucket once in a browser"),
        ("Basic Authentication has been disabled on this instance.", "Basic authentication is off"),
        ("This resource requires WebSudo.", "Browsers alone can do that"),
    ],
)
def test_each_refusal_of_the_administrators_login_has_its_reason(run, make_script, server, body, says):
    server.scripts[LINKS] = Reply(f'{{"errors": [{{"message": "{body}"}}]}}', 403, JSON)
    status, words = run(make_script(server.url))
    assert status == 1
    assert says in words
    assert "follow the worksheet by hand" in words


def test_a_taken_consumer_key_is_said_to_be_taken(run, make_script, bitbucket_sandbox, other_private_key):
    bitbucket_sandbox.link(consumer_key="acme", public_key=other_private_key.public.pem)
    status, words = run(make_script(bitbucket_sandbox.url))
    assert status == 1
    assert "The Consumer Key is taken" in words
    assert "Another link may have the consumer key acme" in words


def test_a_taken_application_url_is_said_to_be_taken(run, make_script, bitbucket_sandbox):
    bitbucket_sandbox.links.add("Taken", "HTTPS://APP.EXAMPLE/o/acme/")
    status, words = run(make_script(bitbucket_sandbox.url))
    assert status == 1
    assert "There is a link with this Application URL already" in words
    assert "delete that one in Bitbucket" in words


def test_a_public_key_that_is_refused_is_named(run, make_script, bitbucket_sandbox):
    script = make_script(bitbucket_sandbox.url).replace("BEGIN PUBLIC KEY", "BEGIN SOMETHING")
    status, words = run(script)
    assert status == 1
    assert "Bitbucket cannot read the public key" in words


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_commands(run, make_script, bitbucket_sandbox, tmp_path, name):
    status, words = run(make_script(bitbucket_sandbox.url, application_name=name, consumer_name=name))
    assert status == 0, words
    (link,) = bitbucket_sandbox.links.all()
    assert (link.name, link.consumer.name, link.application_url) == (name, name, APPLICATION_URL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.sh"]


def test_shellcheck_has_nothing_to_say(must_be_there):
    program = shutil.which("shellcheck") or shutil.which("shellcheck", path=Path(sys.executable).parent)
    must_be_there(program is not None, "shellcheck")
    checked = subprocess.run([program, "--shell=sh", SOURCE], text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_wheel_has_the_script(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=SOURCE.parents[2], capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert wheel.read(SOURCE.relative_to(SOURCE.parents[2]).as_posix()) == SOURCE.read_bytes()


def test_each_value_of_the_script_is_filled_in_once(make_script):
    empty = re.findall(r"^(\w+)=''$", SOURCE.read_text(), re.MULTILINE)
    filled = make_script("https://bb.example")
    assert len(empty) > 5
    assert [len(re.findall(rf"^{name}=", filled, re.MULTILINE)) for name in empty] == [1] * len(empty)
    assert not re.search(r"^\w+=''$|[Vv]alues", filled, re.MULTILINE)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_script_is_ascii_that_every_shell_reads(make_script, name):
    script = make_script("https://bb.example", application_name=name, consumer_key="'$(touch here)`\n")
    assert script.replace("\n", "").isascii()
    assert script.replace("\n", "").isprintable()
    for shell in filter(shutil.which, ("sh", "dash", "bash")):
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("", 302, [("Location", "https://sso.example/")]), "A redirect came back"),
        (Reply("<html>Log in</html>"), "is not Bitbucket's REST"),
        (Reply("<html>", 404), "Have the base URL corrected"),
        (Reply('{"message": "busy \\"now\\"\x1b"}', 503, JSON), "Bitbucket says: busy 'now'"),
        (Reply("", 429), "Bitbucket says: status 429"),
    ],
)
def test_whatever_answers_is_explained(run, make_script, server, reply, words):
    server.scripts[LINKS] = reply
    status, said = run(make_script(server.url))
    assert status == 1
    assert words in said
    assert "\x1b" not in said
    assert server.paths() == [LINKS]


def test_a_link_is_looked_up_where_the_answer_does_not_say_which_one_was_made(run, make_script, server):
    entry = {"id": "0a1b-2c", "name": "App", "rpcUrl": APPLICATION_URL, "displayUrl": APPLICATION_URL}

    def answer(request):
        if request.method == "PUT":
            return Reply("{}", 201, JSON)
        is_made = "PUT" in {earlier.method for earlier in server.received}
        return Reply(json.dumps({"list": [{"application": entry}] * is_made}), headers=JSON)

    server.scripts |= {LINKS: answer, CONSUMER: Reply("{}", 201, JSON)}
    status, said = run(make_script(server.url))
    assert status == 0, said
    assert server.paths() == [LINKS, LINKS, LINKS, CONSUMER]
    assert {request.headers["X-Atlassian-Token"] for request in server.received} == {"no-check"}


def test_it_asks_what_the_command_line_asks(run, make_script, server, integration):
    created = Reply(json.dumps({"resources-created": {"href": "https://bb.example/x/0a1b-2c"}}), 201, JSON)
    server.scripts |= {
        f"/bitbucket{LINKS}": lambda request: Reply("[]", headers=JSON) if request.method == "GET" else created,
        f"/bitbucket{CONSUMER}": Reply("{}", 201, JSON),
    }

    def asked():
        names = ("Authorization", "Accept", "Content-Type", "X-Atlassian-Token")
        requests = [
            (request.method, request.path, request.body, *map(request.headers.get, names))
            for request in server.received
            if request.method != "GET"
        ]
        server.received.clear()
        return requests

    links = ApplicationLinks(integration, Secret(basic("admin", "admin")))
    links.set_consumer(links.create(APPLICATION_URL, "Acme Packages"), "Packages")
    by_the_command_line = asked()
    script = make_script(
        str(integration.server.url),
        consumer_name="Packages",
        consumer_key=integration.consumer_key,
        public_key=integration.private_key.public,
    )
    status, said = run(script)
    assert status == 0, said
    assert asked() == by_the_command_line
    assert len(by_the_command_line) == 2


@pytest.mark.parametrize("created", ["{}", '{"href": "https:\\/\\/bb.example\\/..%2f"}'])
def test_an_answer_without_the_new_links_id_is_explained(run, make_script, server, created):
    server.scripts[LINKS] = lambda request: Reply('{"list": []}' if request.method == "GET" else created, 200, JSON)
    status, said = run(make_script(server.url))
    assert status == 1
    assert "does not say which link it is" in said


def test_where_nothing_answers_the_base_url_is_named(run, make_script):
    status, words = run(make_script("http://127.0.0.1:1"))
    assert status == 1
    assert "could not be reached at http://127.0.0.1:1" in words


def test_an_unencrypted_base_url_is_warned_of(run, make_script):
    assert "anyone who listens on the way can read the password" in run(make_script("http://127.0.0.1:1"))[1]


class EncryptedServer(ScriptedServer):
    """A scripted server with a certificate of a company's own CA."""

    def __init__(self, ca):
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self._context)

    def _secure(self):
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.handle_error = lambda *_: None  # a client that refuses the certificate

    @property
    def url(self):
        return super().url.replace("http:", "https:")


def test_a_certificate_that_is_not_trusted_leads_to_the_ca(run, make_script, tmp_path):
    ca = trustme.CA(organization_name="The Company")
    bundle = str(tmp_path / "company-ca.pem")
    ca.cert_pem.write_to_path(bundle)
    with EncryptedServer(ca) as server:
        server.scripts[LINKS] = Reply("", 403)
        script = make_script(server.url)
        status, words = run(script)
        assert status == 1
        assert "sh link.sh --cacert company-ca.pem" in words
        assert server.received == []
        assert "(status 403)" in run(script, "--cacert", bundle)[1]
        assert "(status 403)" in run(script, CURL_CA_BUNDLE=bundle, **ADMIN)[1]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_password_stands_in_no_command_line(run, make_script, server, tmp_path):
    curl = shutil.which("curl")
    (tmp_path / "curl").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"$HOME/arguments"\nexec {curl} "$@"\n')
    (tmp_path / "curl").chmod(0o700)
    path, password = f"{tmp_path}:{os.environ['PATH']}", 's3"c\\r:e t'
    _, words = run(make_script(server.url), PATH=path, BITBUCKET_USER="admin", BITBUCKET_PASSWORD=password)
    assert server.received[0].headers["Authorization"] == basic("admin", password)
    arguments = (tmp_path / "arguments").read_text()
    assert "--request\nGET\n" in arguments
    assert "s3" not in arguments + words


def test_a_token_is_sent_as_bearer(run, make_script, server):
    run(make_script(server.url), BITBUCKET_TOKEN='the"token')
    assert server.received[0].headers["Authorization"] == 'Bearer the"token'


def test_without_a_terminal_it_says_what_to_set(run, make_script, bitbucket_sandbox):
    status, words = run(make_script(bitbucket_sandbox.url), BITBUCKET_USER="admin")
    assert status == 1
    assert "set BITBUCKET_USER and BITBUCKET_PASSWORD, or BITBUCKET_TOKEN" in words


class Terminal:
    """Somebody at a terminal of their own, who types when they are asked."""

    def __init__(self, script, folder):
        path = folder / "link.sh"
        path.write_text(script)
        spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", spawn, "/bin/sh", str(path)],
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.shown = b""

    def answer(self, question, text):
        while not self.shown.endswith(question):
            read = self._process.stdout.read1()
            assert read, self.shown
            self.shown += read
        self._process.stdin.write(text + b"\n")
        self._process.stdin.flush()

    def end(self):
        rest, _ = self._process.communicate(timeout=300)
        self.shown += rest
        return self._process.returncode


def test_at_a_terminal_the_password_is_asked_for_once(make_script, bitbucket_sandbox, tmp_path):
    terminal = Terminal(make_script(bitbucket_sandbox.url), tmp_path)
    terminal.answer(b"OAuth 2 token): ", b"admin")
    terminal.answer(b"Password of admin: ", b"admin")
    assert terminal.end() == 0, terminal.shown
    assert b"The application link is made." in terminal.shown


def test_at_a_terminal_the_password_is_not_shown(make_script, server, tmp_path):
    terminal = Terminal(make_script(server.url), tmp_path)
    terminal.answer(b"OAuth 2 token): ", b"admin")
    terminal.answer(b"Password of admin: ", b"very-secret")
    terminal.end()
    assert server.received[0].headers["Authorization"] == basic("admin", "very-secret")
    assert b"very-secret" not in terminal.shown


def test_at_a_terminal_a_token_is_asked_for_instead(make_script, server, tmp_path):
    terminal = Terminal(make_script(server.url), tmp_path)
    terminal.answer(b"OAuth 2 token): ", b"")
    terminal.answer(b"OAuth 2 token with the admin permission: ", b"the-token")
    assert terminal.end() == 1
    assert b"the-token" not in terminal.shown
    assert server.received[0].headers["Authorization"] == "Bearer the-token"


def test_the_command_line_prints_it(run, bitbucket_sandbox, private_key, tmp_path, capsys):
    (tmp_path / "acme.pub").write_text(private_key.public.pem)
    options = ["--public-key-file", str(tmp_path / "acme.pub"), "--consumer-key", "acme"]
    server = ["--url", bitbucket_sandbox.url, "--application-url", APPLICATION_URL]
    assert main(["worksheet", *server, *options, "--script"]) == 0
    assert run(capsys.readouterr().out)[0] == 0
    assert log_in(bitbucket_sandbox, private_key) == "jane"


def test_the_command_line_prints_one_thing_at_a_time(private_key, tmp_path, capsys):
    (tmp_path / "acme.pub").write_text(private_key.public.pem)
    options = ["--public-key-file", str(tmp_path / "acme.pub"), "--url", "https://bb.example"]
    with pytest.raises(SystemExit) as ended:
        main(["worksheet", *options, "--application-url", APPLICATION_URL, "--script", "--json"])
    assert ended.value.code == 2
    assert "argument --script: not allowed with argument --json" in capsys.readouterr().err

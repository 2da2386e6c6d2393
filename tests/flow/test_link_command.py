"""The application link without touching a page: ``link``, ``check``, a login, ``unlink``."""

import argparse
import io
import re
import shlex
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from social_bitbucket_server.__main__ import main
from social_bitbucket_server.account import fetch_profile
from social_bitbucket_server.cli import PROGRAM
from social_bitbucket_server.cli.given import integration_of
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.onboarding import ApplicationLinks, basic, bearer
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import default_transport
from tests.scripted_server import Reply

REPOSITORY = Path(__file__).parents[2]
APPLICATION_URL = "https://app.example/o/acme/"
JSON = (("Content-Type", "application/json"),)


@pytest.fixture
def bitbucket_sandbox(bitbucket_sandbox):
    """Its administrator has switched basic authentication on."""
    bitbucket_sandbox.basic_authentication = True
    return bitbucket_sandbox


@pytest.fixture
def integration(bitbucket_sandbox, private_key):
    return Integration(
        id="acme",
        server=Server(ServerURL.parse(bitbucket_sandbox.url)),
        consumer_key="acme",
        private_key=private_key,
        namespace="",
    )


@pytest.fixture
def options(bitbucket_sandbox, private_key, tmp_path):
    path = tmp_path / "acme.pem"
    path.write_text(private_key.pem())
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    server = ["--url", bitbucket_sandbox.url, "--consumer-key", "acme", "--private-key-file", str(path)]
    return [*server, "--application-url", APPLICATION_URL]


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("BITBUCKET_PASSWORD", "admin")
    monkeypatch.delenv("BITBUCKET_TOKEN", raising=False)


def link(options, *more):
    return main(["link", *options, "--user", "admin", "--yes", *more])


def test_link_check_and_a_login_touch_no_page(options, bitbucket_sandbox, integration, capsys):
    assert link(options, "--application-name", "Acme Packages") == 0
    assert "Acme Packages is made" in capsys.readouterr().out
    assert main(["check", *options[: options.index("--application-url")]]) == 0
    client = Client(integration)
    token = client.request_token("https://app.example/callback")
    callback = urlsplit(bitbucket_sandbox.authorize(client.authorize_url(token), user="jane"))
    verifier = dict(pair.split("=") for pair in callback.query.split("&"))["oauth_verifier"]
    assert fetch_profile(client.as_person(client.access_token(token, verifier))).name == "jane"


def test_what_the_page_says_to_try_needs_nothing_typed(bitbucket_sandbox, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (REPOSITORY / "docs" / "command-line.md").read_text().partition("In a second terminal")[2]
    block = re.search(r"```console\n(.*?)```", page, re.DOTALL)[1].replace("\\\n", "")
    for line in block.replace("http://127.0.0.1:7990/bitbucket", bitbucket_sandbox.url).splitlines():
        prompt, *words = shlex.split(line)
        program = words.index(PROGRAM)
        for name, _, value in (word.partition("=") for word in words[:program]):
            monkeypatch.setenv(name, value)
        assert (prompt, main(words[program + 1 :])) == ("$", 0)
    assert "Everything passed." in capsys.readouterr().out


def test_before_a_password_goes_unencrypted_to_another_machine_that_is_said(options, transport, capsys):
    transport.resolver = lambda name: []
    words = "anyone who listens on the way can read the administrator's password."
    elsewhere = [*options, "--url", "http://bitbucket.example.com"]
    assert link(elsewhere, "--allow-http") == 1
    assert words in capsys.readouterr().err
    assert link(options) == 0
    assert words not in capsys.readouterr().err


def test_the_same_command_twice_changes_nothing(options, bitbucket_sandbox, capsys):
    assert link(options) == 0
    before = bitbucket_sandbox.links.all()
    assert link(options) == 0
    assert bitbucket_sandbox.links.all() == before
    assert "up to date" in capsys.readouterr().out


def test_a_new_key_pair_is_put_into_the_link_that_is_there(options, bitbucket_sandbox, other_private_key, tmp_path):
    link(options)
    (tmp_path / "acme.pem").write_text(other_private_key.pem())
    assert link(options) == 0
    (found,) = bitbucket_sandbox.links.all()
    assert found.consumer.public_key == other_private_key.public.pem


def test_where_the_check_up_after_it_fails_the_exit_status_is_its_stage(options, bitbucket_sandbox, capsys):
    bitbucket_sandbox.faults.clock_skew = 900
    assert link(options) == 17
    assert "✗ Clock: The clocks differ too much." in capsys.readouterr().out


def test_unlink_takes_it_away(options, bitbucket_sandbox, capsys):
    link(options)
    assert main(["unlink", *options, "--user", "admin", "--yes"]) == 0
    assert bitbucket_sandbox.links.all() == []
    assert main(["unlink", *options, "--user", "admin", "--yes"]) == 0
    assert "There is no application link" in capsys.readouterr().out


def test_the_password_is_not_kept_nor_shown(options, bitbucket_sandbox, monkeypatch, capsys):
    monkeypatch.setenv("BITBUCKET_PASSWORD", "very-secret")
    assert link(options) == 1
    shown = capsys.readouterr()
    assert "very-secret" not in shown.out + shown.err
    assert "very-secret" not in repr(basic("admin", "very-secret")) + repr(bearer("very-secret"))


@pytest.mark.parametrize(
    ("user", "says"), [("jane", "does not let this user administer"), ("nobody", "does not accept this user name")]
)
def test_others_than_admins_are_told_so(options, monkeypatch, capsys, user, says):
    monkeypatch.setenv("BITBUCKET_PASSWORD", user)
    assert main(["link", *options, "--user", user, "--yes"]) == 1
    words = capsys.readouterr().err
    assert says in words
    assert "follow the worksheet by hand" in words


@pytest.mark.parametrize(
    ("reply", "token", "says"),
    [
        (Reply("", 403, [("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE; login-url=x")]), "", "a CAPTCHA"),
        (Reply('{"errors": [{"message": "CAPTCHA required."}]}', 403, JSON), "", "a CAPTCHA"),
        (
            Reply('{"message": "Basic Authentication has been disabled on this instance."}', 403, JSON),
            "",
            "Bitbucket 10",
        ),
        (Reply("", 401, [("X-Atlassian-WebSudo", "Has-Authentication")]), "", "websudo"),
        (Reply("", 401), "", "One of them is not right"),
        (Reply("", 403), "", "is not a Bitbucket admin"),
        (Reply("", 401), "the-token", "HTTP access tokens reach projects and repositories only"),
        (Reply("", 403), "the-token", "HTTP access tokens reach projects and repositories only"),
    ],
)
def test_each_refusal_of_the_administrators_login_has_its_reason(server, options, reply, token, says):
    server.scripts["/rest/applinks/3.0/applicationlink"] = reply
    authorization = bearer(token) if token else basic("admin", "admin")
    arguments = argparse.Namespace(
        file=None,
        url=server.url,
        consumer_key="acme",
        private_key_file=options[options.index("--private-key-file") + 1],
        ca_file=None,
        allow_http=False,
        connect_to=None,
        client_certificate=None,
        client_key=None,
    )
    with pytest.raises(BitbucketServerError) as caught:
        ApplicationLinks(integration_of(arguments)(), authorization).find(APPLICATION_URL)
    assert says in caught.value.problem.meaning + caught.value.problem.title
    assert "worksheet" in caught.value.problem.remedy


def test_help_says_which_token_and_which_way_always_works(capsys):
    with pytest.raises(SystemExit):
        main(["link", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "an OAuth 2 token with the admin permission" in words
    assert "refuses HTTP access tokens" in words
    assert "'social-bitbucket-server worksheet' always works." in words


def test_a_taken_consumer_key_is_said_to_be_taken(options, bitbucket_sandbox, other_private_key, capsys):
    bitbucket_sandbox.link(consumer_key="acme", public_key=other_private_key.public.pem)
    assert link(options) == 1
    words = capsys.readouterr().err
    assert "did not take the application link" in words
    assert "taken" in words


def test_somebody_without_a_name_or_token_is_asked_for_one(options, capsys):
    assert main(["link", *options, "--yes"]) == 1
    assert "--user" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_asks_before_it_does_anything(options, bitbucket_sandbox, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(["link", *options, "--user", "admin"]) == 1
    assert bitbucket_sandbox.links.all() == []
    assert "make an application link" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert main(["link", *options, "--user", "admin"]) == 0


def test_the_password_is_asked_for_at_a_terminal(options, monkeypatch):
    monkeypatch.delenv("BITBUCKET_PASSWORD")
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    monkeypatch.setattr("getpass.getpass", lambda prompt: "admin")
    assert link(options) == 0


@pytest.mark.parametrize("missing", ["password", "answer"])
def test_where_nobody_can_type_it_says_what_to_set(options, monkeypatch, capsys, missing):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    if missing == "password":
        monkeypatch.delenv("BITBUCKET_PASSWORD")
    assert main(["link", *options, "--user", "admin"]) == 1
    assert ("BITBUCKET_PASSWORD" if missing == "password" else "--yes") in capsys.readouterr().err


def test_a_token_is_sent_as_bearer(server, options, monkeypatch):
    monkeypatch.setenv("BITBUCKET_TOKEN", "the-token")
    server.scripts["/rest/applinks/3.0/applicationlink"] = Reply('{"list": []}', headers=JSON)
    assert main(["unlink", *options, "--url", server.url, "--yes"]) == 0
    assert server.received[0].headers["Authorization"] == "Bearer the-token"


def test_white_space_around_a_token_is_no_part_of_it(server, options, monkeypatch):
    monkeypatch.setenv("BITBUCKET_TOKEN", "the-token\r")
    server.scripts["/rest/applinks/3.0/applicationlink"] = Reply('{"list": []}', headers=JSON)
    assert main(["unlink", *options, "--url", server.url, "--yes"]) == 0
    assert server.received[0].headers["Authorization"] == "Bearer the-token"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("BITBUCKET_TOKEN", "tökén", "BITBUCKET_TOKEN has characters that no token has."),
        ("BITBUCKET_PASSWORD", "\udcff", "The user name or the password has bytes that are no characters here."),
    ],
)
def test_what_cannot_be_sent_is_told_before_anything_is(options, monkeypatch, capsys, variable, value, words):
    monkeypatch.setenv(variable, value)
    assert link(options) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("", 302, [("Location", "/login")]), "redirect"),
        (Reply("", 500), "error of its own"),
        (Reply("<html>", 404), "status 404"),
        (Reply("[" * 50_000, 200, JSON), "could not be read"),
    ],
)
def test_whatever_the_server_answers_is_a_problem_with_words(server, options, capsys, reply, words):
    server.scripts["/rest/applinks/3.0/applicationlink"] = reply
    assert main(["unlink", *options, "--url", server.url, "--user", "admin", "--yes"]) == 1
    assert words in capsys.readouterr().err


def test_an_answer_without_the_new_links_address_is_a_problem(server, options, capsys):
    def answer(request):
        return Reply('{"list": []}' if request.method == "GET" else "{}", 200, JSON)

    server.scripts["/rest/applinks/3.0/applicationlink"] = answer
    assert main(["link", *options, "--url", server.url, "--user", "admin", "--yes"]) == 1
    assert "which link was made or found" in capsys.readouterr().err


def rest(integration, method, path, body=None, accept="application/xml"):
    headers = {"Accept": accept, "Authorization": basic("admin", "admin"), "Content-Type": "application/json"}
    url = integration.server.url.join(path)
    return default_transport().send(method, url, headers, route=integration.server.route_for("check"), body=body)


def test_the_sandbox_answers_in_xml_unless_json_is_asked_for(integration, bitbucket_sandbox, private_key):
    path = "/rest/applinks/3.0/applicationlink"
    body = f'{{"name": "A & B", "rpcUrl": "{APPLICATION_URL}", "displayUrl": "{APPLICATION_URL}", "typeId": "generic"}}'
    created = rest(integration, "PUT", path, body)
    assert created.status == 201
    address = ET.fromstring(created.body).find("resources-created/link").get("href")
    (listed,) = ET.fromstring(rest(integration, "GET", "/rest/applinks/latest/applicationlink").body)
    assert listed.findtext("name") == "A & B"
    assert address.endswith(listed.findtext("id"))
    assert rest(integration, "PUT", path, body).status == 409
    consumer = f"/rest/applinks-oauth/1.0/applicationlink/{listed.findtext('id')}/authentication/consumer"
    certificate = private_key.certificate("x").replace("\n", "\\n")
    for key in ("nonsense", certificate):
        assert rest(integration, "PUT", consumer, f'{{"key": "k", "name": "n", "publicKey": "{key}"}}').status == 400
    assert rest(integration, "DELETE", f"{path}/{listed.findtext('id')}").status == 204
    assert rest(integration, "DELETE", f"{path}/{listed.findtext('id')}").status == 404
    assert rest(integration, "PUT", consumer, "{}").status == 404

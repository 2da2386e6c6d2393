"""The helper that logs people in to an application under test; tests/examples tries it with real ones."""

import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from flask import Flask, redirect, request

from social_bitbucket_server.cli import CommandError, sandbox
from social_bitbucket_server.sandbox import LoginFailedError, Sandbox

from .calling import CALLBACK, Caller

FORM = """<form action="/search"><input name="q" value="x"></form>
<form method="post" action="/login/bitbucket-server/"><input name="token" value="&lt;1&gt;"><button></form>
<form action="/login/bitbucket-server-oauth2/"><input name="other" value="1"></form>"""


@pytest.fixture
def application(sandbox):
    """One that begins a login, and says what came back."""
    settings = sandbox.settings()
    caller = Caller(
        sandbox.url, settings["SOCIAL_AUTH_BITBUCKET_SERVER_KEY"], settings["SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY"]
    )
    app = Flask(__name__)
    app.add_url_rule("/", "home", lambda: FORM)
    app.add_url_rule("/bare", "bare", lambda: "nothing here")
    app.add_url_rule("/private", "private", lambda: redirect("/?next=/private"))
    app.add_url_rule("/absolute", "absolute", lambda: redirect("http://localhost/private"))
    app.add_url_rule("/around", "around", lambda: redirect("/around"))
    app.add_url_rule("/elsewhere", "elsewhere", lambda: redirect("https://sso.example/"))

    @app.post("/login/bitbucket-server/")
    def begin():
        if app.config.get("REFUSES"):
            return "not now", 503
        assert dict(request.form) == {"token": "<1>"}
        return redirect(caller.authorize_url(caller.request_token()), 303)

    @app.get(urlsplit(CALLBACK).path)
    def come_back():
        return dict(request.args)

    return app


def test_a_person_presses_the_button_and_comes_back(sandbox, application):
    answer = sandbox.login(application.test_client(), "jane")
    assert set(answer.json) >= {"oauth_token", "oauth_verifier"}


def test_a_person_declines(sandbox, application):
    assert sandbox.login(application.test_client(), allow=False).json["oauth_verifier"] == "denied"


def test_where_no_login_begins_the_answer_says_why(sandbox, application):
    application.config["REFUSES"] = True
    answer = sandbox.login(application.test_client())
    assert (answer.status_code, answer.text) == (503, "not now")


@pytest.mark.parametrize("page", ["/private", "/absolute"])
def test_a_page_may_redirect_to_the_one_with_the_button(sandbox, application, page):
    assert sandbox.login(application.test_client(), page=page).json["oauth_verifier"]


@pytest.mark.parametrize(("page", "status"), [("/bare", 200), ("/missing", 404), ("/around", 302), ("/elsewhere", 302)])
def test_a_page_without_the_form_is_named(sandbox, application, page, status):
    with pytest.raises(LoginFailedError, match=f"{page} answered {status}"):
        sandbox.login(application.test_client(), page=page)


def test_every_sandbox_of_a_process_has_the_same_key_pair(sandbox):
    with Sandbox() as other:
        mine, others = sandbox.settings("one"), other.settings("two")
    name = "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY"
    assert mine[name] == others[name]


@pytest.mark.program
def test_the_command_serves_a_program_and_ends_with_its_status(public_key, tmp_path):
    (tmp_path / "key.pub").write_text(public_key)
    code = "import os, sys, urllib.request as r; r.urlopen(os.environ['BITBUCKET_URL'] + '/login'); sys.exit(7)"
    command = [sys.executable, "-m", "social_bitbucket_server", "sandbox", "--port", "0"]
    command += ["--link", f"packages={tmp_path / 'key.pub'}", "--", sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (finished.returncode, finished.stdout) == (7, "")
    assert finished.stderr.startswith("A stand-in for Bitbucket is at  http://127.0.0.1:")


_ENDED = pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 5)])
_UNTIL_INTERRUPTED = """import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
sys.exit(5)"""


@pytest.mark.program
@_ENDED
def test_a_program_ends_with_the_command(number, status):
    command = [sys.executable, "-m", "social_bitbucket_server", "sandbox", "--port", "0", "--"]
    command += [sys.executable, "-c", _UNTIL_INTERRUPTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stdout.readline() == "ready\n"
        if number == signal.SIGINT:  # a terminal sends it to both
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)
        assert running.stdout.read() == ""
        assert running.wait(120) == status


@pytest.mark.program
@_ENDED
def test_a_program_that_has_just_begun_ends_with_the_command(number, status):
    """The signal comes when the program runs already, and the command does not know it yet."""
    code = f"""import os, signal, subprocess, sys
from social_bitbucket_server.sandbox.command import run

begin = subprocess.Popen

def begin_slowly(*arguments, **options):
    process = begin(*arguments, **options, stdout=subprocess.PIPE)
    process.stdout.readline()
    if {int(number)} == signal.SIGINT:
        os.killpg(0, signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    return process

subprocess.Popen = begin_slowly
sys.exit(run(port=0, context="", version="7.6.0", program=[sys.executable, "-c", {_UNTIL_INTERRUPTED!r}]))
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=300, start_new_session=True)
    assert ended.returncode == status


@pytest.mark.parametrize("text", ["packages", "packages=", "=key.pub", "packages=/no/such/file"])
def test_a_link_of_another_form_is_refused(text):
    with pytest.raises(CommandError):
        sandbox._link(text)

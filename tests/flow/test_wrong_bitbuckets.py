"""``check`` and the organizations' page find each thing that can be wrong by its right name, and what they advise
removes it."""

from __future__ import annotations

import re
import stat
from contextlib import ExitStack
from dataclasses import fields

import pytest
import trustme
from cryptography import x509

from social_bitbucket_server.__main__ import main
from social_bitbucket_server.cli.report import FIRST_STATUS
from social_bitbucket_server.onboarding import Stage, checkup
from social_bitbucket_server.sandbox.state.faults import Faults
from tests import wrong_bitbuckets
from tests.client_certificates import VERSIONS, issue
from tests.visitor import Page
from tests.wrong_bitbuckets import (
    EVERYTHING,
    FAULTS_OF_THE_SANDBOX,
    Bench,
    Place,
    SelfSigned,
    wants_client_certificate,
)

pytestmark = pytest.mark.socket

STAGES = [stage for stage in Stage if stage is not Stage.CREDENTIALS]
SHOWN_BY_A_LOGIN_ALONE = {"groups_closed", "user_headers_removed", "whoami_closed"}
OF_OAUTH_2 = {"client_secret_refused", "codes_expired", "version"}
HOW_AND_WHERE = {"only_path", "retry_after"}


@pytest.fixture
def bench(monkeypatch):
    with ExitStack() as stack:
        yield Bench(stack, monkeypatch)


@pytest.fixture
def check(tmp_path, private_key, capsys):
    """Run ``check`` against a place; returns its exit status and what it printed."""
    key_file = tmp_path / "acme.pem"
    key_file.write_text(private_key.pem())
    key_file.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def check(place, *options):
        trust = []
        if place.ca_certificates:
            (tmp_path / "ca.pem").write_text(place.ca_certificates)
            trust = ["--ca-file", str(tmp_path / "ca.pem")]
        given = ["--url", place.url, "--consumer-key", "acme", "--private-key-file", str(key_file)]
        status = main(["check", *given, *trust, *options])
        return status, capsys.readouterr().out

    return check


@pytest.mark.parametrize("wrong", EVERYTHING, ids=lambda wrong: wrong.what)
def test_each_is_found_by_its_right_name(bench, check, private_key, wrong):
    place = wrong.arrange(bench)
    place.paste("acme", private_key.public.pem)
    status, shown = check(place)
    assert f"✗ {wrong.stage}: {wrong.sentence}" in shown
    assert f"What to do: {wrong.problem.remedy}" in shown
    assert f"Who can do it: {wrong.problem.who}" in shown
    assert status == FIRST_STATUS + STAGES.index(wrong.stage)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_is_shown_or_told_to_be_another(bench, check, tmp_path, version):
    def reached(shown):
        (tmp_path / "client.pem").write_text(shown.client_certificate)
        (tmp_path / "client.key").write_text(shown.client_key)
        options = ["--client-certificate", str(tmp_path / "client.pem"), "--client-key", str(tmp_path / "client.key")]
        return check(place, *options)[1]

    place = wants_client_certificate(version)(bench)
    assert "✓ TLS" in reached(issue(bench.company))
    assert "✗ Bitbucket" in reached(issue(bench.company))
    assert "A gateway in front of Bitbucket refused this application's client certificate." in reached(
        issue(trustme.CA())
    )
    assert "It was valid until 20" in reached(issue(bench.company, days=-365))


def test_a_client_certificate_that_cannot_be_used_ends_it_at_once(bench, check, tmp_path):
    path = tmp_path / "client.pem"
    shown = issue(bench.company)
    path.write_text(shown.client_certificate)
    place = wants_client_certificate(VERSIONS[0])(bench)
    status, said = check(place, "--client-certificate", str(path), "--client-key", str(path))
    assert status == FIRST_STATUS
    assert "This is not the key of a client certificate." in said
    status, said = check(place, "--client-key", str(path))
    assert "A setting is missing. --client-certificate: A client certificate and its key are given together." in said


@pytest.fixture
def owner(site):
    owner = site.visitor()
    owner.create_organization("acme")
    return owner


@pytest.fixture
def run_test(owner):
    """Return what adds an integration with a place, lets its admin paste the worksheet, and tests the connection."""

    def run_test(place):
        path = owner.add_integration("acme", place.url, ca_certificates=place.ca_certificates)
        worksheet = owner.worksheet(path)
        place.paste(worksheet.value_of("Consumer Key"), worksheet.value_of("Public Key"))
        return owner.post(f"{path}/test", path)

    return run_test


def stages_of(page):
    """Return the outcome and the words of each stage that the page shows."""
    _, *stages = re.split(r'<li class="(?=(?:passed|failed|later|unprotected)")', page.text)
    return {
        re.search(r"<b>([^<]+)", stage)[1]: (stage.partition('"')[0], Page(page.status, f'<p "{stage}', {}).words)
        for stage in stages
    }


@pytest.mark.parametrize("wrong", EVERYTHING, ids=lambda wrong: wrong.what)
def test_the_page_finds_each_by_its_right_name_and_says_what_to_do_and_who(bench, run_test, wrong):
    stages = stages_of(run_test(wrong.arrange(bench)))
    assert list(stages) == [*STAGES, "Trial login"]
    assert next(name for name, (outcome, _) in stages.items() if outcome == "failed") == wrong.stage
    words = stages[wrong.stage][1]
    assert words.startswith(f"{wrong.stage} : failed {wrong.sentence}")
    assert f"What to do {wrong.problem.remedy}" in words
    who = wrong.problem.who
    assert f"Who can do it {who[0].upper()}{who[1:]} " in words


def test_no_fault_of_the_sandbox_is_forgotten():
    found = {wrong.what.partition(":")[0] for wrong in FAULTS_OF_THE_SANDBOX}
    of_the_sandbox = {field.name for field in fields(Faults)}
    assert of_the_sandbox - found == SHOWN_BY_A_LOGIN_ALONE | OF_OAUTH_2 | HOW_AND_WHERE


@pytest.mark.parametrize("fault", sorted(SHOWN_BY_A_LOGIN_ALONE))
def test_what_needs_a_person_passes(bench, check, private_key, fault):
    place = bench.sandbox(**{fault: True})
    place.paste("acme", private_key.public.pem)
    assert check(place)[0] == 0


def offered(shown):
    certificates = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", shown, re.DOTALL)
    assert certificates, shown
    return "".join(certificates)


def test_the_certificate_that_is_offered_removes_a_ca_that_is_not_trusted(bench, check):
    place = bench.tls(bench.company.create_child_ca().issue_cert(wrong_bitbuckets.HERE), ca="")
    _, shown = check(place)
    _, again = check(Place(place.url, offered(shown)))
    assert "✗ TLS" in shown
    assert "✓ TLS" in again


def test_the_certificate_that_is_offered_removes_a_self_signed_one(bench, check):
    place = bench.tls(SelfSigned(), ca="")
    _, shown = check(place)
    _, again = check(Place(place.url, offered(shown)))
    assert "✗ TLS" in shown
    assert "✓ TLS" in again


def test_a_complete_chain_is_trusted(bench, check):
    assert "✓ TLS" in check(bench.tls(bench.company.create_child_ca().issue_cert(wrong_bitbuckets.HERE)))[1]


def test_a_certificate_that_cannot_be_read_is_said_to_be_so(bench, check, monkeypatch):
    def unreadable(*_):
        raise x509.InvalidVersion("version 9", 9)

    monkeypatch.setattr(checkup, "diagnose", unreadable)
    _, shown = check(bench.tls(bench.company.issue_cert(wrong_bitbuckets.HERE), ca=""))
    assert "✗ TLS: No secure connection to the Bitbucket Server could be made. Its certificate cannot be read." in shown


def test_the_base_url_that_is_proposed_removes_a_missing_context_path(bench, check, private_key):
    place = bench.sandbox()
    place.paste("acme", private_key.public.pem)
    _, shown = check(Place(place.url.removesuffix("/bitbucket")))
    proposed = re.search(r"It is (\S+)\.\n", shown)
    assert proposed
    assert check(Place(proposed[1]))[0] == 0


def test_a_callback_that_bitbucket_refuses_is_named(bench, check, private_key):
    place = bench.sandbox()
    place.paste("acme", private_key.public.pem)
    status, shown = check(place, "--callback", "nowhere")
    assert status == 18
    assert "✗ Signature: Bitbucket refused the address to which logins come back." in shown
    assert "Who can do it: the operator of this application" in shown

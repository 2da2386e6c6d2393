"""``manage.py bitbucket_server``, command by command."""

import json
import re
from datetime import timedelta

import pytest
import trustme
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone
from social_django.models import Nonce

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Event, Integration, KeyPair
from social_bitbucket_server.organizations import SealedKeys
from social_bitbucket_server.problems import BitbucketServerError, Code
from tests.capabilities import capability
from tests.client_certificates import issue
from tests.frameworks.django.conftest import Visitor, make_integration, paste_public_key, use_another_link

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
RING = f"{OWN}KEY_RING"


@pytest.fixture
def bitbucket_sandbox(bitbucket_sandbox):
    """Its administrator has switched basic authentication on."""
    bitbucket_sandbox.basic_authentication = True
    return bitbucket_sandbox


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        call_command("bitbucket_server", *arguments)
        return capsys.readouterr().out

    return run


def test_list_names_every_integration_and_its_state(run, acme, globex):
    integrations.enable(globex, enabled=False)
    assert run("list").splitlines() == [
        f"{acme.pk}  acme  {acme.base_url}",
        f"{globex.pk}  globex  {globex.base_url}  disabled",
    ]


@capability("integration")
def test_create_makes_an_integration_and_prints_its_worksheet(run, bitbucket_sandbox):
    printed = run("create", "Acme", "acme", "--url", bitbucket_sandbox.url)
    record = Integration.objects.get()
    assert record.consumer_key in printed
    assert "http://127.0.0.1:8000/login/bitbucket-server/acme/" in printed
    assert "PRIVATE KEY" not in printed


def test_create_refuses_what_the_administration_refuses(run):
    with pytest.raises(CommandError, match=r"base_url: .*It begins with http://"):
        run("create", "Acme", "acme", "--url", "http://bitbucket.example.com")


def test_create_reads_ca_certificates_from_a_file(run, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(CommandError, match="not a certificate in PEM"):
        run("create", "Acme", "acme", "--url", "https://bitbucket.example.com", "--ca-file", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        run("create", "Acme", "acme", "--url", "https://bitbucket.example.com", "--ca-file", str(tmp_path / "none"))


def test_create_reads_a_client_certificate_and_its_key(run, tmp_path, bitbucket_sandbox):
    shown = issue(trustme.CA())
    (tmp_path / "client.pem").write_text(shown.client_certificate)
    (tmp_path / "client.key").write_text(shown.client_key)
    certificate = ("--client-certificate", str(tmp_path / "client.pem"))
    with pytest.raises(CommandError, match="client_certificate: Give the key"):
        run("create", "Acme", "acme", "--url", bitbucket_sandbox.url, *certificate)
    key = ("--client-key", str(tmp_path / "client.key"))
    run("create", "Acme", "acme", "--url", bitbucket_sandbox.url, *certificate, *key)
    assert integrations.find(Integration.objects.get().pk).server.client_key == shown.client_key


def test_reseal_keys_takes_the_keys_of_client_certificates_along(run, acme, capsys):
    acme.client_certificate, acme.given_client_key = issue(trustme.CA())
    old, new = KeyRing.generate(), KeyRing.generate().replace("1:", "2:")
    with override_settings(**{RING: old}):
        acme.full_clean()
        acme.save()
        KeyPair.objects.all().delete()
    before = acme.sealed_client_key
    with override_settings(**{RING: f"{new},{old}"}):
        assert "newest key of the ring: 1. Could not be opened: 0." in run("reseal-keys")
    acme.refresh_from_db()
    assert acme.sealed_client_key.startswith("v1.2.")
    Integration.objects.update(sealed_client_key=before)
    with override_settings(**{RING: new}), pytest.raises(SystemExit):
        run("reseal-keys")
    assert "Could not be opened: 1." in capsys.readouterr().out


def test_create_says_where_connections_go(run, bitbucket_sandbox):
    with pytest.raises(CommandError, match="connect_to: The address to connect to cannot be used"):
        run("create", "Acme", "acme", "--url", bitbucket_sandbox.url, "--connect-to", "bitbucket.example.com:22")
    run("create", "Acme", "acme", "--url", bitbucket_sandbox.url, "--connect-to", "Inside.Example.com:8443")
    assert Integration.objects.get().connect_to == "inside.example.com:8443"


@pytest.mark.parametrize("named_by", ["pk", "slug"])
def test_worksheet_is_the_integrations(run, acme, named_by):
    printed = json.loads(run("worksheet", getattr(acme, named_by), "--json"))
    assert printed["consumer_key"] == acme.consumer_key
    assert printed["fingerprint"] == KeyPair.objects.get().fingerprint
    assert "It belongs to your organization alone" in json.dumps(printed)


@capability("worksheet")
def test_worksheet_is_for_the_version_that_was_found(run, acme):
    assert "Create new link" not in run("worksheet", "acme")
    Integration.objects.update(server_version="7.6.0")
    assert "Create new link" in run("worksheet", "acme")
    assert "Create new link" not in run("worksheet", "acme", "--dialog", "7.20")


def test_worksheet_of_the_settings(run, single, keys):
    with override_settings(**{f"{OWN}CALLBACK_ORIGIN": "https://app.example"}):
        printed = run("worksheet")
    assert "Consumer Key = packages" in printed
    assert "Application URL = https://app.example/" in printed
    assert "It is for this application alone" in printed
    assert keys[0].public.pem in printed


@capability("check-up")
def test_check_tests_stage_by_stage(run, acme):
    printed = run("check", "acme")
    assert len(re.findall("^✓", printed, re.MULTILINE)) == 7
    assert Event.objects.filter(what="integration.tested", problem="").exists()


def test_check_ends_with_the_number_of_the_stage_that_fails(run, acme, capsys):
    use_another_link(acme)
    with pytest.raises(SystemExit) as ended:
        run("check", "acme")
    assert ended.value.code == 18
    assert "What to do:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["check", "acme"], ["link", "acme", "--user", "admin", "--yes"]])
def test_the_command_that_explains_a_failure_works_as_printed(
    run, acme, bitbucket_sandbox, monkeypatch, capsys, command
):
    monkeypatch.setenv("BITBUCKET_PASSWORD", bitbucket_sandbox.users.by_name("admin").password)
    bitbucket_sandbox.faults.seen_host = "internal.example"
    with pytest.raises(SystemExit):
        run(*command)
    printed = re.search(r"More: python manage\.py bitbucket_server (.+)", capsys.readouterr().out)[1]
    assert "docs/problems.md#address_hidden" in run(*printed.split())


def test_check_of_the_settings(run, single):
    assert json.loads(run("check", "--json"))["passed"]


def test_an_unknown_integration_is_said(run):
    with pytest.raises(CommandError, match="There is no integration none"):
        run("check", "none")


def test_link_makes_the_application_link_and_unlink_takes_it_away(run, bitbucket_sandbox, monkeypatch):
    record = Integration(name="Acme", slug="acme", base_url=bitbucket_sandbox.url)
    record.full_clean()
    integrations.create(record)
    monkeypatch.setenv("BITBUCKET_PASSWORD", bitbucket_sandbox.users.by_name("admin").password)
    assert "is made." in run("link", "acme", "--user", "admin", "--yes")
    Visitor().log_in(record, bitbucket_sandbox)
    assert "is deleted." in run("unlink", "acme", "--user", "admin", "--yes")
    assert not bitbucket_sandbox.links.all()


def test_rotate_says_that_the_integration_was_deleted_meanwhile(run, acme, monkeypatch):
    monkeypatch.setattr(integrations, "lock", lambda key: None)
    with pytest.raises(CommandError, match="Acme was deleted just now"):
        run("rotate", "acme")


@capability("key rotation")
def test_rotate_and_verify_put_a_new_key_pair_in_place_of_the_old(run, acme, bitbucket_sandbox, keys):
    assert run("rotate", "acme") == keys[1].public.pem
    assert "a new key pair waits" in run("list")
    with pytest.raises(CommandError, match="signature"):
        run("verify", "acme")
    paste_public_key(bitbucket_sandbox, acme, keys[1].public.pem)
    assert "Bitbucket accepts the new key pair." in run("verify", "acme")
    assert KeyPair.objects.get(state="active").fingerprint == keys[1].public.fingerprint
    with pytest.raises(CommandError, match="no new key pair"):
        run("verify", "acme")


@capability("new link")
def test_a_new_link_is_made_by_rest_and_the_old_one_taken_away(run, acme, bitbucket_sandbox, monkeypatch):
    (old,) = bitbucket_sandbox.links.all()
    monkeypatch.setenv("BITBUCKET_PASSWORD", bitbucket_sandbox.users.by_name("admin").password)
    printed = run("rotate", "acme", "--new-consumer-key")
    new = acme.pending_key_pair
    assert f"Consumer Key = {new.consumer_key}" in printed
    assert f"Application URL = {old.application_url}2/" in printed
    with pytest.raises(CommandError, match="consumer key"):
        run("verify", "acme")
    assert "is made." in run("link", "acme", "--user", "admin", "--yes")
    assert {link.consumer.key for link in bitbucket_sandbox.links.all()} == {old.consumer.key, new.consumer_key}
    assert "the old one can be removed" in run("verify", "acme")
    assert "an old link can be removed" in run("list")
    with pytest.raises(CommandError, match="unlink acme --old-link"):
        run("rotate", "acme", "--new-consumer-key")
    assert "is deleted." in run("unlink", "acme", "--old-link", "--user", "admin", "--yes")
    assert [link.consumer.key for link in bitbucket_sandbox.links.all()] == [new.consumer_key]
    assert "old link" not in run("list")
    Visitor().log_in(acme, bitbucket_sandbox)
    with pytest.raises(CommandError, match="no old application link"):
        run("unlink", "acme", "--old-link", "--user", "admin", "--yes")


def test_an_old_link_that_was_removed_by_hand_is_said_to_be(run, acme, bitbucket_sandbox, monkeypatch):
    with pytest.raises(CommandError, match="no old application link"):
        run("old-link-removed", "acme")
    monkeypatch.setenv("BITBUCKET_PASSWORD", bitbucket_sandbox.users.by_name("admin").password)
    run("rotate", "acme", "--new-consumer-key")
    run("link", "acme", "--user", "admin", "--yes")
    run("verify", "acme")
    assert "private key is erased" in run("old-link-removed", "acme")
    assert KeyPair.objects.get(state="retired").sealed_private_key == ""


def test_disable_and_enable(run, acme):
    run("disable", "acme")
    assert integrations.find(acme.pk) is None
    run("enable", "acme")
    assert integrations.find(acme.pk) is not None


@capability("resealing")
def test_reseal_keys_makes_the_old_ring_dispensable(run, bitbucket_sandbox):
    old, new = KeyRing.generate(), KeyRing.generate().replace("1:", "2:")
    with override_settings(**{RING: old}):
        record = make_integration("acme", bitbucket_sandbox)
    with override_settings(**{RING: f"{new},{old}"}):
        assert "newest key of the ring: 1." in run("reseal-keys")
    with override_settings(**{RING: new}):
        Visitor().log_in(record, bitbucket_sandbox)


def test_reseal_keys_leaves_what_it_cannot_open(run, acme, capsys):
    before = KeyPair.objects.get().sealed_private_key
    with override_settings(**{RING: KeyRing.generate()}), pytest.raises(SystemExit):
        run("reseal-keys")
    assert "Could not be opened: 1." in capsys.readouterr().out
    assert KeyPair.objects.get().sealed_private_key == before


def test_reseal_keys_leaves_a_key_that_changed_meanwhile(run, acme, monkeypatch):
    reseal = SealedKeys.reseal_private_key

    def reseal_late(keys, pair):
        sealed = reseal(keys, pair)
        KeyPair.objects.update(sealed_private_key="another key")
        return sealed

    monkeypatch.setattr(SealedKeys, "reseal_private_key", reseal_late)
    assert "newest key of the ring: 0." in run("reseal-keys")
    assert KeyPair.objects.get().sealed_private_key == "another key"


def test_reseal_keys_goes_on_after_a_key_that_it_cannot_open(run, acme, globex, monkeypatch, capsys):
    reseal, opens = SealedKeys.reseal_private_key, iter((False, True))

    def reseal_the_second(keys, pair):
        if next(opens):
            return reseal(keys, pair)
        raise BitbucketServerError(Code.SEALED_KEY_UNOPENABLE)

    monkeypatch.setattr(SealedKeys, "reseal_private_key", reseal_the_second)
    with pytest.raises(SystemExit):
        run("reseal-keys")
    assert "newest key of the ring: 1. Could not be opened: 1." in capsys.readouterr().out


@capability("pruning")
def test_prune_deletes_old_events_and_unfinished_logins(run, acme):
    Visitor().begin(acme)
    Nonce.objects.update(timestamp=1_000)
    Nonce.objects.create(server_url="https://openid.example", timestamp=1_000, salt="x")
    Event.objects.filter(what="key.created").update(at=timezone.now() - timedelta(days=31))
    assert run("prune", "--days", "30") == (
        "Deleted: 1 events older than 30 days, 1 logins that were never finished.\n"
    )
    assert Nonce.objects.get().server_url == "https://openid.example"


@pytest.mark.parametrize("days", ["-1", "0", "99999999", "a year"])
def test_prune_deletes_nothing_for_an_age_that_is_none(run, acme, days):
    before = Event.objects.count()
    with pytest.raises(CommandError, match="number of days"):
        run("prune", "--days", days)
    assert Event.objects.count() == before


def test_prune_leaves_logins_under_way(run, acme, bitbucket_sandbox):
    visitor = Visitor()
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    run("prune")
    assert visitor.open(callback).status_code == 303


def test_key_ring_works_before_anything_is_configured(run):
    with override_settings(**{RING: None}):
        KeyRing.parse(run("key-ring").strip())


def test_the_librarys_own_commands_are_there(run):
    assert "BEGIN PRIVATE KEY" in run("keygen", "--bits", "2048")
    assert "What to do:" in run("explain", "signature_invalid")

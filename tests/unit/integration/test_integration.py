import dataclasses
import os
import pickle
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import (
    Admission,
    ConnectTo,
    Credentials,
    Integration,
    OAuth2Integration,
    Server,
    ServerURL,
    callback_origin,
    find_integration,
    find_oauth2_integration,
    integration_from_fields,
    oauth2_integration_from_fields,
    single_integration,
    single_oauth2_integration,
)
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import PUBLIC_ONLY, ssl_context
from tests.servers import with_server


@pytest.fixture
def fields(private_key):
    return {"url": "https://h.example/b", "consumer_key": "c", "private_key": private_key.pem()}


def problem(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value


def settings(**values):
    return lambda name, default=None: values.get(name, default)


def test_the_uid_carries_the_namespace(integration):
    assert integration.uid(42) == "ns:42"
    assert dataclasses.replace(integration, namespace="").uid(42) == "42"


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a/b"}, "id"),
        ({"namespace": "a:b"}, "namespace"),
        ({"namespace": None}, "namespace"),
        ({"consumer_key": ""}, "consumer_key"),
        ({"consumer_key": "a b"}, "consumer_key"),
    ],
)
def test_a_bad_value_is_refused_by_name(integration, change, parameter):
    with pytest.raises(BitbucketServerError) as caught:
        dataclasses.replace(integration, **change)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", parameter)


CHANGES = [
    {"id": "other"},
    {"namespace": "other"},
    {"admission": Admission(groups=("developers",))},
    {"admission": Admission(projects=("developers",))},
    {"revision": "2"},
]
"""Changes of an integration that end logins under way, by OAuth 1 and by OAuth 2."""

CHANGES_OF_SERVER = [
    {"url": ServerURL.parse("https://other.example")},
    {"verify": "/etc/ssl/company.pem"},
    {"ca_certificates": "-----BEGIN CERTIFICATE-----"},
    {"client_certificate": "-----BEGIN CERTIFICATE-----", "client_key": "-----BEGIN PRIVATE KEY-----"},
    {"connect_to": ConnectTo("inside.example", 8443)},
    {"connect_to": ConnectTo("inside.example", 8444)},
]
"""Changes of a server that end logins under way."""

OTHER_WAYS_TO_SERVER = [
    {"proxies": {"https": "http://proxy.example:3128"}},
    {"timeout": 5},
    {"address_policy": PUBLIC_ONLY},
]
"""Changes of a server that logins under way survive."""


def fingerprints_of_changed(integration, *changes):
    changed = [dataclasses.replace(integration, **change) for change in [*CHANGES, *changes]]
    changed += [with_server(integration, **change) for change in CHANGES_OF_SERVER]
    return {integration.fingerprint, *(one.fingerprint for one in changed)}


def test_the_fingerprint_changes_with_what_a_login_depends_on(integration, other_private_key):
    fingerprints = fingerprints_of_changed(integration, {"consumer_key": "other"})
    assert len(fingerprints) == len(CHANGES) + len(CHANGES_OF_SERVER) + 2
    assert dataclasses.replace(integration, private_key=other_private_key).fingerprint == integration.fingerprint
    assert dataclasses.replace(integration, name="New name").fingerprint == integration.fingerprint
    assert {with_server(integration, **way).fingerprint for way in OTHER_WAYS_TO_SERVER} == {integration.fingerprint}


def test_the_successor_has_the_pending_credentials_and_the_predecessor_the_replaced_ones(
    integration, private_key, other_private_key
):
    assert (integration.successor, integration.predecessor) == (None, None)
    others = {"pending": Credentials("new", other_private_key), "replaced": Credentials("old", private_key)}
    both = dataclasses.replace(integration, **others)
    assert both.successor == dataclasses.replace(integration, consumer_key="new", private_key=other_private_key)
    assert both.predecessor == dataclasses.replace(integration, consumer_key="old")


@pytest.mark.parametrize("which", ["pending", "replaced"])
def test_a_bad_consumer_key_among_other_credentials_is_refused_as_well(integration, private_key, which):
    error = problem(lambda: dataclasses.replace(integration, **{which: Credentials("a b", private_key)}))
    assert (error.code, error.parameter) == ("setting_invalid", "consumer_key")


def test_an_integration_does_not_show_its_private_key(integration, private_key):
    line = private_key.pem().splitlines()[1]
    assert line not in repr(integration)


def test_one_server_comes_from_plain_settings(private_key):
    found = single_integration(
        settings(URL="https://h.example", KEY="c", PRIVATE_KEY=private_key.pem(), VERIFY_SSL="/ca")
    )
    assert str(found.server.url) == "https://h.example"
    assert (found.namespace, found.server.verify, found.server.timeout) == ("", "/ca", 10.0)


def test_the_bundle_of_ca_certificates_may_be_a_path_object(private_key):
    chosen = settings(URL="https://h.example", KEY="c", PRIVATE_KEY=private_key.pem(), VERIFY_SSL=Path("/etc/ca.pem"))
    assert single_integration(chosen).server.verify == "/etc/ca.pem"


@pytest.mark.parametrize("given", ["10.0.0.5:7990", "inside:443"])
def test_connections_of_an_operators_server_may_go_anywhere_else(fields, given):
    oauth1 = single_integration(settings(URL="https://h.example", KEY="c", PRIVATE_KEY=fields["private_key"]))
    assert oauth1.server.connect_to is None
    chosen = settings(URL="https://h.example", KEY="c", PRIVATE_KEY=fields["private_key"], CONNECT_TO=given)
    assert str(single_integration(chosen).server.connect_to) == given
    oauth2 = single_oauth2_integration(settings(URL="https://h.example", KEY="c", SECRET="s", CONNECT_TO=given))
    assert str(oauth2.server.connect_to) == given
    assert str(integration_from_fields("a", fields | {"connect_to": given}).server.connect_to) == given


@pytest.mark.parametrize("given", ["https://inside.example", 8443, ("inside.example", 8443)])
def test_connections_to_nowhere_are_refused_by_name(fields, given):
    caught = problem(integration_from_fields, "a", fields | {"connect_to": given})
    assert (caught.code, caught.parameter) == ("connect_to_invalid", "connect_to")


def test_the_key_may_stand_in_a_file_and_a_changed_file_is_read_again(private_key, other_private_key, tmp_path):
    path = tmp_path / "key.pem"
    chosen = settings(URL="https://h.example", KEY="c", PRIVATE_KEY_FILE=path)
    fingerprints = []
    for number, key in enumerate([private_key, other_private_key]):
        path.write_text(key.pem())
        os.utime(path, ns=(0, number))
        fingerprints.append(single_integration(chosen).private_key.public.fingerprint)
    assert fingerprints == [private_key.public.fingerprint, other_private_key.public.fingerprint]


def test_a_file_in_the_place_of_another_one_is_read_though_it_is_as_old(private_key, other_private_key, tmp_path):
    path, new = tmp_path / "key.pem", tmp_path / "new.pem"
    chosen = settings(URL="https://h.example", KEY="c", PRIVATE_KEY_FILE=path)
    for file, key in ((path, private_key), (new, other_private_key)):
        file.write_text(key.pem())
        os.utime(file, ns=(0, 10**18))
    assert single_integration(chosen).private_key == private_key
    os.replace(new, path)
    assert single_integration(chosen).private_key == other_private_key


def test_plain_settings_make_another_integration_when_one_of_them_changes(fields, other_private_key):
    proxies = {"https": "http://a.example"}
    given = {"URL": "https://h.example", "KEY": "c", "PRIVATE_KEY": fields["private_key"], "PROXIES": proxies}
    assert single_integration(settings(**given)).server.proxies == {"https": "http://a.example"}
    proxies["https"] = "http://b.example"
    assert single_integration(settings(**given)).server.proxies == {"https": "http://b.example"}
    del given["PROXIES"]
    first = single_integration(settings(**given))
    assert single_integration(settings(**given)) is first
    given["PRIVATE_KEY"] = other_private_key.pem()
    assert single_integration(settings(**given)).private_key == other_private_key


def test_a_setting_that_equals_another_value_is_not_taken_for_it(fields):
    given = {"URL": "http://h.example", "KEY": "c", "PRIVATE_KEY": fields["private_key"]}
    assert single_integration(settings(**given, ALLOW_HTTP=True)).server.url.scheme == "http"
    assert problem(single_integration, settings(**given, ALLOW_HTTP=1)).code == "invalid_base_url"


@pytest.mark.parametrize("in_file", [False, True])
def test_the_passphrase_of_an_encrypted_key_is_a_setting(private_key, tmp_path, in_file):
    encrypted = load_pem_private_key(private_key.pem().encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse")
    )
    path = tmp_path / "key.pem"
    path.write_bytes(encrypted)
    given = {"PRIVATE_KEY_FILE": path} if in_file else {"PRIVATE_KEY": encrypted.decode()}
    fixed = {"URL": "https://h.example", "KEY": "c", **given}
    found = single_integration(settings(**fixed, PRIVATE_KEY_PASSPHRASE="correct horse"))
    assert found.private_key == private_key
    for passphrase in (None, "wrong"):
        caught = problem(single_integration, settings(**fixed, PRIVATE_KEY_PASSPHRASE=passphrase))
        assert (caught.code, caught.setting) == ("private_key_encrypted", next(iter(given)))


def test_a_configured_key_is_parsed_once(fields, monkeypatch):
    parsed = []
    monkeypatch.setattr(PrivateKey, "read", classmethod(lambda cls, text, _: parsed.append(text) or cls.generate(2048)))
    fields["private_key"] += "\n "
    for _ in range(3):
        integration_from_fields("a", fields)
    assert len(parsed) == 1


@pytest.mark.parametrize(
    ("missing", "code", "parameter"),
    [
        ("url", "setting_missing", "url"),
        ("consumer_key", "setting_missing", "consumer_key"),
        ("private_key", "private_key_missing", "private_key"),
    ],
)
def test_what_is_missing_is_named(fields, missing, code, parameter):
    del fields[missing]
    caught = problem(integration_from_fields, "a", fields)
    assert (caught.code, caught.parameter) == (code, parameter)


@pytest.mark.parametrize("name", ["url", "consumer_key"])
def test_a_comma_too_many_is_told(fields, name):
    caught = problem(integration_from_fields, "a", fields | {name: (fields[name],)})
    assert (caught.code, caught.parameter) == ("setting_invalid", name)


@pytest.mark.parametrize("origin", ["https://app.example", "http://127.0.0.1:8000/", "https://[::1]:8443"])
def test_scheme_and_host_are_the_callbacks_origin(origin):
    assert callback_origin(origin) == origin.rstrip("/")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example/x",
        "app.example",
        "https://[::1",
        "https://[app]",
        "https://a:0",
        "https://a:65536",
        "https://a:",
        ("https://a",),
    ],
)
def test_what_is_no_origin_is_refused_before_any_login(origin):
    assert problem(callback_origin, origin).parameter == "CALLBACK_ORIGIN"


@pytest.mark.parametrize("name", ["base_url", "secret"])
def test_a_misspelt_field_is_named(fields, name):
    caught = problem(integration_from_fields, "a", fields | {name: "x"})
    assert (caught.code, caught.parameter) == ("setting_invalid", name)


def test_a_key_file_that_is_not_there_is_named(fields, tmp_path):
    fields["private_key"] = ""
    caught = problem(integration_from_fields, "a", fields | {"private_key_file": str(tmp_path / "none.pem")})
    assert (caught.code, caught.parameter) == ("setting_invalid", "private_key_file")
    assert "No such file" in caught.reason


@pytest.mark.parametrize(
    "given", [{"ca_certificates": 5}, {"private_key": 5}, {"private_key": "", "private_key_file": 5}]
)
def test_a_value_that_is_neither_text_nor_path_is_named(fields, given):
    caught = problem(integration_from_fields, "a", fields | given)
    assert (caught.code, caught.parameter) == ("setting_invalid", list(given)[-1])


@pytest.mark.parametrize(
    "change", [str, lambda pem: pem.replace("\n", "\\n"), lambda pem: "".join(pem.split("\n")[1:-2])]
)
@pytest.mark.parametrize("field", ["private_key_file", "verify"])
def test_a_key_in_the_place_of_a_path_is_not_repeated(fields, field, change):
    pem = PrivateKey.generate(2048).pem()
    given = fields | {"private_key": "" if field == "private_key_file" else pem, field: change(pem)}

    def use():
        integration = integration_from_fields("a", given)
        ssl_context(integration.server.verify)

    caught = problem(use)
    assert (caught.code, caught.parameter) == ("setting_invalid", field)
    shown = "".join(traceback.format_exception(caught))
    assert not any(line in shown for line in pem.splitlines()[1:-1])


def test_plain_http_needs_the_operators_word(fields):
    fields["url"] = "http://h.example"
    assert problem(integration_from_fields, "a", fields).code == "invalid_base_url"
    assert integration_from_fields("a", fields | {"allow_http": True}).server.url.scheme == "http"


def test_verification_cannot_be_switched_off(private_key):
    chosen = settings(URL="https://h.example", KEY="c", PRIVATE_KEY=private_key.pem(), VERIFY_SSL=False)
    caught = problem(single_integration, chosen)
    assert (caught.code, caught.parameter) == ("setting_invalid", "verify")


def by_id(integration_id):
    """Return an integration, as a callable does that an application configures by its dotted path."""
    if integration_id != "a":
        return None
    return {"url": "https://h.example", "consumer_key": "by-path", "private_key": PrivateKey.generate(2048).pem()}


def test_integrations_are_found_in_a_mapping_by_a_callable_or_by_its_path(fields, integration):
    assert find_integration({"a": fields}, "a").namespace == "a"
    assert find_integration({"a": fields | {"namespace": "n"}}, "a").namespace == "n"
    assert find_integration({"a": integration}, "a") is integration
    assert find_integration({"a": fields}, "b") is None
    assert find_integration(lambda integration_id: integration if integration_id == "a" else None, "a") is integration
    assert find_integration(f"{__name__}.by_id", "a").consumer_key == "by-path"
    assert find_integration(f"{__name__}.by_id", "b") is None


def test_an_integration_is_a_value(integration):
    assert dataclasses.replace(integration) == integration
    assert isinstance(integration, Integration)


@pytest.fixture
def oauth2_integration():
    return OAuth2Integration(
        id="acme-1",
        server=Server(ServerURL.parse("https://h.example")),
        client_id="the-client",
        client_secret="the-secret",
        namespace="ns",
    )


def test_an_oauth_2_integration_has_the_uids_of_the_same_integration_by_oauth_1(integration, oauth2_integration):
    assert oauth2_integration.uid(42) == integration.uid(42) == "ns:42"


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"id": "a b"}, "id"),
        ({"namespace": "a:b"}, "namespace"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "a\nb"}, "client_secret"),
    ],
)
def test_a_bad_value_of_an_oauth_2_integration_is_refused_by_name(oauth2_integration, change, parameter):
    with pytest.raises(BitbucketServerError) as caught:
        dataclasses.replace(oauth2_integration, **change)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", parameter)


def test_the_fingerprint_of_an_oauth_2_integration_changes_with_what_a_login_depends_on(oauth2_integration):
    fingerprints = fingerprints_of_changed(oauth2_integration, {"client_id": "other"})
    assert len(fingerprints) == len(CHANGES) + len(CHANGES_OF_SERVER) + 2
    renewed = dataclasses.replace(oauth2_integration, client_secret="other")
    assert renewed.fingerprint == oauth2_integration.fingerprint


def test_an_oauth_2_integration_does_not_show_its_client_secret(oauth2_integration):
    assert "the-secret" not in repr(oauth2_integration)
    assert "the-secret" not in repr(oauth2_integration.client_secret)
    assert "the-secret" not in repr(dataclasses.astuple(oauth2_integration))
    with pytest.raises(TypeError):
        pickle.dumps(oauth2_integration)


def test_one_server_by_oauth_2_comes_from_plain_settings():
    found = single_oauth2_integration(settings(URL="https://h.example", KEY="c", SECRET="s", VERIFY_SSL="/ca"))
    assert (found.client_id, found.client_secret, found.namespace, found.server.verify) == ("c", "s", "", "/ca")


@pytest.mark.parametrize("missing", ["url", "client_id", "client_secret"])
def test_a_missing_field_of_oauth_2_is_named(missing):
    fields = {"url": "https://h.example", "client_id": "c", "client_secret": "s"}
    caught = problem(oauth2_integration_from_fields, "one", fields | {missing: ""})
    assert (caught.code, caught.parameter) == ("setting_missing", missing)


def test_fields_of_the_other_oauth_are_refused():
    fields = {"url": "https://h.example", "client_id": "c", "client_secret": "s", "consumer_key": "c"}
    assert problem(oauth2_integration_from_fields, "one", fields).parameter == "consumer_key"


@pytest.mark.parametrize("wrap", [dict, lambda all_: all_.get])
def test_oauth_2_integrations_are_looked_up_like_others(oauth2_integration, wrap):
    fields = {"url": "https://h.example", "client_id": "c", "client_secret": "s"}
    configured = wrap({"one": fields, "two": oauth2_integration})
    assert find_oauth2_integration(configured, "one").namespace == "one"
    assert find_oauth2_integration(configured, "two") is oauth2_integration
    assert find_oauth2_integration(configured, "none") is None

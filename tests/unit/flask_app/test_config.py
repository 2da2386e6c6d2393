"""Settings: where they come from, and which combinations are refused."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.flask_app.config import Settings
from tests.flask_app.instance_files import UnsafeSettingError

SECRET_KEY = "s" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "instance"


def read(folder: Path, environment: Mapping[str, str] | None = None, **given: object) -> Settings:
    return Settings.read({"INSTANCE_PATH": folder, **given}, environment or {})


def test_what_is_given_goes_before_the_environment(folder: Path) -> None:
    settings = read(folder, {"APPLICATION_NAME": "From outside"}, APPLICATION_NAME="Given")
    assert settings.application_name == "Given"


def test_the_environment_goes_before_the_defaults(folder: Path) -> None:
    assert read(folder, {"APPLICATION_NAME": "From outside"}).application_name == "From outside"


def test_the_secret_key_survives_a_restart(folder: Path) -> None:
    assert read(folder).secret_key == read(folder).secret_key


def test_the_database_is_a_file_in_the_instance_folder_by_default(folder: Path) -> None:
    assert read(folder).database_url == f"sqlite:///{folder}/application.sqlite"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://App.example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
    ],
)
def test_the_public_base_url_is_written_as_browsers_write_it(folder: Path, text: str, address: str) -> None:
    assert read(folder, PUBLIC_BASE_URL=text, SECRET_KEY=SECRET_KEY).public_base_url == address


@pytest.mark.parametrize("text", ["", "app.example", "ftp://app.example", "https://app.example/demo", "https://u@a.b"])
def test_a_public_base_url_is_scheme_and_host_alone(folder: Path, text: str) -> None:
    with pytest.raises(UnsafeSettingError, match="PUBLIC_BASE_URL"):
        read(folder, PUBLIC_BASE_URL=text)


def test_a_public_base_url_on_another_machine_needs_https(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match="https"):
        read(folder, PUBLIC_BASE_URL="http://app.example", SECRET_KEY=SECRET_KEY)


@pytest.mark.parametrize("setting", [{"OUTBOUND_MODE": "test"}, {"FLASK_DEBUG": "1"}])
def test_what_is_for_this_machine_is_refused_elsewhere(folder: Path, setting: dict[str, str]) -> None:
    with pytest.raises(UnsafeSettingError, match=next(iter(setting))):
        read(folder, PUBLIC_BASE_URL="https://app.example", SECRET_KEY=SECRET_KEY, **setting)


def test_an_unknown_outbound_mode_is_refused(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match="public, listed, test"):
        read(folder, OUTBOUND_MODE="everything")


@pytest.mark.parametrize("key", ["dev", "x" * 31])
def test_a_short_secret_key_is_refused(folder: Path, key: str) -> None:
    with pytest.raises(UnsafeSettingError, match="SECRET_KEY"):
        read(folder, SECRET_KEY=key)


def test_a_missing_secret_key_is_made_on_this_machine_only(folder: Path) -> None:
    assert len(read(folder).secret_key) == 64
    with pytest.raises(UnsafeSettingError, match="SECRET_KEY is missing; set it to"):
        read(folder, PUBLIC_BASE_URL="https://app.example")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TRUSTED_PROXY_HOPS", "-1"),
        ("TRUSTED_PROXY_HOPS", "yes"),
        ("TRUSTED_PROXY_HOPS", ""),
        ("LOGINS_PER_MINUTE", "0"),
        ("LOGINS_PER_MINUTE", "\uff11"),
    ],
)
def test_a_number_is_refused_by_name(folder: Path, name: str, text: str) -> None:
    with pytest.raises(UnsafeSettingError, match=f"{name} must be a whole number"):
        read(folder, **{name: text})


def test_loopback_servers_are_accepted_in_test_mode_only(folder: Path) -> None:
    assert read(folder, OUTBOUND_MODE="test").outbound.base_url_rules.literal_hosts == {"127.0.0.1"}
    assert read(folder).outbound.base_url_rules.literal_hosts == frozenset()


def test_secrets_are_not_shown_with_the_settings(folder: Path) -> None:
    settings = read(folder, SECRET_KEY="s" * 32, KEY_RING="k", DATABASE_URL="postgresql://u:p@h/d")
    for secret in ("s" * 32, "'k'", "u:p"):
        assert secret not in repr(settings)


NETWORK = ("ALLOWED_PRIVATE_NETWORKS", "10.20.0.0/16")
PROXY = ("OUTBOUND_PROXIES", "http://user:hunter2@proxy:3128")
LISTED = {"OUTBOUND_MODE": "listed", "ALLOWED_PRIVATE_NETWORKS": "17=10.20.0.0/16, 10.30.0.0/16; *=192.168.7.0/24"}


def test_private_networks_are_listed_for_each_organization(folder: Path) -> None:
    assert read(folder, **LISTED).outbound.private_networks == {
        "17": (ip_network("10.20.0.0/16"), ip_network("10.30.0.0/16")),
        "*": (ip_network("192.168.7.0/24"),),
    }


def test_private_networks_are_closed_by_default(folder: Path) -> None:
    assert not read(folder).outbound.address_policy("17").permits(ip_address("10.20.1.5"))


def test_the_sandboxs_address_is_open_in_test_mode_only(folder: Path) -> None:
    assert read(folder, OUTBOUND_MODE="test").outbound.address_policy("17").permits(ip_address("127.0.0.1"))
    assert not read(folder).outbound.address_policy("17").permits(ip_address("127.0.0.1"))


def test_a_network_that_is_never_allowed_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match=r"^ALLOWED_PRIVATE_NETWORKS: .*127\.0\.0\.0/8"):
        read(folder, OUTBOUND_MODE="listed", ALLOWED_PRIVATE_NETWORKS="*=127.0.0.0/8")


def test_listing_networks_without_the_mode_is_refused(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match="OUTBOUND_MODE=listed"):
        read(folder, ALLOWED_PRIVATE_NETWORKS="*=10.0.0.0/8")


def test_a_ca_bundle_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match="CA_BUNDLE"):
        read(folder, CA_BUNDLE="/nowhere/ca.pem")


def test_a_ca_bundle_is_trusted_for_every_integration(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    assert read(folder, CA_BUNDLE=bundle).outbound.verify == str(bundle)
    assert read(folder).outbound.verify is True


def test_only_listed_hosts_may_do_without_tls(folder: Path) -> None:
    rules = read(folder, ALLOW_INSECURE_HTTP="BB.acme.test, other.test").outbound.base_url_rules
    assert rules.plain_http_hosts == {"bb.acme.test", "other.test"}
    assert read(folder).outbound.base_url_rules.plain_http_hosts == frozenset()


def test_an_organizations_own_proxy_stands_in_place_of_that_for_all(folder: Path) -> None:
    settings = read(folder, OUTBOUND_PROXIES="17=http://acme-proxy:3128; *=http://proxy:3128")
    assert settings.outbound.proxies_of("17") == {"all": "http://acme-proxy:3128"}
    assert settings.outbound.proxies_of("23") == {"all": "http://proxy:3128"}
    assert read(folder).outbound.proxies_of("17") == {}


def test_the_password_of_a_proxy_is_not_shown(folder: Path) -> None:
    assert "hunter2" not in repr(read(folder, OUTBOUND_PROXIES="*=http://us%40er:hunter2@proxy:3128"))
    with pytest.raises(UnsafeSettingError, match=r"^OUTBOUND_PROXIES: The one for \* ") as refused:
        read(folder, OUTBOUND_PROXIES="*=http://us@er:hunter2@proxy:3128")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [NETWORK, PROXY])
def test_what_is_no_organizations_number_is_refused_and_not_shown(folder: Path, name: str, value: str) -> None:
    beginning = f"^{name}: Entry 2 does not begin with an id and =. 'flask organizations list' prints the ids."
    for wrong in ("acme", "0", "017"):
        with pytest.raises(UnsafeSettingError, match=beginning) as refused:
            read(folder, **{"OUTBOUND_MODE": "listed", name: f"17={value}; {wrong}={value}"})
        assert value not in str(refused.value)


@pytest.mark.parametrize(("text", "on"), [("", False), ("0", False), ("no", False), ("1", True), ("True", True)])
def test_tokens_are_kept_where_the_operator_says_so(folder: Path, text: str, on: bool) -> None:
    assert read(folder, STORE_ACCESS_TOKENS=text).store_access_tokens is on


def test_what_is_neither_on_nor_off_is_refused(folder: Path) -> None:
    with pytest.raises(UnsafeSettingError, match="STORE_ACCESS_TOKENS must be 1 or 0"):
        read(folder, STORE_ACCESS_TOKENS="on")

"""Keys and client secrets at rest: each opens for its own row alone, and private keys are parsed once."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from social_bitbucket_server.crypto import KeyRing, PrivateKey
from social_bitbucket_server.organizations import SealedKeys
from social_bitbucket_server.problems import BitbucketServerError
from tests.unit.organizations.rows import CredentialsRow, IntegrationRow, PairRow

OLD = KeyRing.generate()
NEW = KeyRing.generate().replace("1:", "2:", 1)


@pytest.fixture
def keys() -> SealedKeys:
    return SealedKeys(KeyRing.parse(OLD))


def sealed_pair(keys: SealedKeys, key: PrivateKey, **row: str) -> PairRow:
    pair = PairRow(**row)
    place = {"integration_id": pair.integration_id, "key_id": pair.id, "state": pair.state}
    return replace(pair, sealed_private_key=keys.seal_private_key(key, **place))


def sealed_credentials(keys: SealedKeys) -> CredentialsRow:
    sealed = keys.seal_client_secret("hunter2", integration_id="acme", credentials_id="credentials")
    return CredentialsRow(sealed_client_secret=sealed)


def sealed_integration(keys: SealedKeys) -> IntegrationRow:
    return IntegrationRow(sealed_client_key=keys.seal_client_key("a key", integration_id="acme"))


def problem_of(open_it: Callable[[Any], object], row: object) -> BitbucketServerError:
    with pytest.raises(BitbucketServerError) as caught:
        open_it(row)
    return caught.value


def test_what_was_sealed_opens(keys: SealedKeys, private_key: PrivateKey) -> None:
    assert keys.open_private_key(sealed_pair(keys, private_key)).public == private_key.public
    assert keys.open_client_secret(sealed_credentials(keys)) == "hunter2"
    assert keys.open_client_key(sealed_integration(keys)) == "a key"


def test_records_are_sealed_for_the_places_that_stored_ones_have(keys: SealedKeys, private_key: PrivateKey) -> None:
    ring = KeyRing.parse(OLD)
    pair, credentials, integration = (
        sealed_pair(keys, private_key),
        sealed_credentials(keys),
        sealed_integration(keys),
    )
    assert pair.sealed_private_key is not None
    for record, purpose, key_id in (
        (pair.sealed_private_key, "integration-private-key:active", "pair"),
        (credentials.sealed_client_secret, "integration-client-secret", "credentials"),
        (integration.sealed_client_key, "integration-client-key", "acme"),
    ):
        assert ring.open(record, purpose=purpose, integration_id="acme", key_id=key_id), purpose


@pytest.mark.parametrize("change", [{"id": "other"}, {"integration_id": "globex"}, {"state": "pending"}])
@pytest.mark.parametrize("is_opened", [False, True], ids=["never opened", "opened before"])
def test_a_private_key_opens_in_no_other_row(
    keys: SealedKeys, private_key: PrivateKey, change: dict[str, str], is_opened: bool
) -> None:
    pair = sealed_pair(keys, private_key)
    if is_opened:
        keys.open_private_key(pair)
    moved = replace(pair, **change)  # type: ignore[arg-type]  # all of these are texts
    assert problem_of(keys.open_private_key, moved).code == "sealed_key_unopenable"


def test_client_secrets_and_keys_open_in_no_other_row(keys: SealedKeys) -> None:
    credentials, integration = sealed_credentials(keys), sealed_integration(keys)
    for open_it, row in (
        (keys.open_client_secret, replace(credentials, id="other")),
        (keys.open_client_secret, replace(credentials, integration_id="globex")),
        (keys.open_client_secret, replace(credentials, sealed_client_secret=integration.sealed_client_key)),
        (keys.open_client_key, replace(integration, id="globex")),
    ):
        assert problem_of(open_it, row).code == "sealed_key_unopenable", row


@pytest.mark.parametrize("erased", ["", None])
def test_an_erased_private_key_does_not_open(keys: SealedKeys, erased: str | None) -> None:
    problem = problem_of(keys.open_private_key, PairRow(sealed_private_key=erased))
    assert problem.code == "sealed_key_unopenable"


def test_an_integration_without_a_client_certificate_has_an_empty_key(keys: SealedKeys) -> None:
    assert keys.open_client_key(IntegrationRow()) == ""


def test_a_private_key_is_parsed_once(keys: SealedKeys, private_key: PrivateKey) -> None:
    pair = sealed_pair(keys, private_key)
    assert keys.open_private_key(pair) is keys.open_private_key(replace(pair))


def test_a_private_key_that_was_sealed_anew_is_opened_anew(
    keys: SealedKeys, private_key: PrivateKey, other_private_key: PrivateKey
) -> None:
    keys.open_private_key(sealed_pair(keys, private_key))
    assert keys.open_private_key(sealed_pair(keys, other_private_key)).public == other_private_key.public


def test_of_the_opened_keys_those_used_last_are_kept(private_key: PrivateKey) -> None:
    keys = SealedKeys(KeyRing.parse(OLD), kept=2)
    first, second, third = (sealed_pair(keys, private_key, id=str(number)) for number in range(3))
    opened = [keys.open_private_key(pair) for pair in (first, second, first, third)]
    assert keys.open_private_key(first) is opened[0]
    assert keys.open_private_key(second) is not opened[1]


def test_a_private_key_follows_its_row_into_another_state(keys: SealedKeys, private_key: PrivateKey) -> None:
    pair = sealed_pair(keys, private_key, state="pending")
    active = replace(pair, state="active", sealed_private_key=keys.private_key_sealed_for("active", pair))
    assert keys.open_private_key(active).public == private_key.public


@pytest.mark.parametrize(("record", "stays"), [("garbage", "garbage"), ("", ""), (None, "")])
def test_a_record_that_does_not_open_stays_in_another_state(keys: SealedKeys, record: str | None, stays: str) -> None:
    assert keys.private_key_sealed_for("active", PairRow(state="pending", sealed_private_key=record)) == stays


def test_the_newest_key_of_the_ring_seals_records_anew(keys: SealedKeys, private_key: PrivateKey) -> None:
    both, new = SealedKeys(KeyRing.parse(f"{NEW},{OLD}")), SealedKeys(KeyRing.parse(NEW))
    pair, credentials, integration = (
        sealed_pair(keys, private_key),
        sealed_credentials(keys),
        sealed_integration(keys),
    )
    pair.sealed_private_key = both.reseal_private_key(pair)
    credentials.sealed_client_secret = both.reseal_client_secret(credentials)
    integration.sealed_client_key = both.reseal_client_key(integration)
    assert new.open_private_key(pair).public == private_key.public
    assert new.open_client_secret(credentials) == "hunter2"
    assert new.open_client_key(integration) == "a key"


def test_nothing_that_does_not_open_is_sealed_anew(private_key: PrivateKey, keys: SealedKeys) -> None:
    other = SealedKeys(KeyRing.parse(NEW))
    for reseal, row in (
        (other.reseal_private_key, sealed_pair(keys, private_key)),
        (other.reseal_client_secret, sealed_credentials(keys)),
        (other.reseal_client_key, sealed_integration(keys)),
    ):
        assert problem_of(reseal, row).code == "sealed_key_unopenable", row


def test_an_error_shows_no_variables(keys: SealedKeys, private_key: PrivateKey) -> None:
    pair = sealed_pair(keys, private_key)
    other = SealedKeys(KeyRing.parse(NEW))
    problem = problem_of(other.open_private_key, pair)
    frames = [frame for frame, _ in traceback.walk_tb(problem.__traceback__)]
    assert [frame.f_locals for frame in frames if "organizations/sealing" in frame.f_code.co_filename] == [{}] * 2

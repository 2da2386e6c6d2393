"""Integrations made from rows: what is taken from where, what has to open, and what logins go on without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from social_bitbucket_server.crypto import KeyRing, PrivateKey
from social_bitbucket_server.integration import Admission, Integration, OAuth2Integration, Roles
from social_bitbucket_server.organizations import Assembler, KeyState, Outbound, SealedKeys, Unopened
from social_bitbucket_server.problems import BitbucketServerError, Code
from tests.unit.organizations.rows import CredentialsRow, IntegrationRow, PairRow

WAY_OUT = Outbound(timeout=3.0).way_out("17")
EDITOR = {"editor": {"projects": ["DOCS"]}}
ROW = IntegrationRow(
    admission=Admission(groups=("developers",)), roles=Roles.read(EDITOR | {"root": {"groups": ["developers"]}})
)


@pytest.fixture
def keys() -> SealedKeys:
    return SealedKeys(KeyRing.parse(KeyRing.generate()))


@pytest.fixture
def noted() -> list[Unopened]:
    """What could not be opened."""
    return []


@pytest.fixture
def assembler(keys: SealedKeys, noted: list[Unopened]) -> Assembler:
    return Assembler(lambda: keys, noted.append, lambda: ["editor", "viewer"])


def sealed(keys: SealedKeys, key: PrivateKey, **row: str) -> PairRow:
    pair = PairRow(**row)
    place = {"integration_id": pair.integration_id, "key_id": pair.id, "state": pair.state}
    return replace(pair, sealed_private_key=keys.seal_private_key(key, **place))


def credentials(keys: SealedKeys) -> CredentialsRow:
    record = keys.seal_client_secret("hunter2", integration_id="acme", credentials_id="credentials")
    return CredentialsRow(sealed_client_secret=record)


def check_common(made: Integration | OAuth2Integration) -> None:
    assert (made.id, made.name, made.namespace, made.revision) == ("acme", "Acme", "k3v9x1", "7")
    assert (made.admission, made.organization) == (ROW.admission, "17")
    assert made.roles == Roles.read(EDITOR), "the application offers no role root"
    assert str(made.server.url) == ROW.base_url
    assert (made.server.timeout, made.server.address_policy) == (3.0, WAY_OUT.address_policy)


def test_an_integration_is_its_row_its_key_pairs_and_the_operators_rules(
    assembler: Assembler, keys: SealedKeys, private_key: PrivateKey, other_private_key: PrivateKey
) -> None:
    own = sealed(keys, private_key)
    pending = sealed(keys, other_private_key, id="2", state="pending", consumer_key="second-link")
    replaced = sealed(keys, other_private_key, id="3", state="replaced", consumer_key="old-link")
    made = assembler.signing_with(ROW, own, WAY_OUT, pending=pending, replaced=replaced)
    check_common(made)
    assert (made.consumer_key, made.private_key) == ("first-link", keys.open_private_key(own))
    assert made.pending is not None
    assert (made.pending.consumer_key, made.pending.private_key.public) == ("second-link", other_private_key.public)
    assert made.replaced is not None
    assert (made.replaced.consumer_key, made.replaced.private_key.public) == ("old-link", other_private_key.public)


def test_an_integration_for_oauth_2_has_client_credentials(assembler: Assembler, keys: SealedKeys) -> None:
    made = assembler.by_oauth2(ROW, credentials(keys), WAY_OUT)
    check_common(made)
    assert (made.client_id, made.client_secret) == ("client", "hunter2")


def test_another_base_url_can_be_tried(assembler: Assembler, keys: SealedKeys, private_key: PrivateKey) -> None:
    new = "https://new.acme.example"
    pair = sealed(keys, private_key)
    assert str(assembler.signing_with(ROW, pair, WAY_OUT, base_url=new).server.url) == new
    assert str(assembler.by_oauth2(ROW, credentials(keys), WAY_OUT, base_url=new).server.url) == new


def test_a_client_certificate_is_shown_with_its_key(
    assembler: Assembler, keys: SealedKeys, private_key: PrivateKey
) -> None:
    record = keys.seal_client_key("key", integration_id="acme")
    row = replace(ROW, client_certificate="certificate", sealed_client_key=record)
    server = assembler.signing_with(row, sealed(keys, private_key), WAY_OUT).server
    assert (server.client_certificate, server.client_key) == ("certificate", "key")


@pytest.mark.parametrize("state", [KeyState.PENDING, KeyState.REPLACED])
def test_a_key_that_logins_can_do_without_is_left_out_and_noted(
    assembler: Assembler, keys: SealedKeys, private_key: PrivateKey, noted: list[Unopened], state: KeyState
) -> None:
    spare: dict[str, Any] = {state.value: PairRow(id="spare", state=state, sealed_private_key="garbage")}
    made = assembler.signing_with(ROW, sealed(keys, private_key), WAY_OUT, **spare)
    assert (made.pending, made.replaced) == (None, None)
    (unopened,) = noted
    assert (unopened.integration_id, unopened.left_out) == ("acme", state)
    assert unopened.problem.code == Code.SEALED_KEY_UNOPENABLE


def test_a_key_or_client_secret_that_logins_need_is_noted_and_raised(
    assembler: Assembler, keys: SealedKeys, private_key: PrivateKey, noted: list[Unopened]
) -> None:
    pair = sealed(keys, private_key)
    row = replace(ROW, client_certificate="certificate", sealed_client_key="garbage")
    for make in (
        lambda: assembler.signing_with(ROW, replace(pair, sealed_private_key="garbage"), WAY_OUT),
        lambda: assembler.signing_with(row, pair, WAY_OUT),
        lambda: assembler.by_oauth2(ROW, CredentialsRow(sealed_client_secret="garbage"), WAY_OUT),
        lambda: assembler.by_oauth2(row, credentials(keys), WAY_OUT),
        lambda: assembler.client_key(row),
    ):
        noted.clear()
        with pytest.raises(BitbucketServerError) as caught:
            make()
        assert noted == [Unopened("acme", caught.value)]
        assert caught.value.code == Code.SEALED_KEY_UNOPENABLE


def test_a_ring_that_is_missing_is_noted_and_raised(noted: list[Unopened]) -> None:
    def without_ring() -> SealedKeys:
        raise BitbucketServerError(Code.SETTING_MISSING)

    with pytest.raises(BitbucketServerError) as caught:
        Assembler(without_ring, noted.append).signing_with(ROW, PairRow(), WAY_OUT)
    assert noted == [Unopened("acme", caught.value)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"base_url": "http://bitbucket.acme.example"}, Code.INVALID_BASE_URL),
        ({"connect_to": "10.20.1.5:443"}, Code.CONNECT_TO_INVALID),
    ],
)
def test_a_server_that_is_not_allowed_any_more_is_refused(
    assembler: Assembler,
    keys: SealedKeys,
    private_key: PrivateKey,
    noted: list[Unopened],
    change: dict[str, Any],
    code: Code,
) -> None:
    with pytest.raises(BitbucketServerError) as caught:
        assembler.signing_with(replace(ROW, **change), sealed(keys, private_key), WAY_OUT)
    assert (caught.value.code, noted) == (code, [])

"""Private keys at rest: what a ring accepts, what it seals, and what it opens."""

import base64
import copy
import json
import pickle
import re
import string
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.problems import BitbucketServerError

PLAINTEXT = b"-----BEGIN PRIVATE KEY-----\nnot really one\n-----END PRIVATE KEY-----\n"
PLACE = {"purpose": "private-key", "integration_id": "acme-1", "key_id": "7"}


def key(number):
    return base64.b64encode(bytes([number]) * 32).decode()


OLD = f"1:{key(1)}"
BOTH = f"2:{key(2)},1:{key(1)}"
NEW = f"2:{key(2)}"


@pytest.fixture
def ring():
    return KeyRing.parse(BOTH)


def unopenable(ring, record, **place):
    with pytest.raises(BitbucketServerError) as caught:
        ring.open(record, **(PLACE | place))
    return caught.value


# The ring's text


@pytest.mark.parametrize("text", [OLD, BOTH, f" 2:{key(2)} ,\n 1:{key(1)}\n", f"999999999:{key(1)}"])
def test_a_ring_is_read(text):
    ring = KeyRing.parse(text)

    assert ring.open(ring.seal(PLAINTEXT, **PLACE), **PLACE) == PLAINTEXT


def test_a_generated_ring_is_a_ring_with_key_1():
    ring = KeyRing.parse(KeyRing.generate())

    assert ring.seal(PLAINTEXT, **PLACE).startswith("v1.1.")


def test_every_generated_ring_is_another_one():
    assert KeyRing.generate() != KeyRing.generate()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (key(1), "Entry 1 is not of the form"),
        (f"{BOTH},", "Entry 3 is not of the form"),
        (f":{key(1)}", "before the colon of entry 1"),
        (f"0:{key(1)}", "before the colon of entry 1"),
        (f"-1:{key(1)}", "before the colon of entry 1"),
        (f"01:{key(1)}", "before the colon of entry 1"),
        (f"1.5:{key(1)}", "before the colon of entry 1"),
        (f"\uff12:{key(1)}", "before the colon of entry 1"),
        (f"one:{key(1)}", "before the colon of entry 1"),
        (f"{OLD},{key(2)}:2", "before the colon of entry 2"),
        ("1:", "Key 1 is not the base64 of 32 bytes"),
        ("1:secret", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{key(1)[:-4]}", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{key(1).rstrip('=')}", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{base64.b64encode(bytes(range(16))).decode()}", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{base64.b64encode(bytes(range(31))).decode()}", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{base64.b64encode(bytes(range(33))).decode()}", "Key 1 is not the base64 of 32 bytes"),
        (f"1:{key(0)}", "all zeros"),
        (f"1:{key(1)},1:{key(2)}", "two keys 1"),
        (f"2:{key(1)},1:{key(1)}", "same as another"),
    ],
)
def test_what_is_no_ring_is_refused_with_a_reason(text, word):
    with pytest.raises(BitbucketServerError) as caught:
        KeyRing.parse(text)

    assert (caught.value.code, caught.value.parameter) == ("key_ring_invalid", "key_ring")
    assert word in caught.value.reason


@pytest.mark.parametrize(
    "make",
    [
        lambda: key(1),
        lambda: f"1:{key(1)[:-1]}",
        lambda: f"1:{key(1)},1:{key(1)}",
        lambda: f"{key(1)}:1",
        lambda: f"{OLD},",
    ],
)
def test_a_refusal_holds_no_key(make):
    try:
        KeyRing.parse(make())
    except BitbucketServerError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "key_ring" in shown
    assert key(1)[:12] not in shown


# Sealing and opening


def test_a_record_names_its_version_key_nonce_and_text(ring):
    version, number, nonce, sealed = ring.seal(PLAINTEXT, **PLACE).split(".")

    assert (version, number) == ("v1", "2")
    assert len(base64.b64decode(nonce)) == 12
    assert len(base64.b64decode(sealed)) == len(PLAINTEXT) + 16


def test_a_record_is_aes_256_gcm_over_its_place(ring):
    _, _, nonce, sealed = ring.seal(PLAINTEXT, **PLACE).split(".")
    place = json.dumps(["v1", "private-key", "acme-1", "7"]).encode()

    opened = AESGCM(bytes([2]) * 32).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), place)

    assert opened == PLAINTEXT


def test_the_same_text_is_sealed_differently_each_time(ring):
    assert ring.seal(PLAINTEXT, **PLACE) != ring.seal(PLAINTEXT, **PLACE)


def test_a_record_does_not_show_what_it_seals(ring):
    sealed = base64.b64decode(ring.seal(PLAINTEXT, **PLACE).split(".")[3])

    assert b"PRIVATE KEY" not in sealed


def test_an_older_key_of_the_ring_opens_what_it_sealed(ring):
    record = KeyRing.parse(OLD).seal(PLAINTEXT, **PLACE)

    assert ring.open(record, **PLACE) == PLAINTEXT


def test_a_ring_without_the_key_says_which_one_is_missing():
    error = unopenable(KeyRing.parse(NEW), KeyRing.parse(OLD).seal(PLAINTEXT, **PLACE))

    assert (error.code, error.parameter) == ("sealed_key_unopenable", "encryption_key")
    assert "no key 1" in error.reason


def test_another_key_of_the_same_number_does_not_open_a_record(ring):
    record = KeyRing.parse(f"2:{key(9)}").seal(PLAINTEXT, **PLACE)

    assert unopenable(ring, record).code == "sealed_key_unopenable"


@pytest.mark.parametrize(
    "place",
    [
        {"purpose": "token"},
        {"integration_id": "acme-2"},
        {"key_id": "8"},
        {"integration_id": "acme-17", "key_id": ""},
        {"purpose": "private-keyacme-1", "integration_id": ""},
        {"integration_id": 'acme-1", "7'},
    ],
)
def test_a_record_does_not_open_in_another_place(ring, place):
    assert unopenable(ring, ring.seal(PLAINTEXT, **PLACE), **place).code == "sealed_key_unopenable"


def test_places_whose_parts_join_to_the_same_text_are_different(ring):
    record = ring.seal(PLAINTEXT, purpose="p", integration_id="a", key_id="b,c")

    assert unopenable(ring, record, purpose="p", integration_id="a,b", key_id="c").code == "sealed_key_unopenable"


def test_no_changed_bit_goes_unnoticed(ring):
    record = ring.seal(b"short", **PLACE)
    changed = {
        record[:position] + chr(ord(record[position]) ^ 1 << bit) + record[position + 1 :]
        for position in range(len(record))
        for bit in range(7)
    }

    assert {unopenable(ring, text).code for text in changed} == {"sealed_key_unopenable"}


def test_a_record_has_one_spelling(ring):
    record = ring.seal(b"four", **PLACE)
    # Where bytes are no multiple of three, their last character in base64 has bits to spare.
    bits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    text = record.rstrip("=")
    spellings = {text[:-1] + last + record[len(text) :] for last in bits} | {text, f"{record}=", f"{record}\n"}

    for changed in spellings - {record}:
        assert unopenable(ring, changed).code == "sealed_key_unopenable"


@pytest.mark.parametrize(
    "record",
    [
        "",
        "v1",
        "v1.2.AAAAAAAAAAAAAAAA",
        "v1.2.AAAAAAAAAAAAAAAA.AAAA.AAAA",
        "v2.2.AAAAAAAAAAAAAAAA.AAAA",
        "v1..AAAAAAAAAAAAAAAA.AAAA",
        "v1.x.AAAAAAAAAAAAAAAA.AAAA",
        "v1.2.AAAA.AAAA",
        "v1.2.AAAAAAAAAAAAAAAA.",
        "v1.2.AAAAAAAAAAAAAAAA.AAAA",
        "v1.2.AAAAAAAAAAAAAAAA.AAA",
        "v1.2.AAAAAAAAAAAAAAAA.é",
    ],
)
def test_what_is_no_record_is_not_opened(ring, record):
    assert unopenable(ring, record).code == "sealed_key_unopenable"


# Rotating


def test_a_rotation_goes_from_the_old_key_by_both_to_the_new_one():
    record = KeyRing.parse(OLD).seal(PLAINTEXT, **PLACE)

    resealed = KeyRing.parse(BOTH).reseal(record, **PLACE)

    assert KeyRing.parse(NEW).open(resealed, **PLACE) == PLAINTEXT
    assert unopenable(KeyRing.parse(OLD), resealed).code == "sealed_key_unopenable"


def test_resealing_twice_changes_nothing_more(ring):
    resealed = ring.reseal(KeyRing.parse(OLD).seal(PLAINTEXT, **PLACE), **PLACE)

    assert ring.reseal(resealed, **PLACE) == resealed


def test_a_record_that_does_not_open_is_not_resealed(ring):
    record = ring.seal(PLAINTEXT, **PLACE)

    with pytest.raises(BitbucketServerError) as caught:
        ring.reseal(record, **(PLACE | {"key_id": "8"}))

    assert caught.value.code == "sealed_key_unopenable"


# Keeping it to itself


def test_a_ring_shows_the_numbers_of_its_keys_only(ring):
    assert repr(ring) == "<KeyRing 2, 1>"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_ring_cannot_be_taken_out_in_passing(ring, take):
    with pytest.raises(TypeError):
        take(ring)


def test_the_documentation_seals_private_keys_and_rotates_the_ring(monkeypatch):
    page = Path(__file__).parents[3] / "docs/many-organizations.md"
    source = re.search(r"## Private keys in your database.*?```python\n(.*?)```", page.read_text(), re.DOTALL)[1]

    def page_with(ring):
        monkeypatch.setenv("KEY_RING", ring)
        names = {}
        exec(compile(source, str(page), "exec"), names)
        return SimpleNamespace(**names)

    old, new = KeyRing.generate(), KeyRing.generate().removeprefix("1:")
    row = SimpleNamespace(id="acme", key_id="first")
    page_with(old).make_key_pair(row)
    page_with(f"2:{new},{old}").rewrap(row)
    assert page_with(f"2:{new}").open_private_key(row).public.pem == row.public_key
    with pytest.raises(BitbucketServerError):
        page_with(old).open_private_key(row)

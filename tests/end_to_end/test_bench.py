"""What a login costs in connections and requests; the times are for ``make bench`` to tell."""

import subprocess
import sys

import pytest

from bench.login.__main__ import bench
from bench.login.measure import traffic
from social_bitbucket_server.keys import PrivateKey


@pytest.fixture
def ready(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with bench(rounds=1) as ready:
        yield ready


@pytest.fixture
def contenders(ready, private_key):
    contenders = ready.contenders(private_key.pem())
    yield contenders
    for contender in contenders.values():
        contender.hang_up()


def test_everybody_logs_the_same_person_in(contenders):
    assert {contender.login() for contender in contenders.values()} == {"jane"}


def test_a_cold_login_of_ours_takes_one_connection_and_a_warm_one_takes_none(ready, contenders):
    seen = traffic(contenders["ours"], ready.server)
    assert {temperature: counts["connections"] for temperature, counts in seen.items()} == {"cold": 1, "warm": 0}
    assert {temperature: counts["requests"] for temperature, counts in seen.items()} == {"cold": 4, "warm": 4}


def test_a_login_signs_four_times_and_reads_the_key_once(contenders, monkeypatch):
    contenders["ours"].login()
    signed, read = [], []
    sign, read_key = PrivateKey.sign_sha1, PrivateKey.read
    monkeypatch.setattr(PrivateKey, "sign_sha1", lambda key, message: signed.append(message) or sign(key, message))
    monkeypatch.setattr(PrivateKey, "read", lambda *given: read.append(given) or read_key(*given))
    contenders["ours"].login()
    assert (len(signed), len(read)) == (4, 0)


def test_a_process_that_logs_nobody_in_loads_neither_cryptography_nor_the_transport():
    program = (
        "import sys, social_bitbucket_server.backends; "
        "sys.exit(' '.join({'cryptography', 'social_bitbucket_server.transport'} & set(sys.modules)))"
    )
    assert not subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.strip()

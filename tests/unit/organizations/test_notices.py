"""Notices of what ends soon or has been failing for long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from social_bitbucket_server.organizations import (
    NOTICES,
    Condition,
    EventCode,
    FailureEvent,
    Notice,
    State,
    ending_certificates,
    notices,
)
from social_bitbucket_server.transport import read_ca_certificates
from tests.client_certificates import issue

NOW = datetime.now(UTC).replace(microsecond=0)
WORKING = Condition(State.WORKING)
CLIENT, CA, FAILING = NOTICES
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Row:
    """An integration's row. Its certificates end at these days from now."""

    client_certificate: str = ""
    ca_certificates: str = ""

    @classmethod
    def of(cls, client: tuple[int, ...] = (), ca: tuple[int, ...] = ()) -> Row:
        authority = trustme.CA()

        def pem(days: tuple[int, ...]) -> str:
            return "".join(issue(authority, days=end).client_certificate for end in days)

        return cls(pem(client), pem(ca))


@pytest.mark.parametrize(
    ("client", "ca", "found"),
    [
        ((), (), []),
        ((31,), (400,), []),
        ((29,), (), [(CLIENT, 29, False)]),
        ((), (29,), [(CA, 29, False)]),
        ((400,), (400, 3, 20), [(CA, 3, False)]),
        ((-1,), (-100, 5), [(CLIENT, -1, True), (CA, -100, True)]),
        ((400, 3), (), []),
    ],
)
def test_there_is_a_notice_of_each_kind_of_certificate_that_ends_within_thirty_days(
    client: tuple[int, ...], ca: tuple[int, ...], found: list[tuple[EventCode, int, bool]]
) -> None:
    ending = ending_certificates(Row.of(client, ca), NOW)
    assert [(each.event, round((each.at - NOW) / DAY), each.is_over) for each in ending] == found


@pytest.mark.parametrize(("hours", "is_told"), [(0, False), (23, False), (24, True), (24 * 60, True)])
def test_there_is_a_notice_of_an_integration_that_has_been_failing_for_a_day(hours: int, is_told: bool) -> None:
    since = NOW - hours * HOUR
    failing = Condition(State.FAILING, FailureEvent(since, "server_error"))
    expected = (Notice(FAILING, since, problem="server_error"),) if is_told else ()
    assert notices(Row(), failing, NOW) == expected
    assert notices(Row(), WORKING, NOW) == ()


@pytest.mark.parametrize(
    ("event", "days_failing", "recorded_days_ago", "is_new"),
    [
        (CLIENT, 5, None, True),
        (CLIENT, 5, 29, False),
        (CLIENT, 5, 30, True),
        (CA, 5, 1, False),
        (FAILING, 5, None, True),
        (FAILING, 5, 4, False),
        (FAILING, 5, 6, True),
        (FAILING, 40, 30, True),
        (FAILING, 40, 29, False),
    ],
)
def test_a_notice_is_recorded_once_a_month_and_for_another_failure_at_once(
    event: EventCode, days_failing: int, recorded_days_ago: int | None, is_new: bool
) -> None:
    recorded_at = None if recorded_days_ago is None else NOW - recorded_days_ago * DAY
    assert Notice(event, NOW - days_failing * DAY).is_new(recorded_at, NOW) is is_new


@pytest.mark.parametrize("year", [b"0000", b"0001"])
def test_a_certificate_that_ended_in_the_first_years_there_were_has_ended(year: bytes) -> None:
    key, name, first = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, first, datetime(2051, 1, 1, tzinfo=UTC))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    der = made.sign(key, SHA256()).public_bytes(Encoding.DER)
    given = der.replace(b"20510101000000Z", year + b"0101000000Z")
    (notice,) = ending_certificates(Row(ca_certificates=read_ca_certificates(given)), NOW)
    assert (notice.is_over, notice.at) == (True, datetime(1970, 1, 1, tzinfo=UTC))

"""Whatever breaks while people log in: nothing is lost or done twice, and nobody is taken for somebody else."""

from __future__ import annotations

import pytest

from bench.load import faults
from bench.load.place import Place

pytestmark = pytest.mark.postgresql
LOGINS = 60


@pytest.mark.parametrize(
    "fault",
    [faults.killed_workers, faults.restarted_database, faults.stalled_servers(3)],
    ids=["a worker killed every second", "PostgreSQL restarted", "Bitbucket stalls"],
)
def test_everybody_gets_in_in_the_end_and_all_of_it_is_sound(here: Place, fault: faults.Fault) -> None:
    counts, _ = faults.run(here, fault, LOGINS)
    assert (counts.logins, counts.never) == (LOGINS, 0), counts
    assert counts.are_sound, counts


def test_a_server_that_is_dead_keeps_nobody_out_of_the_others(here: Place) -> None:
    counts, _ = faults.run_with_a_dead_server(here, LOGINS, dead=True)
    assert (counts.logins, counts.never) == (LOGINS, 0), counts
    assert counts.retries <= LOGINS // 2, counts  # some may have to begin anew
    assert not [cause for cause in counts.causes if cause.endswith(" 500")], here.log.read_text()
    assert counts.are_sound, counts

"""M1: who somebody is."""

from tests.security.world import ALICE, person


def test_m1_row_01_equal_ids_of_two_servers_are_two_people(world):
    alice, mallory = world.browser(), world.browser()
    assert alice.log_in(world.a, "alice").status == 303
    assert mallory.log_in(world.b, "mallory").status == 303
    first, second = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": first.id, f"{world.b.namespace}:42": second.id}
    assert "Organization A" in alice.get(world.a.account_path).text
    assert "Organization B" in mallory.get(world.b.account_path).text
    assert len(world.events("login.success")) == 2


def test_m1_row_02_an_equal_email_address_merges_nobody(world):
    world.browser().log_in(world.a, "alice")
    world.fb.knows(person(7, "eve", emailAddress=ALICE["emailAddress"]))
    assert world.browser().log_in(world.b, "eve").status == 303
    first, second = world.users()
    assert first.id != second.id
    assert second.organization_id == world.b.organization_id

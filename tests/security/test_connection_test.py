"""*Test connection* gives nothing away and changes nothing."""

from tests.security.world import PROPERTIES, REQUEST_TOKEN, Reply


def run_test(owner, place):
    return owner.post(f"{place.settings_path}/test", token_from=place.settings_path)


def test_a_working_integration_passes_every_stage(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    with world.nothing_new():
        page = run_test(owner, world.a)
    assert page.text.count('class="passed"') == 8
    assert world.fa.paths() == [PROPERTIES, REQUEST_TOKEN]
    assert world.events("integration.tested")[-1]["outcome"] == "passed"


def test_a_blocked_address_looks_exactly_like_a_name_that_does_not_exist(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    world.addresses["bb-b.test"] = world.addresses["deny.test"]
    blocked = run_test(owner, world.b)
    del world.addresses["bb-b.test"]
    unknown = run_test(owner, world.b)
    assert blocked.status == unknown.status == 200
    assert blocked.without_reference == unknown.without_reference
    assert world.fb.received == []


def test_a_hostile_answer_is_shown_as_text_alone(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    world.fb.scripts[PROPERTIES] = Reply('{"version": "<script>alert(1)</script>", "displayName": "Bitbucket"}')
    page = run_test(owner, world.b)
    assert "<script>alert" not in page.text
    world.fb.scripts[PROPERTIES] = Reply('{"version": "9.0.0", "displayName": "Bitbucket"}')
    base_string = "POST%26https%253A%252F%252F%253Cb%253E%26x%253D%253Cscript%253E"
    world.fb.scripts[REQUEST_TOKEN] = Reply(
        f"oauth_problem=signature_invalid&oauth_signature_base_string={base_string}", 401
    )
    assert "<script>" not in run_test(owner, world.b).text


def test_the_owner_of_another_organization_cannot_test(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    page = owner.post(f"{world.a.settings_path}/test", token_from=world.b.settings_path)
    assert page.status == 404
    assert world.fa.received == []


def test_get_tests_nothing(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    assert owner.get(f"{world.a.settings_path}/test").status == 405
    assert world.fa.received == []

"""The trial login shows whether people may log in, and is worth nothing else."""

from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.scripted_server import Reply
from tests.security.world import ACCESS_TOKEN, PROPERTIES


def begin(owner, place):
    return owner.post(f"{place.settings_path}/try", token_from=place.settings_path)


def test_a_trial_shows_the_account_and_logs_nobody_in(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    with world.nothing_new():
        back = owner.finish(world.a, begin(owner, world.a), "alice")
        page = owner.get(back.location)
    assert "Bitbucket says that you are Alice." in page.text
    assert "Username alice, user id 42" in page.text
    assert owner.get(world.a.settings_path).status == 200, "still the owner"
    assert (
        world.events("integration.tested")[-1] | {"outcome": "passed", "trial": True}
        == (world.events("integration.tested")[-1])
    )


def test_a_trial_that_fails_says_why_and_keeps_the_owner(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    world.fa.scripts[PROPERTIES] = Reply('{"errors":[]}', 401)
    with world.nothing_new():
        page = owner.get(owner.finish(world.a, begin(owner, world.a), "alice").location)
    assert "failed" in page.text
    assert "What to do" in page.text
    assert owner.get(world.a.settings_path).status == 200


def test_a_trial_works_once(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    token, verifier = world.fa.authorize(begin(owner, world.a).location, "alice")
    callback = world.a.callback(oauth_token=token, oauth_verifier=verifier)
    assert owner.get(callback).status == 303
    assert owner.get(callback).status == 400
    assert world.fa.count(ACCESS_TOKEN) == 1


def test_a_trial_that_comes_back_to_another_person_is_refused(world):
    """Check that an attacker gains nothing by making the owner finish the attacker's trial, or by taking over the
    owner's."""
    owner = world.browser()
    owner.log_owner_in(world.a)
    begun = begin(owner, world.a)
    with world.nothing_new():
        elsewhere = world.stranger()
        assert elsewhere.finish(world.a, begun, "alice").status == 400
        owner.post(f"/o/{world.a.slug}/logout", token_from=world.a.settings_path)
        assert owner.finish(world.a, begun, "alice").status == 400
    assert world.fa.count(ACCESS_TOKEN) == 0


def test_a_trial_is_not_for_others(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    member = world.browser()
    member.log_in(world.a, "alice")
    path = f"{world.a.settings_path}/try"
    assert owner.post(path, token_from=world.b.settings_path).status == 404
    assert member.post(path, token_from=world.a.account_path).status == 404
    assert owner.get(f"{world.b.settings_path}/try").status == 405
    assert owner.get(f"{world.a.settings_path}/trial").status == 404
    assert world.browser().post(path, {"csrf_token": "x"}).status == 400


def test_what_the_profile_says_is_shown_as_text_alone(world):
    world.fb.people["mallory"]["displayName"] = "<script>alert(1)</script>"
    owner = world.browser()
    owner.log_owner_in(world.b)
    page = owner.get(owner.finish(world.b, begin(owner, world.b), "mallory").location)
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text


def test_a_disabled_integration_cannot_be_tried(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    world.change_integration(world.a, disabled_at=clock.now())
    assert begin(owner, world.a).location.endswith(world.a.settings_path)
    assert world.fa.received == []

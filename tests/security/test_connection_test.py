"""*Test connection* gives nothing away and changes nothing."""

import threading
from http.client import HTTPConnection
from urllib.parse import urlencode

from social_bitbucket_server.flask.organizations import connection
from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flask_app import database
from tests.flask_app.models import models
from tests.security.world import HOST, PROPERTIES, REQUEST_TOKEN, Reply
from tests.transports import forget_servers

ADD = "/o/b/settings/integrations/add"


def told(line):
    return line["host"], line["address_class"]


def run_test(owner, place):
    return owner.post(f"{place.settings_path}/test", token_from=place.settings_path)


def test_a_working_integration_passes_every_stage(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    with world.nothing_new():
        page = run_test(owner, world.a)
    assert page.text.count('class="passed"') == 9
    assert world.fa.paths() == [PROPERTIES, REQUEST_TOKEN, PROPERTIES]
    assert world.events("integration.tested")[-1]["outcome"] == "passed"


def test_a_blocked_address_looks_exactly_like_a_name_that_does_not_exist(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    world.addresses["bb-b.test"] = world.addresses["deny.test"]
    blocked = run_test(owner, world.b)
    assert [told(line) for line in world.events("outbound.blocked")] == [("bb-b.test", "never")]
    del world.addresses["bb-b.test"]
    unknown = run_test(owner, world.b)
    assert blocked.status == unknown.status == 200
    assert blocked.without_reference == unknown.without_reference
    assert len(world.events("outbound.blocked")) == 1
    assert world.fb.received == []


def test_whoever_has_a_set_up_link_sees_no_difference_either(world):
    token, pages = world.set_up_link(world.b), []
    for addresses in (world.addresses["deny.test"], []):
        world.addresses["bb-b.test"] = addresses
        pages.append(world.browser().post(f"/setup/{token}/test", token_from=f"/setup/{token}").without_reference)
    assert pages[0] == pages[1]
    assert "address_class" not in pages[0]
    assert [told(line) for line in world.events("outbound.blocked")] == [("bb-b.test", "never")]


def test_a_server_that_is_looked_at_tells_the_log_alone_that_it_is_blocked(world):
    owner, pages = world.browser(), []
    owner.log_owner_in(world.b)
    form = {"base_url": world.fb.url, "oauth_version": "1"}
    for addresses in (world.addresses["deny.test"], []):
        world.addresses["bb-b.test"] = addresses
        page = owner.post(f"{ADD}/look", form, token_from=ADD)
        assert "does not lead to a server" in page.text
        pages.append(page.without_reference)
    assert pages[0] == pages[1]
    (line,) = world.events("outbound.blocked")
    assert (*told(line), line["organization_id"]) == ("bb-b.test", "never", world.b.organization_id)


def test_the_way_back_to_oauth_1_tells_the_log_alone_that_it_is_blocked(world):
    owner, pages = world.browser(), []
    owner.log_owner_in(world.b)
    path = f"{world.b.settings_path}/oauth2"
    owner.post(path, {"client_id": "id", "client_secret": "secret"}, token_from=path)
    world.change_integration(world.b, oauth1_ended_at=clock.now())
    for addresses in (world.addresses["deny.test"], []):
        forget_servers()
        world.addresses["bb-b.test"] = addresses
        page = owner.post(f"{path}/go-back", token_from=path)
        assert page.status == 422
        pages.append(page.without_reference)
    assert pages[0] == pages[1]
    (line,) = world.events("outbound.blocked")
    assert (*told(line), line["integration_id"]) == ("bb-b.test", "never", world.b.integration_id)


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
    assert owner.get(f"{world.a.settings_path}/test").status == 200, "a page with the button"
    assert world.fa.received == []


class Watching:
    """Presses *Test connection*, and reads the page as far as it has come."""

    def __init__(self, world, owner, place):
        token = owner.get(place.settings_path).csrf_token
        self._connection = HTTPConnection("127.0.0.1", world.port, timeout=120)
        self._connection.request(
            "POST",
            f"{place.settings_path}/test",
            urlencode({"csrf_token": token}),
            {
                "Host": HOST,
                "Cookie": "; ".join(f"{name}={value}" for name, value in owner.cookies.items()),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        self.response = self._connection.getresponse()
        self.text = ""

    def read_until(self, words):
        while words not in self.text:
            piece = self.response.read1()
            assert piece, self.text
            self.text += piece.decode()

    def go_away(self):
        self.response.close()
        self._connection.close()


def test_each_stage_is_shown_while_the_next_one_still_waits(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    asked, answer = threading.Event(), threading.Event()

    def wait(request):
        asked.set()
        answer.wait(120)
        return world.fa.honest[PROPERTIES](request)

    world.fa.scripts[PROPERTIES] = wait
    watching = Watching(world, owner, world.a)
    try:
        watching.read_until("and the certificate is trusted")
        assert asked.wait(120)
        assert "Bitbucket 8.7.0" not in watching.text
        assert watching.response.headers["X-Accel-Buffering"] == "no"
        answer.set()
        watching.read_until("Try a login")
    finally:
        answer.set()
        watching.go_away()


def test_a_test_that_nobody_watches_to_its_end_is_written_down(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    with world.context():
        record = database.session.get_one(models.integration, world.a.integration_id)
        test = connection.ConnectionTest(record, OAuth.ONE)
    stages = iter(test)
    next(stages)
    stages.close()
    assert world.events("integration.tested")[-1]["outcome"] == "interrupted"
    assert "An integration&#39;s connection was tested" in owner.get(f"/o/{world.a.slug}/settings/events").text


def test_a_mistake_of_ours_in_the_middle_ends_in_a_sentence(world, monkeypatch):
    def breaks_off(*_):
        raise RuntimeError("forced")
        yield

    monkeypatch.setattr(connection, "check_up", breaks_off)
    owner = world.browser()
    owner.log_owner_in(world.a)
    page = run_test(owner, world.a)
    assert "The test broke off" in page.text
    assert "forced" not in page.text
    assert page.text.rstrip().endswith("</html>")
    reference = world.events("integration.tested")[-1]["reference"]
    assert reference in page.text


def test_tests_have_a_limit_of_their_own(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    statuses = [run_test(owner, world.a).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert world.browser().begin(world.a).status == 303, "logins are counted apart"

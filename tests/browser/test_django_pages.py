"""Django's pages by WCAG 2.2 AA and on narrow screens, with names as long as they may be.

Django answers within this process before the browser opens the pages.
"""

import mimetypes
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.acts import overflow
from tests.browser.inspection import Inspector
from tests.browser.waiting import expect
from tests.frameworks.django import project

pytestmark = pytest.mark.browser

HOST = "http://127.0.0.1:8000"
OURS = ".bitbucket-server"  # within Django's administration
LONG = "Donaudampfschifffahrtsgesellschaft" * 2


@pytest.fixture
def pages(spare_keys, monkeypatch, sandbox):
    """The pages of Django by their addresses, in every state that they have."""
    with project.tables():
        yield _Pages(spare_keys, monkeypatch, sandbox).found


class _Pages:
    def __init__(self, spare_keys, monkeypatch, sandbox):
        from tests.frameworks.django import conftest as django

        keys = iter([spare_keys.take() for _ in range(6)])
        monkeypatch.setattr(django.integrations, "make_private_key", lambda: next(keys))
        self.django = django
        self.sandbox = sandbox
        self.found = {}
        self.record = django.make_integration(
            "d" * 40, sandbox, organization=LONG, allow_groups=["g" * 120], connect_to=f"{'x' * 60}.example:7990"
        )
        self.others = [django.make_integration("another-one", sandbox, organization=LONG)]
        for record in (self.record, *self.others):
            type(record).objects.filter(pk=record.pk).update(name=LONG, connect_to="")
        django.get_user_model().objects.create_superuser("root", "root@app.example", django.PASSWORD)
        self.staff = django.Visitor()
        assert self.staff.client.login(username="root", password=django.PASSWORD)
        self.admin = f"/admin/social_bitbucket_server/integration/{self.record.pk}"
        self._draft()
        self._in_use()
        self._key_pairs()
        self._failing()

    def _keep(self, name, answer):
        assert answer.status_code in {200, 410, 422, 503}, (name, answer.status_code)
        self.found[f"{HOST}/{name}"] = answer.content

    def _press(self, action, **fields):
        return self.staff.post(f"{self.admin}/{action}/", form_at=f"{self.admin}/setup/", **fields)

    def _draft(self):
        for name in ("setup", "setup-link", "login-link", "change", "delete", "history"):
            self._keep(f"draft/{name}", self.staff.open(f"{self.admin}/{name}/"))
        self._keep("form", self.staff.open("/admin/social_bitbucket_server/integration/add/"))
        made = self._press("make-setup-link")
        self._keep("draft/set-up-link-made", made)
        self._keep("draft/set-up-link-live", self.staff.open(f"{self.admin}/setup-link/"))
        address = urlsplit(re.search(r'id="setup-link" value="([^"]+)"', made.content.decode())[1]).path
        bitbucket_admin = self.django.Visitor()
        self._keep("set-up/page", bitbucket_admin.open(address))
        wrong = {"base_url": "x" * 200, "ca_certificates": "x" * 200}
        self._keep("set-up/wrong", bitbucket_admin.post(f"{address}server/", form_at=address, **wrong))
        self._keep("set-up/test", bitbucket_admin.post(f"{address}test/", form_at=address))
        self._press("revoke-setup-link")
        self._keep("set-up/over", bitbucket_admin.open(address))

    def _in_use(self):
        person = self.django.Visitor()
        self._keep("login", person.open(self.django.login_page(self.record)))
        # The connection goes where it is tested; the conditions would keep the person out.
        type(self.record).objects.update(allow_groups=[])
        self.record.refresh_from_db()
        person.log_in(self.record, self.sandbox)
        begun = self._press("try")
        self.staff.open(self.sandbox.authorize(begun["Location"], user="jane"))
        self._keep("trial", self.staff.open(f"{self.admin}/trial/"))
        self._keep("in-use", self.staff.open(f"{self.admin}/setup/"))
        for name in ("login-link", "people", "oauth2", "confirm-disabling"):
            self._keep(f"in-use/{name}", self.staff.open(f"{self.admin}/{name}/"))

    def _key_pairs(self):
        self._press("new-key-pair")
        self._keep("key-pair/refused", self._press("verify-key-pair"))
        self._press("new-key-pair", link="new")
        self._keep("key-pair/new-link", self.staff.open(f"{self.admin}/setup/"))
        pair = self.record.pending_key_pair
        self.sandbox.link(
            consumer_key=pair.consumer_key,
            public_key=pair.public_pem,
            application_url=self.django.integrations.application_url(self.record, pair.link),
        )
        self._press("verify-key-pair")
        self._keep("key-pair/old-link", self.staff.open(f"{self.admin}/setup/"))

    def _failing(self):
        self.sandbox.faults.seen_host = "internal.example"
        check_up = self._press("check-up")
        assert "The server sees" in check_up.content.decode()
        self._keep("failing/check-up", check_up)
        self._keep("failing/login", self.django.Visitor().begin(self.record))
        self._keep("failing/setup", self.staff.open(f"{self.admin}/setup/"))
        listed = self.staff.open("/admin/social_bitbucket_server/integration/")
        assert "has failed since" in listed.content.decode()
        self._keep("failing/list", listed)
        self._keep("events", self.staff.open("/admin/social_bitbucket_server/event/"))


def _answer(route, pages):
    """Answer with the page, or with the file of ours or Django's that it asks for."""
    from django.contrib.staticfiles import finders

    address = urlsplit(route.request.url)
    if route.request.url in pages:
        route.fulfill(body=pages[route.request.url], content_type="text/html; charset=utf-8")
        return
    file = finders.find(address.path.removeprefix("/static/")) if address.path.startswith("/static/") else None
    if file is None:
        route.fulfill(status=404, body="")
        return
    kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
    route.fulfill(body=Path(file).read_bytes(), content_type=kind)


def test_wcag_finds_nothing_and_no_page_of_django_is_wider_than_its_screen(pages, page):
    page.route("**/*", lambda route: _answer(route, pages))
    inspector = Inspector()
    for address in pages:
        page.goto(address)
        expect(page.locator("h1, h2").first).to_be_visible()
        page.add_style_tag(content="* { transition: none !important; }")  # between two colours, contrasts are low
        is_public = page.locator("#header").count() == 0
        if is_public or page.locator(OURS).count() > 0:
            inspector.inspect(page, address, None if is_public else OURS)
        elif overflow(page) != [0, 0]:
            inspector.findings.append(f"{address} is wider than its screen")
    assert inspector.findings == []

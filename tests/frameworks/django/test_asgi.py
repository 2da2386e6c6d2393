"""Tests of the pages of many organizations behind an ASGI server."""

import asyncio
import re
from urllib.parse import urlsplit

import httpx2
from asgiref.sync import async_to_sync
from django.core.asgi import get_asgi_application

from social_bitbucket_server.django.models import Event
from tests.frameworks.django.conftest import PASSWORD, happenings, login_page
from tests.frameworks.django.test_admin import ADMIN

ORIGIN = "http://127.0.0.1:8000"


class Browser:
    """A browser of an ASGI application."""

    def __init__(self):
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(get_asgi_application()), base_url=ORIGIN)

    async def post(self, address, form_at=None, **fields):
        page = await self.client.get(form_at or address)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        headers = {"Origin": ORIGIN}
        return await self.client.post(address, data={"csrfmiddlewaretoken": token, **fields}, headers=headers)

    async def begin(self, record):
        begun = await self.post(login_page(record))
        assert begun.status_code == 303, begun.text
        return begun.headers["Location"]

    async def log_in(self, record, sandbox, user="jane"):
        callback = await asyncio.to_thread(sandbox.authorize, await self.begin(record), user=user)
        return await self.client.get(callback)


def in_a_browser(steps):
    """Run *steps*, which get a browser. The application's views use this thread, and its connection to the database."""

    async def run():
        browser = Browser()
        async with browser.client:
            return await steps(browser)

    return async_to_sync(run)()


def test_a_person_logs_in_and_stays_logged_in(acme, bitbucket_sandbox):
    async def steps(browser):
        back = await browser.log_in(acme, bitbucket_sandbox)
        home = await browser.client.get("/")
        return back.status_code, urlsplit(back.headers["Location"]).path, home.text

    assert in_a_browser(steps) == (303, "/", "Hello jane")
    assert happenings()[-2:] == ["login.begin", "login.success"]


def test_a_session_ends_with_its_integration(acme, bitbucket_sandbox):
    async def steps(browser):
        await browser.log_in(acme, bitbucket_sandbox)
        await type(acme).objects.aupdate(enabled=False)
        return (await browser.client.get("/")).text

    assert in_a_browser(steps) == "Hello nobody"


def test_a_failed_login_has_its_page(acme):
    async def steps(browser):
        return await browser.client.get(f"/complete/bitbucket-server/{acme.pk}/?oauth_token=x&oauth_verifier=y")

    page = in_a_browser(steps)
    assert page.status_code == 400
    assert Event.objects.latest("id").reference in page.text


def test_two_people_log_in_at_once(acme, bitbucket_sandbox):
    async def steps(browser):
        other = Browser()
        async with other.client:
            await asyncio.gather(browser.log_in(acme, bitbucket_sandbox), other.log_in(acme, bitbucket_sandbox, "kim"))
            return [(await each.client.get("/")).text for each in (browser, other)]

    assert in_a_browser(steps) == ["Hello jane", "Hello kim"]


def test_the_administration_tests_a_connection(staff, acme):
    async def steps(browser):
        await browser.post("/admin/login/", username="root", password=PASSWORD)
        return await browser.post(f"{ADMIN}{acme.pk}/check-up/", form_at=f"{ADMIN}{acme.pk}/setup/")

    page = in_a_browser(steps)
    assert page.status_code == 200
    assert "The connection works." in page.text

"""Logins in Starlette, through its test client, and what FastAPI adds."""

import asyncio
import re
import threading
from typing import Annotated, Any
from urllib.parse import urlsplit

import jinja2
import pytest
from social_core.exceptions import SocialAuthBaseException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from social_bitbucket_server.any_framework import form_token
from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.login import error_page
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy import make_storage
from social_bitbucket_server.starlette import BitbucketServer

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
OAUTH2 = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"
ORIGIN = "http://127.0.0.1:8000"
BEGIN, COMPLETE = "/login/bitbucket-server/", "/complete/bitbucket-server/"
SESSIONS = {"secret_key": "for tests"}


class Site:
    """An application with a page, its database, and browsers that visit it."""

    def __init__(self, path, settings, sessions=SESSIONS, prefix="", **options):
        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)
            email: Mapped[str | None]
            is_active: Mapped[bool] = mapped_column(default=True)

        self.User = User
        self.engine = create_engine(f"sqlite:///{path}")
        self.session = scoped_session(sessionmaker(self.engine))
        self.storage = make_storage(Base, User, self.session)
        Base.metadata.create_all(self.engine)
        self.settings = {f"{OWN}CALLBACK_ORIGIN": ORIGIN, **settings}
        self.torn_down, self.threads = 0, set()
        try:
            self.bitbucket = BitbucketServer(self.settings, self.storage, teardown=self.tear_down, **options)
        except BaseException:
            self.close()
            raise
        own = [Route("/", self.home), Route("/token", self.token), Route("/connect", self.connect, methods=["POST"])]
        guarded = [Route("/api", self.api), Route("/report", self.report, methods=["GET", "POST"])]
        routes = [Mount(prefix, routes=self.bitbucket.routes)] if prefix else self.bitbucket.routes
        middleware = [] if sessions is None else [Middleware(SessionMiddleware, **sessions)]
        self.app = Starlette(routes=[*own, *guarded, *routes], middleware=middleware)

    def tear_down(self):
        self.torn_down += 1
        self.threads.add(threading.current_thread())
        self.session.remove()

    async def home(self, request):
        user = await self.bitbucket.current_user(request)
        if user is None:
            return HTMLResponse(self.bitbucket.button(request))
        return HTMLResponse(f"Hello {user.username}{self.bitbucket.log_out_button(request)}")

    async def token(self, request):
        return PlainTextResponse(form_token(request.session))

    async def connect(self, request):
        return await self.bitbucket.connect(request)

    async def api(self, request):
        return JSONResponse((await self.bitbucket.user_or_401(request)).username)

    async def report(self, request):
        return PlainTextResponse((await self.bitbucket.user_or_login(request)).username)

    def browser(self, **options):
        return TestClient(self.app, base_url=ORIGIN, follow_redirects=False, **options)

    def users(self):
        try:
            return [user.username for user in self.session.scalars(select(self.User).order_by(self.User.id))]
        finally:
            self.session.remove()

    def disable(self, username):
        self.session.scalars(select(self.User).filter_by(username=username)).one().is_active = False
        self.session.commit()
        self.session.remove()

    def close(self):
        self.session.remove()
        self.engine.dispose()


@pytest.fixture
def make_site(tmp_path):
    sites = []

    def make(settings, **options):
        sites.append(Site(tmp_path / f"{len(sites)}.db", settings, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site, bitbucket_sandbox):
    return make_site(bitbucket_sandbox.settings())


@pytest.fixture
def browser(site):
    return site.browser()


@pytest.fixture
def offline(make_site, private_key):
    """An application whose Bitbucket is never asked."""
    return make_site(single("https://bitbucket.example.com", private_key))


def single(url, private_key):
    return {f"{OWN}URL": url, f"{OWN}KEY": "my-application", f"{OWN}PRIVATE_KEY": private_key.pem()}


def post(browser, address, **fields):
    return browser.post(address, data={"form_token": browser.get("/token").text, **fields})


def come_back(browser, sandbox, begun, user="jane", **options):
    callback = urlsplit(sandbox.authorize(begun.headers["Location"], user=user, **options))
    return browser.get(f"{callback.path}?{callback.query}")


def test_a_person_logs_in(browser, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(browser, "jane")
    assert (answer.status_code, answer.headers["Location"], answer.text) == (303, "/", "")
    assert browser.get("/").text.startswith("Hello jane")


def test_the_session_before_the_login_is_emptied(site, browser, bitbucket_sandbox):
    before = browser.get("/token").text
    bitbucket_sandbox.login(browser, "jane")
    assert browser.get("/token").text != before


def test_a_login_in_another_tab_goes_on(browser, bitbucket_sandbox):
    begun = post(browser, BEGIN)
    bitbucket_sandbox.login(browser, "jane")
    assert come_back(browser, bitbucket_sandbox, begun).status_code == 303


def test_the_database_is_let_go_after_each_use(site, browser, bitbucket_sandbox):
    bitbucket_sandbox.login(browser, "jane")
    assert site.torn_down == 2
    browser.get("/")
    assert site.torn_down == 3


def test_nothing_waits_for_the_database_in_the_event_loop(site, bitbucket_sandbox):
    loops = set()

    async def loop(request):
        loops.add(threading.current_thread())
        return PlainTextResponse("")

    site.app.router.routes.insert(0, Route("/loop", loop))
    with site.browser() as browser:
        bitbucket_sandbox.login(browser, "jane")
        assert browser.get("/api").status_code == browser.get("/loop").status_code == 200
    assert site.threads
    assert loops.isdisjoint(site.threads)


def test_a_login_goes_where_it_was_meant_to_go_on_this_host_alone(browser, bitbucket_sandbox):
    for wanted, address in {"/report?a=b": "/report?a=b", "https://evil.example/": "/", "//evil.example": "/"}.items():
        begun = post(browser, BEGIN, next=wanted)
        assert come_back(browser, bitbucket_sandbox, begun).headers["Location"] == address


def test_a_declined_login_has_a_page_with_a_reference_number(browser, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(browser, "jane", allow=False)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (400, "no-store")
    assert "Access was declined in Bitbucket." in answer.text
    assert re.search(r"Reference [0-9A-F]{8}", answer.text)


def test_a_declined_login_leads_to_the_configured_page(make_site, bitbucket_sandbox):
    browser = make_site({**bitbucket_sandbox.settings(), "SOCIAL_AUTH_LOGIN_ERROR_URL": "/welcome"}).browser()
    answer = bitbucket_sandbox.login(browser, "jane", allow=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/welcome")


async def own_coroutine(request, error):
    return PlainTextResponse(f"Mine: {request.url.path}", error_page(error).status)


def own_function(request, error):
    return PlainTextResponse(f"Mine: {request.url.path}", error_page(error).status)


@pytest.mark.parametrize("show_error", [own_coroutine, own_function])
def test_an_application_shows_its_own_error_page(make_site, bitbucket_sandbox, show_error):
    browser = make_site(bitbucket_sandbox.settings(), show_error=show_error).browser()
    answer = bitbucket_sandbox.login(browser, "jane", allow=False)
    assert (answer.status_code, answer.text) == (400, f"Mine: {COMPLETE}")


def test_an_application_adds_to_the_session_of_a_login(make_site, bitbucket_sandbox):
    def log_in(request, user):
        site.bitbucket.log_in(request, user)
        seen.append((user.username, user.social_user.uid, request.url.path))

    seen = []
    site = make_site(bitbucket_sandbox.settings(), log_in=log_in)
    browser = site.browser()
    bitbucket_sandbox.login(browser, "jane")
    assert browser.get("/api").json() == "jane"
    [(username, uid, path)] = seen
    assert (username, uid.isdecimal(), path) == ("jane", True, COMPLETE)


def test_a_callback_in_another_browser_is_refused(site, browser, bitbucket_sandbox):
    callback = urlsplit(bitbucket_sandbox.authorize(post(browser, BEGIN).headers["Location"]))
    address = f"{callback.path}?{callback.query}"
    stranger = site.browser()
    assert stranger.get(address).status_code == 400
    assert stranger.get("/api").status_code == 401
    assert browser.get(address).status_code == 303


def test_a_callback_works_once(browser, bitbucket_sandbox):
    callback = urlsplit(bitbucket_sandbox.authorize(post(browser, BEGIN).headers["Location"]))
    addresses = [f"{callback.path}?{callback.query}"] * 2
    assert [browser.get(address).status_code for address in addresses] == [303, 400]


def test_asking_for_the_headers_of_a_callback_uses_no_login_up(browser, bitbucket_sandbox):
    callback = urlsplit(bitbucket_sandbox.authorize(post(browser, BEGIN).headers["Location"]))
    address = f"{callback.path}?{callback.query}"
    refused = browser.head(address)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
    assert browser.get(address).status_code == 303


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (b"", {}),
        (b"form_token=guessed", {}),
        (b"form_token=\xff\xfe", {}),
        (b"form_token=%FF%00", {}),
        (b"\xff=\x00&&&;=", {}),
        (b"form_token", {}),
        (b'{"form_token": []}', {"Content-Type": "application/json"}),
        (b"--x\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
        (b"a=b&" * 100_000, {}),
    ],
)
def test_another_sites_form_begins_no_login(offline, form, headers):
    browser = offline.browser()
    browser.get("/")
    for address in (BEGIN, "/logout/"):
        answer = browser.post(address, content=form, headers=headers)
        assert answer.status_code == 400
        assert "Reference " in answer.text


def test_a_form_with_a_token_is_refused_if_its_browser_says_that_it_is_another_sites(offline):
    browser = offline.browser()
    token = browser.get("/token").text
    answer = browser.post(BEGIN, data={"form_token": token}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 400


def test_a_long_form_is_read_no_further_than_it_may_be_long(offline):
    sent = []

    def endless():
        while len(sent) < 1000:
            sent.append(1024)
            yield b"x" * 1024

    messages = iter([{"type": "http.request", "body": part, "more_body": True} for part in endless()])
    read, answers = [], []

    async def receive():
        read.append(next(messages))
        return read[-1]

    async def send(message):
        answers.append(message)

    asyncio.run(offline.app(scope(BEGIN), receive, send))
    assert answers[0]["status"] == 400
    assert len(read) == 17


def test_a_browser_that_goes_away_leaves_no_traceback(offline):
    answers = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    asyncio.run(offline.app(scope(BEGIN), receive, send))
    assert answers[0]["status"] == 400


def scope(path):
    headers = [(b"host", b"127.0.0.1:8000")]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
    }


@pytest.mark.parametrize("host", ["a b", "a/b", "[::1", "evil..example", "a" * 300, "x:99999999", "@"])
@pytest.mark.parametrize("path", [BEGIN, COMPLETE])
def test_a_request_without_the_name_of_a_host_is_refused(offline, host, path):
    answer = offline.browser().get(path, headers={"Host": host})
    assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (400, "nosniff")


@pytest.mark.parametrize(
    "odd", ["a%00b", "9" * 30, "x" * 5000, "%0d%0aX:%20%F0%9F%92%A9", "%ED%A0%80", "%FF", "%2e%2e"]
)
def test_odd_addresses_end_in_pages(offline, odd):
    browser = offline.browser()
    for path in (
        f"{BEGIN}{odd}/",
        f"{COMPLETE}{odd}/",
        f"{COMPLETE}?{odd}={odd}&oauth_token={odd}&oauth_verifier={odd}",
    ):
        assert browser.get(path).status_code < 500
    for name in ("next", "integration"):
        assert browser.get(f"{BEGIN}?{name}={odd}").status_code == 200


def test_a_link_leads_to_a_page_with_the_button(offline):
    page = offline.browser().get(f"{BEGIN}?next=/projects/%22%3E")
    assert f'<form method="post" action="{BEGIN}">' in page.text
    assert 'name="next" value="/projects/&quot;&gt;"' in page.text
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert page.headers["Cache-Control"] == "no-store"
    assert "No token is kept." in page.text


@pytest.mark.parametrize("path", [BEGIN, COMPLETE, f"{BEGIN}acme/", f"{COMPLETE}acme/"])
def test_no_redirect_mends_an_address(offline, path):
    answer = offline.browser().get(path.removesuffix("/"))
    assert answer.status_code in {200, 400}


def test_a_template_shows_the_button_as_html(offline):
    template = jinja2.Environment(autoescape=True).from_string("{{ button }}")

    async def shown(request):
        return HTMLResponse(template.render(button=offline.bitbucket.button(request, "<Go>")))

    offline.app.router.routes.insert(0, Route("/template", shown))
    text = offline.browser().get("/template").text
    assert text.startswith("<form ")
    assert "&lt;Go&gt;" in text


def test_logging_out_needs_the_form(browser, bitbucket_sandbox):
    bitbucket_sandbox.login(browser, "jane")
    assert browser.get("/logout/").status_code == 405
    assert browser.post("/logout/").status_code == 400
    assert browser.get("/api").status_code == 200
    [token] = re.findall('name="form_token" value="([^"]+)"', browser.get("/").text)
    answer = browser.post("/logout/", data={"form_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.get("/api").status_code == 401


def test_whoever_is_not_logged_in_is_told_so(offline):
    answer = offline.browser().get("/api")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Cookie")


def test_a_page_leads_to_the_login_and_back(browser, bitbucket_sandbox):
    asked = browser.get("/report?year=2026")
    assert (asked.status_code, asked.headers["Location"]) == (303, f"{BEGIN}?next=%2Freport%3Fyear%3D2026")
    answer = bitbucket_sandbox.login(browser, "jane", page=asked.headers["Location"])
    assert answer.headers["Location"] == "/report?year=2026"
    assert browser.get("/report").text == "jane"


def test_no_form_and_no_long_address_is_come_back_to(offline):
    browser = offline.browser()
    assert browser.post("/report").headers["Location"] == BEGIN
    assert browser.get(f"/report?{'x' * 600}").headers["Location"] == BEGIN


def test_the_login_page_may_be_the_applications_own(make_site, private_key):
    settings = {**single("https://bitbucket.example.com", private_key), "SOCIAL_AUTH_LOGIN_URL": "/welcome?a=b"}
    answer = make_site(settings).browser().get("/report")
    assert answer.headers["Location"] == "/welcome?a=b&next=%2Freport"


@pytest.mark.parametrize("becomes", ["disabled", "deleted"])
def test_a_person_who_is_gone_is_logged_out(site, browser, bitbucket_sandbox, becomes):
    bitbucket_sandbox.login(browser, "jane")
    if becomes == "disabled":
        site.disable("jane")
    else:
        site.storage.user.metadata.drop_all(site.engine)
        site.storage.user.metadata.create_all(site.engine)
    assert browser.get("/api").status_code == 401


def test_a_server_that_fails_has_a_page(browser, bitbucket_sandbox):
    bitbucket_sandbox.faults.server_error = True
    answer = bitbucket_sandbox.login(browser, "jane")
    assert answer.status_code == 502
    assert "Reference " in answer.text


def test_a_person_connects_another_account(make_site, bitbucket_sandbox):
    with Sandbox() as other:
        site = make_site(many({"one": bitbucket_sandbox, "two": other}))
        browser = site.browser()
        bitbucket_sandbox.login(browser, "jane", page=f"{BEGIN}one/")
        begun = post(browser, "/connect", integration="two")
        assert come_back(browser, other, begun, user="admin").status_code == 303
    assert browser.get("/api").json() == "jane"
    assert site.users() == ["jane"]


def test_only_a_person_who_is_logged_in_connects_an_account(offline):
    answer = post(offline.browser(), "/connect")
    assert answer.status_code == 400
    assert "Reference " in answer.text


def many(servers):
    names = {"URL": "url", "KEY": "consumer_key", "PRIVATE_KEY": "private_key"}
    made = {name: server.settings() for name, server in servers.items()}
    return {
        f"{OWN}INTEGRATIONS": {
            name: {field: settings[OWN + setting] for setting, field in names.items()}
            for name, settings in made.items()
        }
    }


def test_people_of_two_organizations_are_two_people(make_site, bitbucket_sandbox):
    with Sandbox() as other:
        servers = {"one": bitbucket_sandbox, "two": other}
        site = make_site(many(servers))
        browsers = [site.browser(), site.browser()]
        for browser, (name, server) in zip(browsers, servers.items(), strict=True):
            assert server.login(browser, "jane", page=f"{BEGIN}{name}/").status_code == 303
    assert len(site.users()) == 2
    assert [browser.get("/api").json() for browser in browsers] == site.users()


def test_the_forms_field_names_an_integration_and_the_address_overrides_it(make_site, bitbucket_sandbox):
    with Sandbox() as other:
        browser = make_site(many({"one": bitbucket_sandbox, "two": other})).browser()
        assert come_back(browser, bitbucket_sandbox, post(browser, BEGIN, integration="one")).status_code == 303
        assert post(browser, f"{BEGIN}one/", integration="two").headers["Location"].startswith(bitbucket_sandbox.url)
        assert not list(other.requests)


def test_an_integration_that_does_not_exist_has_a_page(make_site, bitbucket_sandbox):
    browser = make_site(many({"one": bitbucket_sandbox})).browser()
    assert post(browser, f"{BEGIN}unknown/").status_code == 404
    assert post(browser, BEGIN).status_code == 400


def oauth2(sandbox):
    application = sandbox.link_external_application(redirect_url=f"{ORIGIN}/complete/bitbucket-server-oauth2/")
    return {
        f"{OAUTH2}URL": sandbox.url,
        f"{OAUTH2}KEY": application.client_id,
        f"{OAUTH2}SECRET": application.client_secret,
        f"{OAUTH2}CALLBACK_ORIGIN": ORIGIN,
    }


def test_a_person_logs_in_with_oauth2_alone(make_site, bitbucket_sandbox):
    site = make_site(oauth2(bitbucket_sandbox))
    browser = site.browser()
    assert bitbucket_sandbox.login(browser, "jane").status_code == 303
    assert browser.get("/api").json() == "jane"
    assert browser.get(BEGIN).status_code == 404


def test_an_application_has_both_oauths(make_site, bitbucket_sandbox):
    browser = make_site({**bitbucket_sandbox.settings(), **oauth2(bitbucket_sandbox)}).browser()
    for page in (BEGIN, "/login/bitbucket-server-oauth2/"):
        assert bitbucket_sandbox.login(browser, "jane", page=page).status_code == 303
    assert "Log in with Bitbucket (OAuth 2)" in browser.get("/login/bitbucket-server-oauth2/").text
    assert "(OAuth 2)" not in browser.get(BEGIN).text


def test_a_mount_moves_the_addresses(make_site, bitbucket_sandbox):
    browser = make_site(bitbucket_sandbox.settings(), prefix="/auth").browser()
    assert f'action="/auth{BEGIN}"' in browser.get("/").text
    answer = bitbucket_sandbox.login(browser, "jane")
    assert (answer.status_code, str(answer.request.url.path)) == (303, f"/auth{COMPLETE}")
    assert 'action="/auth/logout/"' in browser.get("/").text


def test_a_proxy_serves_the_application_below_a_path(offline):
    browser = offline.browser(root_path="/app")
    assert f'action="/app{BEGIN}"' in browser.get("/").text
    assert browser.get("/report").headers["Location"] == f"/app{BEGIN}?next=%2Fapp%2Freport"


def test_an_application_without_sessions_is_refused(make_site, private_key):
    browser = make_site(single("https://bitbucket.example.com", private_key), sessions=None).browser()
    for path in ("/", BEGIN, "/api", "/"):
        with pytest.raises(UnsafeConfigurationError, match="Add SessionMiddleware"):
            browser.get(path)


@pytest.mark.parametrize(
    ("origin", "sessions", "sentence"),
    [
        ("https://app.example", {}, "https_only of SessionMiddleware to True"),
        ("https://app.example", {"https_only": True, "same_site": "strict"}, 'same_site of SessionMiddleware to "lax"'),
        ("https://app.example", {"https_only": True, "domain": "other.example"}, "domain of SessionMiddleware"),
        ("http://app.example", {"https_only": True}, "https_only of SessionMiddleware to False"),
    ],
)
def test_a_cookie_that_is_sent_too_often_or_not_at_all_is_refused(make_site, private_key, origin, sessions, sentence):
    settings = {**single("https://bitbucket.example.com", private_key), f"{OWN}CALLBACK_ORIGIN": origin}
    browser = make_site(settings, sessions=SESSIONS | sessions).browser()
    with pytest.raises(UnsafeConfigurationError, match=sentence):
        browser.get("/")


def test_a_cookie_for_https_alone_is_taken(make_site, private_key):
    settings = {**single("https://bitbucket.example.com", private_key), f"{OWN}CALLBACK_ORIGIN": "https://app.example"}
    sessions = {"https_only": True, "domain": "app.example"}
    assert make_site(settings, sessions=SESSIONS | sessions).browser().get("/").status_code == 200


def test_sessions_of_other_middleware_are_taken(offline):
    class OwnSessions:
        def __init__(self, app):
            self._app = app

        async def __call__(self, scope, receive, send):
            await self._app(scope | {"session": {}}, receive, send)

    offline.app.user_middleware[:] = [Middleware(OwnSessions)]
    assert offline.browser().get("/").status_code == 200


def test_settings_are_checked_again_with_the_first_request(make_site, private_key):
    site = make_site(single("https://bitbucket.example.com", private_key))
    site.settings[f"{OWN}PRIVATE_KEY"] = "not a key"
    for _ in range(2):
        with pytest.raises(UnsafeConfigurationError, match=f"{OWN}PRIVATE_KEY"):
            site.browser().get("/")


def test_an_origin_for_the_callback_is_required(make_site, private_key):
    settings = {**single("https://bitbucket.example.com", private_key), f"{OWN}CALLBACK_ORIGIN": ""}
    with pytest.raises(UnsafeConfigurationError, match=f"{OWN}CALLBACK_ORIGIN"):
        make_site(settings)


@pytest.mark.parametrize(("domain", "is_noted"), [(None, True), ("127.0.0.1", False)])
def test_a_login_at_another_host_is_noted(make_site, bitbucket_sandbox, caplog, domain, is_noted):
    sessions = SESSIONS | ({"domain": domain} if domain else {})
    site = make_site(bitbucket_sandbox.settings(), sessions=sessions)
    browser = TestClient(site.app, base_url="http://localhost:8000", follow_redirects=False)
    post(browser, BEGIN)
    assert ("began at 'localhost:8000'" in caplog.text) is is_noted


def test_a_web_socket_knows_who_is_logged_in(site, browser, bitbucket_sandbox):
    async def greet(socket):
        await socket.accept()
        await socket.send_text((await site.bitbucket.current_user(socket)).username)
        await socket.close()

    site.app.router.routes.insert(0, WebSocketRoute("/socket", greet))
    bitbucket_sandbox.login(browser, "jane")
    with browser.websocket_connect("ws://127.0.0.1:8000/socket") as socket:
        assert socket.receive_text() == "jane"


def test_an_error_of_an_own_route_has_the_same_page(offline):
    async def fail(request):
        return await offline.bitbucket.show_error(request, SocialAuthBaseException("x"))

    offline.app.router.routes.insert(0, Route("/fail", fail))
    assert offline.browser().get("/fail").status_code == 400


@pytest.fixture
def fastapi(must_be_there):
    """The module, which not every environment has."""
    try:
        import fastapi
    except ImportError:
        must_be_there(False, "FastAPI")
    return fastapi


def test_fastapi_takes_users_as_dependencies(fastapi, site, bitbucket_sandbox):
    app = fastapi.FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="for tests")
    app.routes.extend(site.bitbucket.routes)

    @app.get("/who")
    def who(user: Annotated[Any, fastapi.Depends(site.bitbucket.current_user)]):
        return user and user.username

    @app.get("/api")
    def api(user: Annotated[Any, fastapi.Depends(site.bitbucket.user_or_401)]):
        return user.username

    @app.get("/page")
    def page(user: Annotated[Any, fastapi.Depends(site.bitbucket.user_or_login)]):
        return user.username

    browser = TestClient(app, base_url=ORIGIN, follow_redirects=False)
    assert browser.get("/who").json() is None
    assert (browser.get("/api").status_code, browser.get("/api").json()) == (401, {"detail": "Log in first."})
    address = browser.get("/page").headers["Location"]
    assert address == f"{BEGIN}?next=%2Fpage"
    assert bitbucket_sandbox.login(browser, "jane", page=address).headers["Location"] == "/page"
    assert [browser.get(path).json() for path in ("/who", "/api", "/page")] == ["jane"] * 3
    assert browser.get("/openapi.json").json()["paths"]["/who"]["get"].get("parameters", []) == []

"""The organizations' pages, as far as they need no Bitbucket: words, forms, headers, and who may see what."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask
from social_core.exceptions import AuthConfigurationError, AuthProviderError
from werkzeug.exceptions import TooManyRequests

from social_bitbucket_server.crypto import PrivateKey, PublicKey
from social_bitbucket_server.flask import logins
from social_bitbucket_server.flask.organizations import limits
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.sqlalchemy.organizations import clock
from social_bitbucket_server.transport import Transport
from tests.capabilities import capability
from tests.client_certificates import issue
from tests.flask_app import create_app, database, start
from tests.flask_app.models import Organization, User, models
from tests.routes import address_of
from tests.visitor import PASSWORD, InProcess, Page, Visitor

ORIGIN = "https://app.example"
SECRET_KEY = "s" * 32
BASE_URL = "https://bitbucket.acme.example/bitbucket"
INTEGRATIONS = "/o/acme/settings/integrations"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app({"INSTANCE_PATH": tmp_path / "instance", "PUBLIC_BASE_URL": ORIGIN, "SECRET_KEY": SECRET_KEY})
    yield app
    app.extensions["engine"].dispose()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(InProcess(app))


@pytest.fixture
def owner(app: Flask) -> Visitor:
    """The owner of acme, logged in."""
    owner = Visitor(InProcess(app))
    owner.create_organization("acme", name="Acme Inc")
    return owner


@pytest.fixture
def integration(owner: Visitor) -> str:
    """The path of the page of acme's integration."""
    return owner.add_integration("acme", BASE_URL)


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """The owner of another organization, logged in."""
    stranger = Visitor(InProcess(app))
    stranger.create_organization("globex")
    return stranger


@pytest.fixture
def all_pages(owner: Visitor, integration: str) -> dict[str, Page]:
    """Every page that can be opened, as the owner sees it, and some refusals."""
    paths = [
        "/",
        "/organizations/new",
        "/o/acme/",
        "/o/acme/login",
        "/o/acme/login?e=declined&next=/o/acme/account",
        "/o/acme/login/owner",
        "/o/acme/account",
        INTEGRATIONS,
        f"{INTEGRATIONS}/add",
        integration,
        f"{integration}?bitbucket=7.19",
        f"{integration}/edit",
        f"{integration}/delete",
        "/o/acme/settings/people",
        "/nowhere",
        "/o/acme/logout",
        f"/complete/bitbucket-server/{integration.rpartition('/')[2]}/?oauth_token=t&oauth_verifier=v",
    ]
    return {path: owner.get(path) for path in paths}


class Elements(HTMLParser):
    """The start tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# What every page has


def test_every_page_sends_the_security_headers(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        expected = {
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Vary": "Cookie",
            "Strict-Transport-Security": "max-age=31536000",
        }
        assert {name: page.headers.get(name) for name in expected} == expected, path


def test_every_policy_forbids_what_the_pages_do_not_use(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "base-uri 'none'" in policy, path
        assert "unsafe" not in policy, path


def test_only_the_login_page_lets_forms_reach_the_integrations(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        targets = re.search(r"form-action ([^;]*)", page.headers["Content-Security-Policy"])
        is_login = path.startswith("/o/acme/login?e=declined")
        assert targets, path
        assert targets[1] == ("'self' https://bitbucket.acme.example" if is_login else "'self'"), path


def test_no_page_has_inline_styles_or_scripts(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        for tag, attributes in Elements(page.text).found:
            assert tag != "style", path
            assert tag != "script" or attributes.get("src"), path
            assert not [name for name in attributes if name == "style" or name.startswith("on")], path


def test_every_page_has_a_title_a_language_one_heading_and_a_way_past_the_navigation(
    all_pages: dict[str, Page],
) -> None:
    for path, page in all_pages.items():
        found = Elements(page.text).found
        assert ("html", {"lang": "en"}) in found, path
        assert [tag for tag, _ in found].count("h1") == 1, path
        assert re.search(r"<title>\S.* · Demo App</title>", page.text), path
        assert '<a class="skip" href="#main">' in page.text, path


def test_every_field_has_a_label_and_no_id_is_there_twice(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        found = Elements(page.text).found
        ids = [attributes["id"] for _, attributes in found if "id" in attributes]
        labelled = {attributes.get("for") for tag, attributes in found if tag == "label"}
        assert len(set(ids)) == len(ids), path
        for tag, attributes in found:
            if tag in {"input", "select", "textarea"} and attributes.get("type") != "hidden":
                assert attributes["id"] in labelled, path
            for described in (attributes.get("aria-describedby") or "").split():
                assert described in ids, f"{path}: {described}"


def test_no_page_shows_a_private_key(all_pages: dict[str, Page]) -> None:
    for path, page in all_pages.items():
        assert "PRIVATE KEY" not in page.text, path


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img onerror=alert(1)>', "{{7*7}}", "'-alert(1)-'"])
def test_what_people_type_is_shown_as_text(visitor: Visitor, text: str) -> None:
    visitor.create_organization("acme", name=text)
    visitor.add_integration("acme", BASE_URL, name=text)
    for path in ("/o/acme/", "/o/acme/login", INTEGRATIONS):
        page = visitor.get(path)
        assert text in page.words
        assert "<script>alert" not in page.text
        assert "<img onerror" not in page.text
        assert "49" not in re.sub(r"[0-9a-f]{24}", "", page.words)


# Starting


def test_creating_an_organization_leads_to_its_integrations(visitor: Visitor) -> None:
    page = visitor.post("/organizations/new", name="Acme Labs", email="me@acme.example", password=PASSWORD)
    assert page.location == "/o/acme-labs/settings/integrations"
    assert "Connect your Bitbucket server" in visitor.get(page.location).words


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"name": ""}, "Enter the organization's name."),
        ({"name": "  "}, "Enter the organization's name."),
        ({"slug": "Acme!"}, "lower-case letters, digits and hyphens"),
        ({"slug": "-acme"}, "begin and end with a letter or digit"),
        ({"slug": "x" * 41}, "1 to 40"),
        ({"slug": "", "name": "王"}, "Choose an address"),
        ({"email": "nobody"}, "Enter an e-mail address"),
        ({"password": "too short"}, "Use at least 10 characters."),
        ({"password": "x" * 201}, "Use at most 200 characters."),
        ({"name": "A\u202eB"}, "Leave out invisible characters."),
    ],
)
def test_a_form_that_cannot_be_kept_says_why(visitor: Visitor, changed: dict[str, str], error: str) -> None:
    fields = {"name": "Acme", "slug": "acme", "email": "me@acme.example", "password": PASSWORD, **changed}
    page = visitor.post("/organizations/new", **fields)
    assert page.status == 422
    assert error in page.words
    assert page.value_of("Your e-mail address") == fields["email"]
    assert fields["password"] not in page.text


def test_an_address_belongs_to_one_organization(owner: Visitor, visitor: Visitor) -> None:
    page = visitor.post("/organizations/new", name="x", slug="acme", email="me@x.example", password=PASSWORD)
    assert page.status == 422
    assert "Another organization has the address" in page.words


def test_the_start_page_leads_to_an_organizations_login(owner: Visitor, visitor: Visitor) -> None:
    assert visitor.post("/", slug=" ACME ").location == "/o/acme/login"


def test_the_start_page_says_where_there_is_no_such_organization(visitor: Visitor) -> None:
    page = visitor.post("/", slug="nowhere")
    assert page.status == 422
    assert "There is no organization with this address" in page.words


# The login page and the owner's way in


def test_the_login_page_has_a_button_for_every_enabled_integration(owner: Visitor, visitor: Visitor) -> None:
    owner.add_integration("acme", BASE_URL, name="First")
    owner.add_integration("acme", "https://git.labs.example:8443", name="Second")
    page = visitor.get("/o/acme/login")
    for words in ("Log in to Acme Inc", "Log in with First", "bitbucket.acme.example", "Log in with Second", ":8443"):
        assert words in page.words
    assert (
        "form-action 'self' https://bitbucket.acme.example https://git.labs.example:8443;"
        in (page.headers["Content-Security-Policy"])
    )


def test_the_login_page_says_what_is_missing_where_there_is_no_integration(owner: Visitor, visitor: Visitor) -> None:
    assert "No Bitbucket Server can be used here yet." in visitor.get("/o/acme/login").words


def test_the_login_page_says_in_advance_what_bitbucket_asks_and_that_no_token_is_kept(
    integration: str, visitor: Visitor
) -> None:
    words = visitor.get("/o/acme/login").words
    assert "Bitbucket will ask you Demo App would like to have read and write access to your account" in words
    assert "It changes nothing and keeps no token." in words


def test_people_who_are_logged_in_are_told_so_at_the_login_link(owner: Visitor, integration: str) -> None:
    page = owner.get("/o/acme/login")
    assert "You are logged in to Acme Inc As Owner" in page.words
    assert "Log in with" not in page.words
    owner.post("/o/acme/logout", "/o/acme/login")
    assert "Log in with Bitbucket" in owner.get("/o/acme/login").words


def test_the_owner_logs_in_by_password(owner: Visitor, visitor: Visitor) -> None:
    assert visitor.log_owner_in("acme").location == INTEGRATIONS


def test_the_owners_address_is_the_same_in_small_and_capital_letters(visitor: Visitor) -> None:
    form = {"name": "Acme", "slug": "acme", "email": "Élodie@acme.example", "password": PASSWORD}
    assert visitor.post("/organizations/new", **form).status == 303
    for email in ("Élodie@acme.example", "élodie@ACME.example"):
        assert visitor.post("/o/acme/login/owner", email=email, password=PASSWORD).location == INTEGRATIONS


@pytest.mark.parametrize(("email", "password"), [("owner@acme.example", "wrong"), ("x@acme.example", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_look_the_same(
    owner: Visitor, visitor: Visitor, email: str, password: str
) -> None:
    page = visitor.post("/o/acme/login/owner", email=email, password=password)
    assert page.status == 422
    assert "E-mail address and password do not belong together." in page.words
    assert visitor.get(INTEGRATIONS).status == 303


def test_an_owners_password_is_worth_nothing_elsewhere(owner: Visitor, stranger: Visitor, visitor: Visitor) -> None:
    page = visitor.post("/o/globex/login/owner", email="owner@acme.example", password=PASSWORD)
    assert page.status == 422


def test_a_page_that_needs_a_login_is_opened_after_it(owner: Visitor, visitor: Visitor) -> None:
    login = visitor.get(f"{INTEGRATIONS}/add").location
    assert login == "/o/acme/login?next=/o/acme/settings/integrations/add"
    page = visitor.post(
        "/o/acme/login/owner",
        email="owner@acme.example",
        password=PASSWORD,
        next="/o/acme/settings/integrations/add",
    )
    assert page.location == "/o/acme/settings/integrations/add"


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/o/globex/account"])
def test_the_owners_login_leads_to_pages_of_the_organization_only(
    owner: Visitor, visitor: Visitor, wanted: str
) -> None:
    fields = {"email": "owner@acme.example", "password": PASSWORD, "next": wanted}
    assert visitor.post("/o/acme/login/owner", **fields).location == "/o/acme/account"


# Integrations


def test_a_new_integration_needs_a_name(owner: Visitor) -> None:
    page = owner.post(f"{INTEGRATIONS}/add", name="  ", base_url=BASE_URL)
    assert page.status == 422
    assert "Give the integration a name." in page.words


def test_every_page_of_the_settings_says_that_it_is_one(owner: Visitor, integration: str) -> None:
    for path in (INTEGRATIONS, f"{INTEGRATIONS}/add", integration, "/o/acme/settings/login", "/o/acme/settings/people"):
        assert re.search(r'<a href="[^"]+" aria-current="true">Settings</a>', owner.get(path).text), path


@capability("integration")
@pytest.mark.as_shipped
def test_a_new_integration_leads_to_its_worksheet(owner: Visitor, integration: str) -> None:
    page = owner.worksheet(integration)
    assert page.value_of("Application URL") == f"{ORIGIN}/o/acme/"
    assert page.value_of("Application Name") == "Demo App (Acme Inc)"
    assert re.fullmatch(r"[A-Za-z0-9._-]{22,64}", page.value_of("Consumer Key"))
    assert PublicKey.read(page.value_of("Public Key")).bits == 3072
    for words in ("No response was received", "Enable OAuth whitelist", "Leave it as a draft"):
        assert words in page.words


@capability("worksheet")
def test_the_worksheet_is_there_for_all_dialogs(owner: Visitor, integration: str) -> None:
    assert "Atlassian product via OAuth 1.0 Choose this one" in owner.worksheet(integration).words
    assert "Atlassian product Choose this one" in owner.get(f"{integration}/bitbucket?bitbucket=7.20").words
    older = owner.get(f"{integration}/bitbucket?bitbucket=7.19").words
    assert "Create new link" in older
    assert "Atlassian product" not in older


def test_the_note_about_a_choice_stands_before_the_dialog(owner: Visitor, integration: str) -> None:
    words = owner.worksheet(integration).words
    note = "Bitbucket asks for the Application type. Atlassian product via OAuth 1.0 is for other applications, too."
    assert words.index(note) < words.index("Atlassian product via OAuth 1.0 Choose this one")


def test_the_worksheet_can_be_sent_as_text(owner: Visitor, integration: str) -> None:
    page = owner.get(f"{integration}/worksheet.txt")
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert owner.worksheet(integration).value_of("Consumer Key") in page.text
    assert "-----BEGIN PUBLIC KEY-----" in page.text


def test_two_integrations_on_one_server_have_different_links(owner: Visitor, integration: str) -> None:
    one, other = owner.worksheet(integration), owner.worksheet(owner.add_integration("acme", BASE_URL, "Other"))
    for label in ("Application URL", "Application Name", "Consumer Key", "Public Key"):
        assert one.value_of(label) != other.value_of(label), label


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("", "Enter the server's base URL."),
        ("http://bitbucket.acme.example", "It begins with http://; it must begin with https://."),
        ("https://127.0.0.1:7990", "It has an IP address instead of a host name."),
        ("https://localhost", "Its host name has no dot"),
        ("https://user@bitbucket.acme.example", "It contains a user name"),
        ("https://bitbucket.acme.example:22", "Port 22 is not one of"),
        ("javascript:alert(1)", "It does not begin with https://"),
    ],
)
def test_a_bad_base_url_is_explained_at_its_field(app: Flask, owner: Visitor, base_url: str, reason: str) -> None:
    page = owner.post(f"{INTEGRATIONS}/add", name="On-premise", base_url=base_url)
    assert page.status == 422
    error = re.search(r'<p class="error" id="base_url-error"><svg.*?</svg>([^<]*)</p>', page.text)
    assert error
    assert reason in error[1].replace("&#39;", "'")
    assert re.search(r'<input [^>]*aria-describedby="base_url-hint base_url-error"', page.text)
    assert (page.value_of("Name"), page.value_of("Base URL")) == ("On-premise", base_url)
    with app.app_context():
        assert database.session.query(models.integration).count() == 0


@pytest.fixture(scope="module")
def authority() -> str:
    """The certificate of a CA of an organization's own."""
    return trustme.CA().cert_pem.bytes().decode()


def test_a_certificate_of_ones_own_ca_is_kept(owner: Visitor, integration: str, authority: str) -> None:
    fields = {"name": "Bitbucket", "base_url": BASE_URL}
    owner.post(f"{integration}/edit", **fields, ca_certificates=f"  {authority}\n")
    assert owner.get(f"{integration}/edit").value_of("CA certificate (optional)").strip() == authority.strip()
    assert "The pasted CA certificate" in owner.get(integration).words


def test_what_is_no_ca_certificate_is_explained_at_its_field(owner: Visitor) -> None:
    fields = {"name": "Bitbucket", "base_url": BASE_URL, "ca_certificates": "not PEM"}
    page = owner.post(f"{INTEGRATIONS}/add", **fields)
    assert page.status == 422
    assert "It is not a certificate in PEM" in page.words
    assert 'id="ca_certificates-error"' in page.text


def test_a_client_certificate_is_kept_with_its_key_sealed(app: Flask, owner: Visitor, integration: str) -> None:
    def edit(**fields: str) -> Page:
        same = {"name": "Bitbucket", "base_url": BASE_URL}
        return owner.post(f"{integration}/edit", **same, **fields)

    def kept() -> tuple[Any, str, int]:
        with app.test_request_context():
            record = database.session.query(models.integration).one()
            server = store.integrations.signing_with(record, record.active_key_pair).server
            assert server.client_key.encode() not in record.sealed_client_key.encode() or not server.client_key
            return (server.client_certificate, server.client_key), record.sealed_client_key, record.revision

    first, second = issue(trustme.CA()), issue(trustme.CA())
    assert edit(**first._asdict()).status == 303
    assert kept()[0] == first
    assert "Shown where a gateway wants one" in owner.get(integration).words
    page = owner.get(f"{integration}/edit")
    assert page.value_of("Client certificate (optional)").strip() == first.client_certificate.strip()
    assert "PRIVATE KEY" not in page.text
    before = kept()
    assert edit(client_certificate=first.client_certificate).status == 303
    assert kept() == before, "nothing was changed, so logins go on"
    assert edit(client_certificate=second.client_certificate).status == 422
    assert kept() == before
    assert edit(**second._asdict()).status == 303
    assert kept()[0] == second
    assert edit().status == 303
    assert kept()[:2] == (("", ""), "")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"client_key": ""}, "client_key", "Give the key, too."),
        ({"client_certificate": ""}, "client_key", "Give the certificate, too."),
        ({"client_certificate": "nothing"}, "client_certificate", "It is not a certificate in PEM, from"),
        ({"client_key": PrivateKey.generate(2048).pem()}, "client_key", "The key is not the client certificate's."),
        (
            {"client_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"},
            "client_key",
            "openssl pkey -in client.key -out client-plain.key",
        ),
    ],
)
def test_what_is_wrong_with_a_client_certificate_is_said_at_its_field_and_no_key_shown(
    owner: Visitor, change: dict[str, str], field: str, words: str
) -> None:
    fields = {"name": "Bitbucket", "base_url": BASE_URL, **issue(trustme.CA())._asdict()}
    page = owner.post(f"{INTEGRATIONS}/add", **(fields | change))
    assert page.status == 422
    assert words in html.unescape(page.words)
    assert f'id="{field}-error"' in page.text
    assert "PRIVATE KEY" not in page.text


def test_both_in_the_field_of_the_certificate_are_not_shown_again(owner: Visitor) -> None:
    both = "".join(issue(trustme.CA()))
    fields = {"name": "Bitbucket", "base_url": "", "client_certificate": both}
    page = owner.post(f"{INTEGRATIONS}/add", **fields)
    assert page.status == 422
    assert "PRIVATE KEY" not in page.text


def test_a_wrapped_key_in_the_field_of_the_certificate_is_not_shown_again(owner: Visitor) -> None:
    wrapped = base64.b64encode("".join(issue(trustme.CA())).encode()).decode()
    fields = {"name": "Bitbucket", "base_url": BASE_URL}
    for key in ("", "nothing"):
        page = owner.post(f"{INTEGRATIONS}/add", **fields, client_certificate=wrapped, client_key=key)
        assert page.status == 422
        assert wrapped[:60] not in page.text


def test_a_new_integration_may_have_a_client_certificate(app: Flask, owner: Visitor) -> None:
    shown = issue(trustme.CA())
    fields = {"name": "Bitbucket", "base_url": BASE_URL, **shown._asdict()}
    assert owner.post(f"{INTEGRATIONS}/add", **fields, oauth_version="1").status == 303
    with app.test_request_context():
        record = database.session.query(models.integration).one()
        assert store.integrations.kept_client_key(record) == shown.client_key


def test_connections_may_go_elsewhere(owner: Visitor, integration: str) -> None:
    fields = {"name": "Bitbucket", "base_url": BASE_URL}
    refused = owner.post(f"{integration}/edit", **fields, connect_to="inside.example:22")
    assert refused.status == 422
    assert "The address to connect to cannot be used. Port 22 is not one of" in refused.words
    owner.post(f"{integration}/edit", **fields, connect_to=" Inside.Example:8443")
    assert owner.get(f"{integration}/edit").value_of("Connect to (optional)") == "inside.example:8443"
    assert "Go to inside.example:8443" in owner.get(integration).words


def test_a_server_is_looked_at_where_connections_go(owner: Visitor, transport: Transport) -> None:
    asked: list[str] = []
    transport.resolver = asked.append  # type: ignore[assignment]  # it knows no name
    fields = {"name": "Bitbucket", "base_url": "https://bitbucket.example", "oauth_version": "1"}
    token = owner.get(f"{INTEGRATIONS}/add").csrf_token
    page = owner.send(f"{INTEGRATIONS}/add/look", csrf_token=token, **fields, connect_to="inside.example:8443")
    assert "The name to connect to does not lead to a server" in page.words
    assert asked == ["inside.example."]


def test_a_pasted_private_key_is_not_shown_again(owner: Visitor) -> None:
    pasted = PrivateKey.generate(2048).pem()
    fields = {"name": "Bitbucket", "base_url": BASE_URL, "ca_certificates": pasted}
    page = owner.post(f"{INTEGRATIONS}/add", **fields)
    assert page.status == 422
    assert "It contains a private key" in page.words
    assert pasted.splitlines()[1] not in page.text


def test_too_much_text_is_no_ca_certificate(owner: Visitor) -> None:
    fields = {"name": "Bitbucket", "base_url": BASE_URL, "ca_certificates": "x" * 100_000}
    assert owner.post(f"{INTEGRATIONS}/add", **fields).status == 422


def test_a_server_without_tls_is_marked_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    app = create_app(
        {
            "INSTANCE_PATH": tmp_path,
            "PUBLIC_BASE_URL": ORIGIN,
            "SECRET_KEY": SECRET_KEY,
            "ALLOW_INSECURE_HTTP": "bitbucket.acme.example",
        }
    )
    owner = Visitor(InProcess(app))
    owner.create_organization("acme")
    page = owner.get(owner.add_integration("acme", "http://bitbucket.acme.example"))
    app.extensions["engine"].dispose()
    assert "This base URL is not encrypted." in page.words
    assert [json.loads(line).get("insecure") for line in caplog.messages if "integration.created" in line] == [True]


def test_both_versions_of_oauth_are_offered_with_advice_and_oauth_1_is_chosen(owner: Visitor) -> None:
    page = owner.get(f"{INTEGRATIONS}/add")
    values = re.findall(r'<input(?: aria-describedby="[^"]*")?( checked)?[^>]* type="radio" value="([12])"', page.text)
    assert values == [("", "2"), (" checked", "1")]
    assert "Recommended from 8 on: Atlassian develops this one further." in page.words


def test_the_list_shows_name_server_oauth_state_people_and_the_next_step(owner: Visitor, integration: str) -> None:
    words = owner.get(INTEGRATIONS).words
    for shown in (
        "Bitbucket bitbucket.acme.example/bitbucket OAuth 1 Draft Never 0 Continue set-up",
        "Bitbucket needs you.",
    ):
        assert shown in words


def test_what_needs_the_owner_stands_first_in_the_list(owner: Visitor, integration: str) -> None:
    other = owner.add_integration("acme", BASE_URL, "Other")
    owner.post(f"{integration}/disable", f"{integration}/disable")
    page = owner.get(INTEGRATIONS)
    assert page.text.index(other) < page.text.index(integration)
    assert "1 of 2 needs you." in page.words


@capability("integration")
def test_an_integration_is_disabled_and_enabled_on_a_page_of_its_own(owner: Visitor, integration: str) -> None:
    page = f"{integration}/disable"
    assert "Nothing is deleted." in owner.get(page).words
    assert owner.post(page).location == integration
    assert "Nobody can log in through it since today" in owner.get(integration).words
    assert "Enable Bitbucket?" in owner.get(page).words
    assert owner.post(f"{integration}/enable", page).location == integration
    assert "Disabled" not in owner.get(INTEGRATIONS).words


def test_the_worksheet_ends_with_the_test_and_a_draft_shows_no_login_link(owner: Visitor, integration: str) -> None:
    page = owner.worksheet(integration)
    end = page.text.index("</ol>", page.text.index('<ol class="tasks">'))
    assert f'action="{integration}/test"' in page.text[end:]
    assert "I saved it: test the connection" in page.text[end:]
    for path in (integration, INTEGRATIONS, f"{integration}/bitbucket", f"{integration}/test"):
        assert f"{ORIGIN}/o/acme/login" not in owner.get(path).text


def test_a_disabled_integration_is_shown_as_such_and_offers_no_login(owner: Visitor, integration: str) -> None:
    owner.post(f"{integration}/disable")
    assert "Disabled" in owner.get(INTEGRATIONS).words
    assert "Log in with Bitbucket" not in owner.get("/o/acme/login").words
    assert owner.get("/o/acme/login").headers["Content-Security-Policy"].count("https://") == 0


def test_changes_are_kept(owner: Visitor, integration: str) -> None:
    page = owner.post(f"{integration}/edit", name="Renamed", base_url="https://new.acme.example/")
    assert page.location == integration
    words = owner.get(INTEGRATIONS).words
    assert "Renamed" in words
    assert "new.acme.example" in words


def add_jane() -> User:
    """Add somebody who logs in through the only integration."""
    record = database.session.query(models.integration).one()
    jane = User(organization_id=1, username="jane", display_name="Jane Doe")
    key = {"provider": "bitbucket-server", "uid": f"{record.namespace}:2", "extra_data": {}}
    database.session.add(models.identity(user=jane, integration_id=record.id, name="jane", **key))
    database.session.commit()
    return jane


@pytest.mark.parametrize(("server", "status"), [({}, 422), ({"server": "moved"}, 303)])
def test_a_server_that_people_logged_in_with_is_not_swapped_for_another_by_mistake(
    app: Flask, owner: Visitor, integration: str, server: dict[str, str], status: int
) -> None:
    with app.app_context():
        add_jane()
    fields = {"name": "Bitbucket", "base_url": "https://other.example"}
    assert owner.post(f"{integration}/edit", **fields, **server).status == status


def test_deleting_asks_for_the_name(owner: Visitor, integration: str) -> None:
    page = owner.post(f"{integration}/delete", name="bitbucket")
    assert page.status == 422
    assert "Type the name exactly as it is: Bitbucket" in page.words
    assert owner.get(integration).status == 200


def test_deleting_says_in_numbers_what_is_lost(owner: Visitor, integration: str) -> None:
    words = owner.get(f"{integration}/delete").words
    assert "Nobody loses an account." in words
    assert "0 who log in only here" in words


def test_a_deleted_integration_is_gone(owner: Visitor, integration: str) -> None:
    assert owner.post(f"{integration}/delete", name="Bitbucket").location == INTEGRATIONS
    assert owner.get(integration).status == 404
    assert "Connect your Bitbucket server" in owner.get(INTEGRATIONS).words


@capability("people")
def test_a_disabled_person_can_be_enabled_again(app: Flask, owner: Visitor, integration: str) -> None:
    with app.app_context():
        path = f"/o/acme/settings/people/{add_jane().id}"
    owner.post(f"{path}/disable", "/o/acme/settings/people")
    assert "Jane Doe is disabled and logged out everywhere." in owner.get("/o/acme/settings/people").words
    owner.post(f"{path}/enable", "/o/acme/settings/people")
    words = owner.get("/o/acme/settings/people").words
    assert "Jane Doe can log in again." in words
    assert "Disabled" not in words


def test_settings_begin_with_the_integrations(owner: Visitor) -> None:
    assert owner.get("/o/acme/settings/").location == INTEGRATIONS


def test_the_owner_cannot_be_disabled(app: Flask, owner: Visitor) -> None:
    with app.app_context():
        owner_id = database.session.query(User.id).scalar()
    assert owner.post(f"/o/acme/settings/people/{owner_id}/disable", "/o/acme/settings/people").status == 404


# Who may see what


def settings_paths(app: Flask, slug: str, integration_id: str) -> list[tuple[str, str]]:
    """Every method and path below the settings of an organization."""
    values = {"slug": slug, "integration": integration_id, "person": "1", "event_id": 1}
    return [
        (method, address_of(rule, values))
        for rule in app.url_map.iter_rules()
        if "/settings" in rule.rule
        for method in (rule.methods or set()) & {"GET", "POST"}
    ]


def test_another_organizations_owner_finds_no_settings(
    app: Flask, stranger: Visitor, integration: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    paths = settings_paths(app, "acme", integration.rpartition("/")[2])
    token = stranger.get("/o/globex/settings/integrations").csrf_token
    for method, path in paths:
        page = stranger.get(path) if method == "GET" else stranger.send(path, csrf_token=token, name="Bitbucket")
        assert page.status == 404, f"{method} {path}"
    events = [json.loads(line)["event"] for line in caplog.messages]
    assert events.count("admin.denied") == len(paths)


def test_another_organizations_integration_is_not_found_in_ones_own(
    app: Flask, stranger: Visitor, integration: str
) -> None:
    token = stranger.get("/o/globex/settings/integrations").csrf_token
    integration_id = integration.rpartition("/")[2]
    for method, path in settings_paths(app, "globex", integration_id):
        if integration_id in path:
            page = stranger.get(path) if method == "GET" else stranger.send(path, csrf_token=token, name="Bitbucket")
            assert page.status == 404, f"{method} {path}"


def test_whoever_owns_an_integration_reads_who_else_asked_for_it(
    owner: Visitor, stranger: Visitor, integration: str
) -> None:
    integration_id = integration.rpartition("/")[2]
    denied = "A person who does not own this organization tried to open its settings"
    assert stranger.get(f"/o/globex/settings/integrations/{integration_id}").status == 404
    assert owner.get("/o/acme/settings/events").words.count(denied) == 1
    assert owner.get(f"{INTEGRATIONS}/{'0' * 24}").status == 404, "it was deleted"
    assert owner.get("/o/acme/settings/events").words.count(denied) == 1
    assert denied not in stranger.get("/o/globex/settings/events").words


def test_nobody_in_particular_is_sent_to_the_login(app: Flask, visitor: Visitor, integration: str) -> None:
    token = visitor.get("/").csrf_token
    for method, path in settings_paths(app, "acme", integration.rpartition("/")[2]):
        page = visitor.get(path) if method == "GET" else visitor.send(path, csrf_token=token)
        assert (page.status, page.location.partition("?")[0]) == (303, "/o/acme/login"), f"{method} {path}"


def test_what_is_unknown_disabled_or_somebody_elses_looks_the_same(
    app: Flask, owner: Visitor, stranger: Visitor, integration: str, visitor: Visitor
) -> None:
    integration_id = integration.rpartition("/")[2]
    with app.app_context():
        database.session.query(Organization).filter_by(slug="globex").one().disabled_at = clock.now()
        database.session.commit()
    token = visitor.get("/o/acme/login").csrf_token
    pages = [
        visitor.get("/nowhere"),
        visitor.get("/o/unknown/login"),
        visitor.get("/o/globex/login"),
        visitor.send("/o/acme/login/unknown/begin", csrf_token=token),
        visitor.send(f"/o/globex/login/{integration_id}/begin", csrf_token=token),
        visitor.get("/complete/bitbucket-server/unknown/?oauth_token=t&oauth_verifier=v"),
    ]
    assert {page.status for page in pages} == {404}
    assert len({page.text for page in pages}) == 1


def test_the_stock_routes_of_social_auth_are_not_there(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert not [rule for rule in rules if rule.startswith(("/login/", "/disconnect/"))]
    assert {rule for rule in rules if rule.startswith("/complete/")} == {
        "/complete/bitbucket-server/<integration>/",
        "/complete/bitbucket-server-oauth2/<integration>/",
    }


# Requests that are refused


@pytest.mark.parametrize("path", ["/o/acme/logout", "/o/acme/login/x/begin"])
def test_opening_what_is_a_button_does_nothing(owner: Visitor, path: str) -> None:
    page = owner.get(path)
    assert page.status == 405
    assert "It belongs to a button on another page." in page.words
    assert owner.get("/o/acme/account").status == 200


@pytest.mark.parametrize("token", [{}, {"csrf_token": ""}, {"csrf_token": "wrong"}])
def test_a_form_without_the_sessions_token_is_refused(owner: Visitor, token: dict[str, str]) -> None:
    page = owner.send("/o/acme/logout", **token)
    assert page.status == 400
    assert "This form is too old to be sent" in page.words
    assert owner.get("/o/acme/account").status == 200


def test_the_token_of_another_session_is_refused(owner: Visitor, stranger: Visitor) -> None:
    token = stranger.get("/o/globex/account").csrf_token
    assert owner.send("/o/acme/logout", csrf_token=token).status == 400


@pytest.mark.parametrize("fetch_site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused(owner: Visitor, fetch_site: str) -> None:
    token = owner.get("/o/acme/account").csrf_token
    assert owner.send("/o/acme/logout", {"Sec-Fetch-Site": fetch_site}, csrf_token=token).status == 400


@pytest.mark.parametrize("fetch_site", ["same-origin", "none"])
def test_a_form_of_this_site_is_accepted(owner: Visitor, fetch_site: str) -> None:
    token = owner.get("/o/acme/account").csrf_token
    assert owner.send("/o/acme/logout", {"Sec-Fetch-Site": fetch_site}, csrf_token=token).status == 303


@pytest.mark.parametrize("host", ["evil.example", "app.example:8000", "app.example.evil.example"])
def test_a_request_for_another_host_is_refused_and_told_the_right_one(visitor: Visitor, host: str) -> None:
    page = visitor.get("/", Host=host)
    assert page.status == 400
    assert ORIGIN in page.words
    assert "evil" not in page.text


def test_forwarded_hosts_are_ignored(owner: Visitor, integration: str) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    page = owner.get(integration, **forged)
    assert page.status == 200
    assert "evil" not in page.text


def test_a_form_that_is_too_large_is_refused(owner: Visitor) -> None:
    assert owner.send("/o/acme/logout", csrf_token="x" * 100_000).status in {400, 413}


# Failures


def test_a_mistake_of_ours_shows_a_reference_and_no_details(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object, **__: object) -> str:
        raise RuntimeError("a detail")

    monkeypatch.setattr(start, "render_template", break_down)
    page = visitor.get("/")
    reference = re.search(r"Reference number ([0-9A-F]{8})", page.words)
    assert page.status == 500
    assert "a detail" not in page.text
    assert "Traceback" not in page.text
    assert reference
    assert reference[1] in caplog.text


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def begin(_callback_path: str, _backend: str) -> None:
        raise error

    monkeypatch.setattr(logins, "begin", begin)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AuthProviderError(None, code="timeout", stage="begin", context={"problem": "timeout"}), 504),
        (AuthProviderError(None, code="rate_limited", stage="begin", context={"problem": "rate_limited"}), 503),
        (AuthProviderError(None, code="http_error", stage="begin"), 502),
    ],
)
def test_a_failed_login_is_explained_with_the_reference_of_its_log_line(
    owner: Visitor,
    integration: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: AuthProviderError,
    status: int,
) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    fail_with(monkeypatch, error)
    page = owner.begin(integration)
    line = json.loads(caplog.messages[-1])
    assert page.status == status
    assert f"Reference number {line['reference']}" in page.words
    assert (line["event"], line["code"], line["stage"]) == ("login.failure", error.code, "begin")
    assert line["integration_id"] == integration.rpartition("/")[2]


def test_a_limited_server_says_when_to_come_back(
    owner: Visitor, integration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, AuthProviderError(None, code="rate_limited", context={"problem": "rate_limited"}))
    assert owner.begin(integration).headers["Retry-After"] == "60"


@pytest.mark.parametrize("wait", [-5, None, datetime(2030, 1, 1, tzinfo=UTC)])
def test_a_time_to_wait_that_is_no_number_of_seconds_is_a_minute(
    owner: Visitor, integration: str, monkeypatch: pytest.MonkeyPatch, wait: int | datetime | None
) -> None:
    def refuse(*_: object) -> None:
        raise TooManyRequests(retry_after=wait)

    monkeypatch.setattr(limits, "count", refuse)
    page = owner.begin(integration)
    assert (page.status, page.headers["Retry-After"]) == (429, "60")


def test_an_address_that_may_not_be_reached_looks_like_one_that_cannot(
    owner: Visitor, integration: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    pages = []
    for error in (
        AuthProviderError(None, code="connection_failed", context={"problem": "connection_failed"}),
        AuthConfigurationError(
            None,
            code="invalid_setting",
            parameter="base_url",
            context={"problem": "address_blocked", "facts": {"host": "intranet.example", "address_class": "private"}},
        ),
    ):
        fail_with(monkeypatch, error)
        page = owner.begin(integration)
        pages.append((page.status, re.sub(r"[0-9A-F]{8}|[0-9]{2}:[0-9]{2}", "", page.text)))
    assert pages[0] == pages[1]
    assert "intranet.example" not in pages[1][1]
    assert json.loads(caplog.messages[-1])["event"] == "outbound.blocked"


def test_the_log_holds_nothing_of_a_callbacks_address(
    visitor: Visitor, integration: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    visitor.get(f"/complete/bitbucket-server/{integration.rpartition('/')[2]}/?oauth_token=canary&oauth_verifier=bird")
    assert caplog.messages
    assert "canary" not in caplog.text
    assert "bird" not in caplog.text


def test_the_start_page_shows_people_that_they_are_logged_in(owner: Visitor, visitor: Visitor) -> None:
    page = owner.get("/")
    assert "You are logged in to" in page.words
    assert "Log out" in page.words
    assert "You are logged in" not in visitor.get("/").words

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from social_bitbucket_server.sandbox import Sandbox

from .calling import WHOAMI, Caller
from .conftest import pem, public_pem
from .visiting import Visitor

LIST = "/plugins/servlet/applinks/listApplicationLinks"
ADDRESS = "https://app.example/o/acme/"


@pytest.fixture
def admin(visitor):
    return visitor.log_in("admin").open(LIST)


@pytest.fixture
def new_admin(new_visitor):
    return new_visitor.log_in("admin").open(LIST)


@pytest.fixture
def link_form(admin):
    """The third page of the dialog."""
    return admin.submit(application_url=ADDRESS).submit()


@pytest.fixture
def incoming_step(link_form):
    """The page that follows a ticked Create incoming link."""
    return link_form.submit(name="Acme", create_incoming="1")


@pytest.fixture
def linked(sandbox, admin, public_key):
    """A link with incoming authentication; gives its pages' path."""
    return f"{LIST}/{sandbox.link(consumer_key='acme', public_key=public_key, name='Acme').id}"


def test_the_list_is_for_people_who_are_logged_in(visitor):
    visitor.open(LIST)
    assert visitor.path.startswith("/login?next=%2Fbitbucket%2Fplugins")


def test_the_list_is_for_admins(visitor):
    visitor.log_in("jane").open(LIST)
    assert visitor.status == 403
    assert visitor.heading == "For admins only"


def test_an_empty_list_says_what_to_do_first(admin, new_admin):
    assert "press Create new link" in admin.text
    assert "Press Create link to begin." in new_admin.text


def test_until_7_19_a_link_begins_with_its_address_and_a_harmless_warning(admin):
    admin.submit(application_url=ADDRESS)
    assert admin.heading == "Configure Application URL"
    assert "No response was received from the URL you entered" in admin.text
    assert admin.page.labels == ["Entered URL", "New URL"]
    assert admin.page.fields["new_url"] == ADDRESS


def test_the_address_can_be_changed_on_the_page_with_the_warning(admin):
    admin.submit(application_url="https://typo.example").submit(new_url=ADDRESS)
    assert admin.heading == "Link applications"
    assert ADDRESS in admin.text


def test_the_form_has_the_fields_of_bitbucket_in_its_order(link_form):
    assert link_form.page.labels == [
        "Application Name",
        "Application Type",
        "Service Provider Name",
        "Consumer key",
        "Shared secret",
        "Request Token URL",
        "Access token URL",
        "Authorize URL",
        "Create incoming link",
    ]


def test_a_link_without_incoming_authentication_is_made(link_form, sandbox):
    link_form.submit(name="Acme")
    assert link_form.path == LIST
    assert "Not filled in" in link_form.text
    (link,) = sandbox.links.all()
    assert (link.name, link.application_url, link.consumer) == ("Acme", ADDRESS, None)


def test_create_incoming_link_asks_for_the_consumer(incoming_step):
    assert incoming_step.page.labels == ["Consumer Key", "Consumer Name", "Public Key"]


def test_a_link_that_was_made_on_the_pages_logs_people_in(incoming_step, sandbox, rsa_key):
    incoming_step.submit(consumer_key="acme", consumer_name="Acme", public_key=public_pem(rsa_key))
    assert incoming_step.path == LIST
    caller = Caller(sandbox.url, "acme", pem(rsa_key))
    assert caller.call("GET", WHOAMI, token=caller.access_token(sandbox)).text == "jane"


def test_since_7_20_a_link_begins_with_the_application_type(new_admin):
    new_admin.open(f"{LIST}/create")
    assert new_admin.heading == "Create link"
    assert new_admin.page.labels == [
        "Atlassian product",
        "Application URL",
        "External application",
        "Incoming",
        "Outgoing",
    ]


@pytest.fixture
def newest_admin():
    with Sandbox(version="10.2") as sandbox, Visitor(sandbox.url) as visitor:
        yield visitor.log_in("admin")


@pytest.mark.socket
def test_since_10_1_there_are_three_application_types(newest_admin):
    newest_admin.open(f"{LIST}/create")
    assert newest_admin.page.labels == [
        "Atlassian product via OAuth 1.0",
        "Application URL",
        "Atlassian product via OAuth 2.0",
        "External application",
        "Incoming",
        "Outgoing",
    ]


@pytest.mark.socket
def test_since_10_1_the_wrong_type_is_refused_and_the_right_one_named(newest_admin):
    newest_admin.open(f"{LIST}/create").submit(application_type="atlassian_oauth2", application_url=ADDRESS)
    assert newest_admin.status == 400
    assert "choose Atlassian product via OAuth 1.0" in newest_admin.refusal
    newest_admin.submit(application_type="atlassian")
    assert newest_admin.heading == "Configure Application URL"


def test_since_7_20_an_atlassian_product_goes_on_with_the_same_forms(new_admin, new_sandbox, public_key):
    new_admin.open(f"{LIST}/create").submit(application_type="atlassian", application_url=ADDRESS)
    assert new_admin.heading == "Configure Application URL"
    new_admin.submit().submit(name="Acme", create_incoming="1")
    new_admin.submit(consumer_key="acme", consumer_name="Acme", public_key=public_key)
    assert new_sandbox.links.consumer("acme").name == "Acme"


def test_an_external_application_goes_on_with_the_form_of_an_incoming_link(new_admin):
    new_admin.open(f"{LIST}/create").submit(application_type="external", direction="incoming")
    assert new_admin.heading == "Configure an incoming link"


@pytest.mark.parametrize(
    ("direction", "refusal"),
    [(None, "Choose a Direction."), ("outgoing", "The sandbox has no outgoing links. Choose Incoming.")],
)
def test_an_external_application_is_incoming(new_admin, direction, refusal):
    new_admin.open(f"{LIST}/create").submit(application_type="external", direction=direction)
    assert (new_admin.status, new_admin.refusal) == (400, refusal)


def test_since_7_20_the_application_type_must_be_chosen(new_admin):
    new_admin.open(f"{LIST}/create").submit(application_url=ADDRESS)
    assert (new_admin.status, new_admin.refusal) == (400, "Choose an Application type.")


def test_since_7_20_an_address_is_needed(new_admin):
    new_admin.open(f"{LIST}/create").submit(application_type="atlassian", application_url="")
    assert new_admin.refusal.startswith("Enter the whole address")


def test_until_7_19_there_is_no_other_way_to_begin(admin):
    assert admin.open(f"{LIST}/create").path == LIST


def test_the_generation_of_the_dialog_follows_the_version(admin, sandbox):
    sandbox.faults.version = "8.19.0"
    assert "Create new link" not in admin.open(LIST).text
    assert "Create link" in admin.text


@pytest.mark.parametrize("address", ["", "app.example", "ftp://app.example", "https://", "http://[::1"])
def test_an_address_must_be_a_whole_one(admin, address):
    admin.submit(application_url=address)
    assert admin.status == 400
    assert admin.refusal.startswith("Enter the whole address of the application")


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS.rstrip("/"), ADDRESS.replace("app", "APP")])
def test_two_links_with_the_same_application_url_are_refused(admin, sandbox, address):
    sandbox.links.add("Acme", ADDRESS)
    assert admin.submit(application_url=address).refusal == "There is a link with this Application URL already: Acme."


def test_the_same_application_url_is_refused_on_the_page_with_the_warning(admin, sandbox):
    sandbox.links.add("Acme", ADDRESS)
    admin.submit(application_url="https://other.example").submit(new_url=ADDRESS)
    assert "already: Acme" in admin.refusal


def test_a_name_is_needed(link_form):
    assert link_form.submit(name=" ").refusal == "Enter an Application Name."


def test_a_link_that_was_taken_meanwhile_is_refused_at_the_end(incoming_step, sandbox, public_key):
    sandbox.links.add("Faster", ADDRESS)
    incoming_step.submit(consumer_key="acme", consumer_name="Acme", public_key=public_key)
    assert incoming_step.refusal == "There is a link with this Application URL already: Faster."
    assert incoming_step.page.fields["consumer_key"] == "acme"


def test_incoming_authentication_has_the_fields_of_bitbucket_in_its_order(admin, linked):
    admin.open(f"{linked}/incoming")
    assert admin.page.labels == [
        "Consumer Key",
        "Consumer Name",
        "Description",
        "Public Key",
        "Consumer Callback URL",
        "Allow 2-Legged OAuth",
        "Execute as",
        "Allow user impersonation through 2-Legged OAuth",
    ]


def test_incoming_authentication_can_be_filled_in_later(admin, sandbox, public_key):
    link = sandbox.links.add("Acme", ADDRESS)
    admin.open(f"{LIST}/{link.id}/incoming")
    assert "Nothing is filled in yet" in admin.text
    admin.submit(
        consumer_key=" acme ",
        consumer_name="Acme",
        description="Packages",
        public_key=public_key.replace("\n", "\r\n"),
        two_legged_allowed="1",
        execute_as="jane",
        impersonation_allowed="1",
    )
    assert "Saved." in admin.text
    consumer = sandbox.links.consumer("acme")
    assert consumer.public_key == public_key
    assert (consumer.description, consumer.execute_as, consumer.callback_url) == ("Packages", "jane", "")
    assert consumer.two_legged_allowed
    assert consumer.impersonation_allowed


def test_saving_again_changes_nothing(admin, linked, sandbox):
    before = sandbox.links.consumer("acme")
    admin.open(f"{linked}/incoming").submit()
    assert sandbox.links.consumer("acme") == before


def test_a_slash_is_appended_to_a_consumer_callback_url_once(admin, linked, sandbox):
    admin.open(f"{linked}/incoming").submit(consumer_callback_url="https://app.example/complete").submit()
    assert sandbox.links.consumer("acme").callback_url == "https://app.example/complete/"


def test_the_consumer_callback_url_serves_plain_oauth_1_0(admin, linked, sandbox, rsa_key):
    admin.open(f"{linked}/incoming").submit(consumer_callback_url="https://app.example/complete")
    caller = Caller(sandbox.url, "acme", pem(rsa_key))
    token = caller.request_token(oauth_callback=None)
    callback = sandbox.authorize(caller.authorize_url(token), user="jane")
    assert callback == f"https://app.example/complete/?oauth_token={token}"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"consumer_key": ""}, "Enter a Consumer Key."),
        ({"consumer_name": ""}, "Enter a Consumer Name."),
        ({"consumer_key": "taken"}, "The Consumer Key is taken: the link Other has it."),
        ({"execute_as": "nobody"}, "Execute as: there is no user called nobody."),
        ({"public_key": ""}, "The Public Key cannot be used. It is empty."),
    ],
)
def test_incoming_authentication_is_refused_with_a_reason_and_keeps_what_was_typed(
    admin, linked, sandbox, public_key, fields, refusal
):
    sandbox.link(consumer_key="taken", public_key=public_key, name="Other")
    admin.open(f"{linked}/incoming").submit(**({"description": "typed"} | fields))
    assert (admin.status, admin.refusal) == (400, refusal)
    assert admin.page.fields["description"] == "typed"
    assert sandbox.links.consumer("acme").description == ""


def test_a_public_key_of_the_wrong_kind_is_refused_on_the_page(admin, linked, rsa_key):
    old = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    assert "RSA PUBLIC KEY" in admin.open(f"{linked}/incoming").submit(public_key=old).refusal


def test_another_consumer_key_ends_the_tokens_of_the_former(admin, linked, sandbox, rsa_key):
    caller = Caller(sandbox.url, "acme", pem(rsa_key))
    token, begun = caller.access_token(sandbox), caller.request_token()
    admin.open(f"{linked}/incoming").submit(consumer_key="acme-2")
    admin.open(f"{linked}/incoming").submit(consumer_key="acme")
    assert caller.call("GET", WHOAMI, token=token).status_code == 401
    assert admin.open(caller.authorize_url(begun)).status == 401


def test_a_question_says_in_numbers_what_will_be_lost(admin, linked, sandbox, rsa_key):
    caller = Caller(sandbox.url, "acme", pem(rsa_key))
    for user in ("jane", "jane", "kim"):
        caller.access_token(sandbox, user)
    assert "3 access tokens of 2 people will stop working." in admin.open(f"{linked}/delete").text


def test_a_link_is_deleted_when_its_name_was_typed(admin, linked, sandbox):
    admin.open(f"{linked}/delete").submit(confirmed_name="acme")
    assert admin.refusal == "That is not the name. Type Acme to go on."
    assert len(sandbox.links.all()) == 1
    admin.submit(confirmed_name="Acme")
    assert sandbox.links.all() == []


def test_a_link_without_consumer_is_deleted_too(admin, sandbox):
    link = sandbox.links.add("Acme", ADDRESS)
    assert "No access token will be lost." in admin.open(f"{LIST}/{link.id}/delete").text
    admin.submit(confirmed_name="Acme")
    assert sandbox.links.all() == []


def test_incoming_authentication_is_deleted_with_its_tokens_and_the_link_stays(admin, linked, sandbox, rsa_key):
    caller = Caller(sandbox.url, "acme", pem(rsa_key))
    other = sandbox.link(consumer_key="other", public_key=public_pem(rsa_key))
    others = Caller(sandbox.url, "other", pem(rsa_key))
    token, begun = caller.access_token(sandbox), caller.request_token()
    kept, begun_there = others.access_token(sandbox), others.request_token()
    admin.open(f"{linked}/incoming/delete").submit(confirmed_name="Acme")
    assert "Nothing is filled in yet" in admin.text
    assert {link.name: link.consumer for link in sandbox.links.all()} == {"Acme": None, "other": other.consumer}
    assert caller.call("GET", WHOAMI, token=token).status_code == 401
    assert others.call("GET", WHOAMI, token=kept).text == "jane"
    assert admin.open(caller.authorize_url(begun)).status == 401
    assert admin.open(caller.authorize_url(begun_there)).status == 200


@pytest.mark.parametrize("page", ["incoming", "delete", "incoming/delete"])
def test_a_link_that_is_not_there_has_no_pages(admin, page):
    assert admin.open(f"{LIST}/nothing/{page}").status == 404


@pytest.mark.parametrize("page", ["create", "address", "link", "incoming", "x/incoming", "x/delete"])
def test_forms_from_elsewhere_are_refused(admin, page):
    assert admin.post(f"{LIST}/{page}", application_url=ADDRESS, name="Acme").status == 400


def test_forms_of_people_who_are_no_admins_are_refused(sandbox):
    with Visitor(sandbox.url) as jane:
        jane.log_in("jane").open("/sandbox/faults")
        token = jane.page.fields["form_token"]
        assert jane.post(f"{LIST}/link", application_url=ADDRESS, name="Acme", form_token=token).status == 403
    assert sandbox.links.all() == []


def test_a_form_sent_after_the_log_out_leads_to_the_log_in(visitor):
    token = visitor.open("/login").page.fields["form_token"]
    assert visitor.post(f"{LIST}/link", form_token=token).path.startswith("/login?")


def test_what_a_worksheet_says_to_press_is_there(admin, linked):
    page = admin.open(f"{linked}/incoming").response.text
    assert '<a href="#incoming-authentication">Incoming Authentication</a>' in page
    assert 'id="incoming-authentication"' in page

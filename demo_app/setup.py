"""Set-up links: the owner makes and ends them, and a Bitbucket admin who has one sets one integration up."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from social_bitbucket_server.crypto import PublicKey
from social_bitbucket_server.integration import ConnectTo, ServerURL
from social_bitbucket_server.onboarding import advice_for, oauth2_advice_for

from . import (
    access,
    connection,
    database,
    identities,
    integrations,
    moves,
    navigation,
    onboarding,
    rate_limits,
    setup_links,
    upgrade,
    worksheets,
)
from .forms import ClientCredentialsForm, ServerCorrectionForm
from .models import IntegrationRecord, Organization, SetupLink
from .setup_links import Life

blueprint = Blueprint("setup", __name__)

_OF_AN_INTEGRATION = "/o/<slug>/settings/integrations/<integration>"
_SCRIPT_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Disposition": 'attachment; filename="link.sh"',
}


@blueprint.after_request
def keep_out_of_search_engines(response: Response) -> Response:
    """Somebody may have put a link on a page that is searched."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


@blueprint.get(f"{_OF_AN_INTEGRATION}/setup-link")
@access.for_owner
def link(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show the integration's set-up link without its token, and the form for a new one."""
    record = access.integration_or_404(organization, integration)
    return render_template(
        "bitbucket_server/setup_link.html",
        organization=organization,
        record=record,
        link=setup_links.live(record),
        lives=list(Life),
    )


@blueprint.post(f"{_OF_AN_INTEGRATION}/setup-link")
@access.for_owner
def make(organization: Organization, integration: str) -> ResponseReturnValue:
    """Make the integration's set-up link, and show it this once."""
    record = access.integration_or_404(organization, integration)
    life = request.form.get("life", Life.WEEK.value)
    if life not in set(Life):
        abort(400)
    if record.disabled_at is not None:
        flash("The set-up link of a disabled integration would open nothing. Enable it first.", "refusal")
        return _to_the_link(record)
    rate_limits.count(rate_limits.SETUP_LINKS_MADE, record.id)
    address = navigation.absolute(url_for("setup.page", token=setup_links.make(record, Life(life))))
    return render_template(
        "bitbucket_server/setup_link.html",
        organization=organization,
        record=record,
        address=address,
        link=setup_links.live(record),
    )


@blueprint.post(f"{_OF_AN_INTEGRATION}/setup-link/revoke")
@access.for_owner
def revoke(organization: Organization, integration: str) -> ResponseReturnValue:
    """End the integration's set-up link."""
    record = access.integration_or_404(organization, integration)
    was_live = setup_links.revoke(record)
    flash("The set-up link has ended." if was_live else "There is no set-up link to end.")
    return _to_the_link(record)


@blueprint.get(f"{_OF_AN_INTEGRATION}/link.sh")
@access.for_owner
def script_for_owner(organization: Organization, integration: str) -> ResponseReturnValue:
    """The script, to be sent to whoever administers Bitbucket."""
    record = access.integration_or_404(organization, integration)
    return _script(worksheets.script_of_new_link(record) if "new" in request.args else worksheets.script(record))


@blueprint.get("/setup/<token>")
def page(token: str) -> ResponseReturnValue:
    """The worksheet and the script of the one integration, and the forms that complete its set-up."""
    link = _live_link(token)
    setup_links.note_opening(link)
    return _page(link, token)


@blueprint.post("/setup/<token>/credentials")
def keep_credentials(token: str) -> ResponseReturnValue:
    """Keep client id and client secret, and test the connection with them."""
    link, form = _live_link(token), ClientCredentialsForm()
    record = link.integration
    integrations.lock(record)  # until it is saved, nobody logs in for the first time
    if not _takes_credentials(record):
        abort(404)
    rate_limits.count(rate_limits.SETUP_TESTS, record.id)
    if not form.validate():
        return _page(link, token, credentials=form), 422
    upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    database.session.expire(record)  # its credentials were read before
    return _test(record, token)


@blueprint.post("/setup/<token>/server")
def correct_server(token: str) -> ResponseReturnValue:
    """Keep a corrected base URL and CA certificate. Another host is another server, which ends the link."""
    link = _live_link(token)
    record = link.integration
    integrations.lock(record)  # as above
    if not _takes_corrections(record):
        abort(404)
    rate_limits.count(rate_limits.SETUP_TESTS, record.id)
    form = ServerCorrectionForm(current_app.extensions["settings"].outbound.base_url_rules)
    if not form.validate() or form.server_url is None:
        return _page(link, token, server=form), 422
    _correct(record, form.server_url, form.ca_certificates.data)
    flash("The correction is saved. Next, test the connection.")
    return redirect(url_for("setup.page", token=token), 303)


@blueprint.get("/setup/<token>/link.sh")
def script(token: str) -> ResponseReturnValue:
    """The script as a file."""
    link = _live_link(token)
    return _script(worksheets.script_to_set_up(link.integration))


@blueprint.post("/setup/<token>/test")
def test_connection(token: str) -> ResponseReturnValue:
    """Test the connection of the one integration, with the key pair that waits where there is one, and show what each
    stage found."""
    link = _live_link(token)
    record = link.integration
    if not record.ways:
        abort(404)
    rate_limits.count(rate_limits.SETUP_TESTS, record.id)
    return _test(record, token)


def _test(record: IntegrationRecord, token: str) -> Response:
    pair = record.key_pair_to_set_up
    context = {"record": record, "token": token, "is_new_key": pair is not None and pair is record.pending_key_pair}
    return connection.shown(
        connection.ConnectionTest(record, record.ways[0], pair),
        render_template("bitbucket_server/setup_test.html", place=connection.PLACE, **context),
        public_key=pair.public_key if pair is not None else "",
        afterwards=render_template("bitbucket_server/setup_passed.html", **context),
    )


def _page(
    link: SetupLink,
    token: str,
    *,
    credentials: ClientCredentialsForm | None = None,
    server: ServerCorrectionForm | None = None,
) -> str:
    """*credentials* and *server*: forms that were sent with something wrong in them; ``None`` for fresh ones."""
    record, settings = link.integration, current_app.extensions["settings"]
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    steps = worksheets.steps_to_set_up(record, dialog)
    if credentials is None and _takes_credentials(record):
        credentials = ClientCredentialsForm(formdata=None)
    if server is None and _takes_corrections(record):
        present = {"base_url": record.base_url, "ca_certificates": record.ca_certificates}
        server = ServerCorrectionForm(settings.outbound.base_url_rules, formdata=None, **present)
    return render_template(
        "bitbucket_server/setup.html",
        link=link,
        record=record,
        token=token,
        advice=_advice(record),
        server_url=integrations.server_url(record),
        steps=steps,
        script=worksheets.script_to_set_up(record),
        new_public_key=_public_key_to_paste(record),
        is_new_link=record.has_new_link and not record.is_for_oauth2,
        keeps_tokens=settings.store_access_tokens,
        credentials_form=credentials,
        server_form=server,
        **onboarding.dialogs_of(record, dialog, url_for("setup.page", token=token)),
    )


def _advice(record: IntegrationRecord) -> str:
    """Return the advice on the OAuth version; empty while a key pair waits, as the version was chosen before."""
    if record.pending_key_pair is not None:
        return ""
    return (oauth2_advice_for if record.is_for_oauth2 else advice_for)(record.server_version)


def _takes_credentials(record: IntegrationRecord) -> bool:
    """Return whether a Bitbucket admin may enter client id and client secret: nobody has logged in with others."""
    return record.is_for_oauth2 and record.last_login_at is None


def _takes_corrections(record: IntegrationRecord) -> bool:
    """Return whether a Bitbucket admin may correct base URL and CA certificate: nobody has an account by them yet."""
    return record.last_login_at is None and not identities.count(record)


def _correct(record: IntegrationRecord, server_url: ServerURL, ca_certificates: str) -> None:
    rules = current_app.extensions["settings"].outbound.base_url_rules
    present = integrations.server_url(record)
    if ca_certificates != record.ca_certificates:
        connect_to = ConnectTo.parse(record.connect_to, rules) if record.connect_to else None
        integrations.change(
            record,
            name=record.name,
            server_url=present,
            ca_certificates=ca_certificates,
            connect_to=connect_to,
        )
    if server_url.host != present.host:
        moves.begin_anew(record, server_url)
    elif str(server_url) != record.base_url:
        moves.take_over(record, server_url)


def _public_key_to_paste(record: IntegrationRecord) -> PublicKey | None:
    """The public key that takes another one's place in the application link that is there, if one waits."""
    pair = record.key_pair_to_set_up
    is_new = pair is not None and pair is record.pending_key_pair and not record.has_new_link
    return PublicKey.read(pair.public_key) if pair is not None and is_new else None


def _script(text: str) -> ResponseReturnValue:
    if not text:
        abort(404)
    return text, _SCRIPT_HEADERS


def _live_link(token: str) -> SetupLink:
    """Return the link if it opens. Otherwise end the request with a page that says why not and nothing about the
    integration, or with 404 for an unknown token."""
    rate_limits.count(rate_limits.SETUP_LINKS, rate_limits.visitor())
    link = setup_links.find(token)
    condition = setup_links.condition(link) if link is not None else setup_links.ended(token)
    if condition is None:
        abort(404)
    if link is None or condition is not setup_links.Condition.LIVE:
        abort(make_response(render_template("bitbucket_server/setup_over.html", why=condition), 410))
    return link


def _to_the_link(record: IntegrationRecord) -> Response:
    return redirect(url_for("setup.link", slug=record.organization.slug, integration=record.id), 303)

"""The pages of set-up links: the owner makes and revokes them, and whoever has one sees and tests one integration."""

from __future__ import annotations

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from social_bitbucket_server.crypto import PublicKey
from social_bitbucket_server.onboarding import Dialog, advice_for, oauth2_advice_for

from . import access, connection, integrations, navigation, rate_limits, setup_links, worksheets
from .models import IntegrationRecord, Organization, SetupLink

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


@blueprint.post(f"{_OF_AN_INTEGRATION}/setup-link")
@access.for_owner
def make(organization: Organization, integration: str) -> ResponseReturnValue:
    """Make the integration's set-up link, and show it this once."""
    record = access.integration_or_404(organization, integration)
    if record.disabled_at is not None:
        flash("The set-up link of a disabled integration would open nothing. Enable it under Edit first.", "refusal")
        return _to_the_integration(record)
    rate_limits.count(rate_limits.SETUP_LINKS_MADE, record.id)
    address = navigation.absolute(url_for("setup.page", token=setup_links.make(record)))
    return render_template(
        "setup/made.html", organization=organization, record=record, address=address, link=setup_links.live(record)
    )


@blueprint.post(f"{_OF_AN_INTEGRATION}/setup-link/revoke")
@access.for_owner
def revoke(organization: Organization, integration: str) -> ResponseReturnValue:
    """Let the integration's set-up link open nothing any more."""
    record = access.integration_or_404(organization, integration)
    was_live = setup_links.revoke(record)
    flash("The set-up link is revoked." if was_live else "There is no set-up link to revoke.")
    return _to_the_integration(record)


@blueprint.get(f"{_OF_AN_INTEGRATION}/link.sh")
@access.for_owner
def script_for_owner(organization: Organization, integration: str) -> ResponseReturnValue:
    """The script, to be sent to whoever administers Bitbucket."""
    record = access.integration_or_404(organization, integration)
    return _script(worksheets.script_of_new_link(record) if "new" in request.args else worksheets.script(record))


@blueprint.get("/setup/<token>")
def page(token: str) -> ResponseReturnValue:
    """The worksheet and the script of the one integration."""
    link = _live_link(token)
    setup_links.note_opening(link)
    record = link.integration
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    return render_template(
        "setup/page.html",
        link=link,
        record=record,
        token=token,
        dialog=dialog,
        dialogs=list(Dialog),
        advice=(oauth2_advice_for if record.is_for_oauth2 else advice_for)(record.server_version),
        server_url=integrations.server_url(record),
        steps=worksheets.steps_to_set_up(record, dialog),
        script=worksheets.script_to_set_up(record),
        new_public_key=_public_key_to_paste(record),
        is_new_link=record.has_new_link and not record.is_for_oauth2,
    )


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
    pair = record.key_pair_to_set_up
    context = {"record": record, "token": token, "is_new_key": pair is not None and pair is record.pending_key_pair}
    return connection.shown(
        connection.ConnectionTest(record, record.ways[0], pair),
        render_template("setup/test.html", place=connection.PLACE, **context),
        afterwards=render_template("setup/passed.html", **context),
    )


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
        abort(make_response(render_template("setup/over.html", condition=condition), 410))
    return link


def _to_the_integration(record: IntegrationRecord) -> Response:
    address = url_for(
        "settings.integration", slug=record.organization.slug, integration=record.id, _anchor="setup-link"
    )
    return redirect(address, 303)

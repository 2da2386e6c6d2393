"""The owner's page of a key pair: replaced, verified or given up, and the old application link removed."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from social_bitbucket_server.crypto import PublicKey
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.problems import BitbucketServerError, Code, Problem

from . import (
    access,
    audit,
    database,
    integrations,
    key_rotation,
    onboarding,
    rate_limits,
    setup_links,
    worksheets,
)
from .models import IntegrationRecord, Organization

blueprint = Blueprint("key_pair", __name__, url_prefix="/o/<slug>/settings/integrations/<integration>/key-pair")


@blueprint.get("")
@access.for_owner
def page(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show the key pair, and the one that waits for Bitbucket."""
    return _page(access.integration_or_404(organization, integration))


@blueprint.post("")
@access.for_owner
def make(organization: Organization, integration: str) -> ResponseReturnValue:
    """Make a key pair that waits until Bitbucket has its public key; the old one stays in use. It is for the old
    application link, or for a new one."""
    record = access.integration_or_404(organization, integration)
    if record.is_for_oauth2:
        abort(404)
    rate_limits.count(rate_limits.KEY_PAIRS, str(organization.id))
    if not key_rotation.begin(record, with_new_link=request.form.get("link") == "new"):
        flash(
            "An old application link waits for its removal. Say that it is removed first; there would be three.",
            "refusal",
        )
    return _to_page(record)


@blueprint.post("/<any(verify,give_up):action>")
@access.for_owner
def decide(organization: Organization, integration: str, action: str) -> ResponseReturnValue:
    """Use the new key pair from now on, or keep the old one, if Bitbucket accepts it."""
    record = access.integration_or_404(organization, integration)
    rate_limits.count(rate_limits.TESTS, rate_limits.visitor(), record.id)
    try:
        is_done = key_rotation.verify(record) if action == "verify" else key_rotation.give_up(record)
    except BitbucketServerError as error:
        database.session.rollback()
        audit.record(EventCode.KEY_REFUSED, outcome="failure", integration_id=record.id, problem=error.code)
        if error.code == Code.ADDRESS_BLOCKED:
            audit.record(EventCode.OUTBOUND_BLOCKED, outcome="failure", **error.facts)
        return _page(record, refusal=error.problem, refused=action), 422
    if not is_done:
        flash("There is no new key pair to verify.", "refusal")
    elif action == "give_up":
        flash("The old key pair stays in use. The private key of the new one is erased.")
    elif record.replaced_key_pair is not None:
        flash("Bitbucket accepts the new link. Logins go through it, and the old link can be removed.")
    else:
        flash("Bitbucket accepts the new key pair. Logins are signed with it, and the old private key is erased.")
    return _to_page(record)


@blueprint.post("/old-link-removed")
@access.for_owner
def note_removal(organization: Organization, integration: str) -> ResponseReturnValue:
    """Erase the private key of the old application link, which is gone."""
    record = access.integration_or_404(organization, integration)
    key_rotation.note_removal(record)
    flash("The old link is removed, and its private key is erased.")
    return _to_page(record)


def _page(record: IntegrationRecord, refusal: Problem | None = None, refused: str = "") -> str:
    """*refusal*: why the new key pair cannot be used yet, or the old one not be kept, as *refused* says."""
    active, pending = record.active_key_pair, record.pending_key_pair
    if active is None:
        abort(404)
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    address = url_for("key_pair.page", slug=record.organization.slug, integration=record.id)
    return render_template(
        "bitbucket_server/key_pair.html",
        organization=record.organization,
        record=record,
        server_url=integrations.server_url(record),
        public_key=PublicKey.read(active.public_key),
        new_public_key=PublicKey.read(pending.public_key) if pending is not None else None,
        application_link_name=worksheets.application_name(record, integrations.link_number(record, active)),
        refusal=refusal,
        refused=refused,
        old_link=worksheets.old_link(record),
        setup_link=setup_links.live(record),
        steps=worksheets.steps_of_new_link(record, dialog),
        **onboarding.dialogs_of(record, dialog, address),
    )


def _to_page(record: IntegrationRecord) -> Response:
    return redirect(url_for("key_pair.page", slug=record.organization.slug, integration=record.id), 303)

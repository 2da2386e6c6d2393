"""The owner's page of a key pair: replaced, verified or given up, and the old application link removed."""

from __future__ import annotations

from flask import abort, flash, redirect, request
from flask.typing import ResponseReturnValue

from ...crypto import PublicKey
from ...organizations import EventCode, Limited
from ...problems import BitbucketServerError, Problem
from ...sqlalchemy.organizations import IntegrationMixin, link_number, server_url
from . import limits, onboarding, recording, worksheets
from .access import AdminPages
from .current import session, store
from .navigation import address_of, callback_of
from .templating import render

blueprint = AdminPages("key_pair", __name__)


@blueprint.get("")
def page(record: IntegrationMixin) -> ResponseReturnValue:
    return _page(record)


@blueprint.post("")
def make(record: IntegrationMixin) -> ResponseReturnValue:
    """Make a key pair that waits until Bitbucket has its public key; the old one stays in use. It is for the old
    application link, or for a new one."""
    if record.is_for_oauth2:
        abort(404)
    limits.count(Limited.KEY_PAIRS, record.organization_id)
    if not store.key_rotation.begin(record, with_new_link=request.form.get("link") == "new"):
        flash(
            "An old application link waits for its removal. Say that it is removed first; there would be three.",
            "refusal",
        )
    return redirect(address_of("key_pair.page", record), 303)


@blueprint.post("/<any(verify,give_up):action>")
def decide(record: IntegrationMixin, action: str) -> ResponseReturnValue:
    """Use the new key pair from now on, or keep the old one, if Bitbucket accepts it."""
    limits.count(Limited.TESTS, record.id)
    try:
        decided = store.key_rotation.verify if action == "verify" else store.key_rotation.give_up
        is_done = decided(record, callback_of(record))
    except BitbucketServerError as error:
        session.rollback()
        recording.record_refusal(EventCode.KEY_REFUSED, error, record.id)
        return _page(record, refusal=error.problem, refused=action), 422
    if not is_done:
        flash("There is no new key pair to verify.", "refusal")
    elif action == "give_up":
        flash("The old key pair stays in use. The private key of the new one is erased.")
    elif record.replaced_key_pair is not None:
        flash("Bitbucket accepts the new link. Logins go through it, and the old link can be removed.")
    else:
        flash("Bitbucket accepts the new key pair. Logins are signed with it, and the old private key is erased.")
    return redirect(address_of("key_pair.page", record), 303)


@blueprint.post("/old-link-removed")
def note_removal(record: IntegrationMixin) -> ResponseReturnValue:
    """Erase the private key of the old application link, which is gone."""
    store.key_rotation.note_removal(record)
    flash("The old link is removed, and its private key is erased.")
    return redirect(address_of("key_pair.page", record), 303)


def _page(record: IntegrationMixin, refusal: Problem | None = None, refused: str = "") -> str:
    """*refusal*: why the new key pair cannot be used yet, or the old one not be kept, as *refused* says."""
    active, pending = record.active_key_pair, record.pending_key_pair
    if active is None:
        abort(404)
    return render(
        "key_pair.html",
        record=record,
        server_url=server_url(record),
        public_key=PublicKey.read(active.public_key),
        new_public_key=PublicKey.read(pending.public_key) if pending is not None else None,
        application_link_name=worksheets.application_name(record, link_number(record, active)),
        refusal=refusal,
        refused=refused,
        old_link=worksheets.old_link(record),
        setup_link=store.setup_links.live(record),
        steps=worksheets.steps(record, pending) if record.has_new_link else (),
        **onboarding.dialogs_of(record, address_of("key_pair.page", record)),
    )

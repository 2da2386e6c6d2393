"""Set-up links: the owner makes and ends them, and a Bitbucket admin who has one sets one integration up."""

from __future__ import annotations

from flask import Blueprint, abort, flash, make_response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from ...crypto import PublicKey
from ...onboarding import advice_for, oauth2_advice_for
from ...organizations import Limited, SetupLinkCondition, SetupLinkLife
from ...sqlalchemy.organizations import IntegrationMixin, KeyPairMixin, SetupLinkMixin, condition_of_link, server_url
from . import connection, limits, navigation, onboarding, worksheets
from .access import AdminPages
from .current import store
from .forms import ClientCredentialsForm, ServerCorrectionForm
from .navigation import address_of
from .templating import render

blueprint = Blueprint("setup", __name__)
"""Pages of everybody who has a set-up link, below its token."""
of_an_integration = AdminPages("setup_link", __name__)
"""Pages of admins who make set-up links."""

_OPENED = "bitbucket_setup_link"


@blueprint.after_request
def keep_out_of_search_engines(response: Response) -> Response:
    """Somebody may have put a link on a page that is searched."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


@of_an_integration.get("/setup-link")
def link(record: IntegrationMixin) -> ResponseReturnValue:
    """Show the integration's set-up link without its token, and the form for a new one."""
    return render("setup_link.html", record=record, link=store.setup_links.live(record), lives=list(SetupLinkLife))


@of_an_integration.post("/setup-link")
def make(record: IntegrationMixin) -> ResponseReturnValue:
    """Make the integration's set-up link, and show it this once."""
    life = request.form.get("life", SetupLinkLife.WEEK.value)
    if life not in set(SetupLinkLife):
        abort(400)
    if record.disabled_at is not None:
        flash("The set-up link of a disabled integration would open nothing. Enable it first.", "refusal")
        return redirect(address_of("setup_link.link", record), 303)
    limits.count(Limited.SETUP_LINKS_MADE, record.id)
    token = store.setup_links.make(record, SetupLinkLife(life))
    address = navigation.absolute(url_for("bitbucket.setup.page", token=token))
    return render("setup_link.html", record=record, address=address, link=store.setup_links.live(record))


@of_an_integration.post("/setup-link/revoke")
def revoke(record: IntegrationMixin) -> ResponseReturnValue:
    was_live = store.setup_links.revoke(record)
    flash("The set-up link has ended." if was_live else "There is no set-up link to end.")
    return redirect(address_of("setup_link.link", record), 303)


@of_an_integration.get("/link.sh")
def script_for_admin(record: IntegrationMixin) -> ResponseReturnValue:
    """The script, to be sent to whoever administers Bitbucket."""
    is_new = "new" in request.args
    return _script(record, record.pairs_in_use.pending_for_new_link if is_new else worksheets.pair_in_use(record))


@blueprint.get("")
def page(token: str) -> ResponseReturnValue:
    """The worksheet and the script of the one integration, and the forms that complete its set-up."""
    link = _live_link(token)
    handle = link.token_sha256[:16]
    if session.get(_OPENED) != handle:  # once for each browser's session
        session[_OPENED] = handle
        store.setup_links.note_opening(link, request.remote_addr or "")
    return _page(link, token)


@blueprint.post("/credentials")
def keep_credentials(token: str) -> ResponseReturnValue:
    link, form = _live_link(token, is_locked=True), ClientCredentialsForm()
    record = link.integration
    if not store.setup_links.takes_credentials(record):
        abort(404)
    if not form.validate():
        return _page(link, token, credentials=form), 422
    store.upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    return _test(record, token)


@blueprint.post("/server")
def correct_server(token: str) -> ResponseReturnValue:
    """Keep a corrected base URL and CA certificate. Another host is another server, which ends the link."""
    link = _live_link(token, is_locked=True)
    record = link.integration
    if not store.setup_links.takes_corrections(record):
        abort(404)
    form = ServerCorrectionForm(store.outbound.base_url_rules)
    if not form.validate() or form.server_url is None:
        return _page(link, token, server=form), 422
    store.setup_links.correct(record, form.server_url, form.ca_certificates.data)
    flash("The correction is saved. Next, test the connection.")
    return redirect(url_for("bitbucket.setup.page", token=token), 303)


@blueprint.get("/link.sh")
def script(token: str) -> ResponseReturnValue:
    record = _live_link(token).integration
    return _script(record, record.key_pair_to_set_up)


@blueprint.post("/test")
def test_connection(token: str) -> ResponseReturnValue:
    """Test the connection of the one integration, with the key pair that waits where there is one, and show what each
    stage found."""
    record = _live_link(token).integration
    if not record.ways:
        abort(404)
    limits.count(Limited.SETUP_TESTS, record.id)
    return _test(record, token)


def _test(record: IntegrationMixin, token: str) -> Response:
    pair = record.key_pair_to_set_up
    context = {"record": record, "token": token, "is_new_key": pair is not None and pair is record.pending_key_pair}
    return connection.shown(
        connection.ConnectionTest(record, record.ways[0], pair),
        render("setup_test.html", place=connection.PLACE, **context),
        public_key=pair.public_key if pair is not None else "",
        afterwards=render("setup_passed.html", **context),
    )


def _page(
    link: SetupLinkMixin,
    token: str,
    *,
    credentials: ClientCredentialsForm | None = None,
    server: ServerCorrectionForm | None = None,
) -> str:
    """*credentials* and *server*: forms that were sent with something wrong in them; ``None`` for fresh ones."""
    record = link.integration
    pair, pending = record.key_pair_to_set_up, record.pending_key_pair
    # The OAuth version was chosen before, if a key pair waits.
    advise = oauth2_advice_for if record.is_for_oauth2 else advice_for
    # Without a new link, the key pair that waits takes another one's place in the application link that is there.
    pasted = pair if pair is pending and not record.has_new_link else None
    if credentials is None and store.setup_links.takes_credentials(record):
        credentials = ClientCredentialsForm(formdata=None)
    if server is None and store.setup_links.takes_corrections(record):
        present = {"base_url": record.base_url, "ca_certificates": record.ca_certificates}
        server = ServerCorrectionForm(store.outbound.base_url_rules, formdata=None, **present)
    return render(
        "setup.html",
        link=link,
        record=record,
        token=token,
        advice=advise(record.server_version) if pending is None else "",
        server_url=server_url(record),
        steps=worksheets.steps(record, pair),
        script=worksheets.script(record, pair),
        new_public_key=PublicKey.read(pasted.public_key) if pasted is not None else None,
        is_new_link=record.has_new_link and not record.is_for_oauth2,
        credentials_form=credentials,
        server_form=server,
        **onboarding.dialogs_of(record, url_for("bitbucket.setup.page", token=token)),
    )


def _script(record: IntegrationMixin, pair: KeyPairMixin | None) -> ResponseReturnValue:
    if pair is None:
        abort(404)
    return worksheets.script(record, pair), {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": 'attachment; filename="link.sh"',
    }


def _live_link(token: str, *, is_locked: bool = False) -> SetupLinkMixin:
    """Return the link if it opens. Otherwise end the request with a page that says why not and nothing about the
    integration, or with 404 for an unknown token.

    *is_locked*: count a change by set-up link, and lock the integration. Until the caller commits, the link does not
    end, and no person logs in for the first time.
    """
    limits.count(Limited.SETUP_LINKS)
    link = store.setup_links.find(token)
    if link is not None and is_locked:
        limits.count(Limited.SETUP_TESTS, link.integration_id)  # before the lock: the application may commit
        store.integrations.lock(link.integration)
        link = store.setup_links.find(token)  # it may have ended meanwhile
    condition = condition_of_link(link) if link is not None else store.setup_links.ended(token)
    if condition is None:
        abort(404)
    if link is None or condition is not SetupLinkCondition.LIVE:
        abort(make_response(render("setup_over.html", why=condition.value), 410))
    return link

"""Integrations that organizations enter: read, kept, set up and tested."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from social_core.exceptions import SocialAuthBaseException

from social_bitbucket_server.crypto import KeyRing, PrivateKey, PublicKey, Secret, new_consumer_key
from social_bitbucket_server.integration import (
    OPERATOR_RULES,
    ORGANIZATION_RULES,
    Admission,
    BaseURLRules,
    ConnectTo,
    Credentials,
    Integration,
    OAuth2Integration,
    Roles,
    Server,
    ServerURL,
    is_loopback,
)
from social_bitbucket_server.login import LIFETIME, session_key, under_way
from social_bitbucket_server.oauth import AccessToken, Client, Person
from social_bitbucket_server.onboarding import (
    Action,
    Dialog,
    Entry,
    Outcome,
    Result,
    Stage,
    Step,
    advice_for,
    check_up,
    dialog_of,
    first_failure,
    is_oauth2_better,
    link_script,
    look_at_server,
    oauth2_advice_for,
    oauth2_worksheet,
    render_text,
    worksheet,
)
from social_bitbucket_server.organizations import (
    Assembler,
    Ids,
    KeyPairs,
    Outbound,
    SealedKeys,
    Unopened,
    WayOut,
    may_be_about_the_key,
    oldest_login_began,
    read_hosts,
    read_private_networks,
    read_proxies,
)
from social_bitbucket_server.problems import (
    PROBLEMS,
    BitbucketServerError,
    Code,
    LoginError,
    Problem,
    ServerError,
    SettingError,
    TokenError,
    Who,
    http_status,
    problem_to_show,
    when_to_try_again,
)
from social_bitbucket_server.transport import (
    PUBLIC_ONLY,
    AddressPolicy,
    ClientCertificate,
    Limits,
    Network,
    read_ca_certificates,
    read_client_certificate,
)

COMPANY: Network = ip_network("10.20.0.0/16")
POLICY = AddressPolicy(private_networks=(COMPANY,))


def read_address(text: str, *, by_operator: bool) -> ServerURL | str:
    rules: BaseURLRules = OPERATOR_RULES if by_operator else ORGANIZATION_RULES
    try:
        return ServerURL.parse(text, rules)
    except BitbucketServerError as error:
        problem: Problem = PROBLEMS[error.code]
        return f"{problem.title} {error.reason} {problem.remedy}" if problem.who is not Who.PERSON else ""


def make(address: ServerURL, pasted_ca: str) -> Integration:
    local = is_loopback(address.origin)
    return Integration(
        id="acme",
        server=Server(
            address,
            ca_certificates=read_ca_certificates(pasted_ca),
            connect_to=ConnectTo.parse("bitbucket.internal.example.com:8443", ORGANIZATION_RULES),
            address_policy=POLICY if local else PUBLIC_ONLY,
        ),
        consumer_key=new_consumer_key(),
        private_key=PrivateKey.generate(),
        namespace="k3v9x1",
        admission=Admission.read(["developers"], [], []),
        roles=Roles.read({"editor": {"projects": ["DOCS"]}}),
    )


def show_client_certificate(integration: Integration, pasted: str, pasted_key: str) -> Integration:
    shown: ClientCertificate = read_client_certificate(pasted, pasted_key)
    server: Server = replace(integration.server, client_certificate=shown.certificate, client_key=shown.key)
    return replace(integration, server=server)


def rotate(integration: Integration) -> Integration | None:
    waiting = replace(integration, pending=Credentials(new_consumer_key(), PrivateKey.generate()))
    return waiting.successor


@dataclass
class StoredPair:
    id: str
    integration_id: str
    consumer_key: str
    state: str
    sealed_private_key: str | None
    replaced_at: datetime | None


def next_pair(rows: list[StoredPair]) -> StoredPair | None:
    pairs: KeyPairs[StoredPair] = KeyPairs.of(rows)
    now, lifetime = datetime.now(UTC), timedelta(minutes=10)
    oldest = oldest_login_began(now=now, lifetime=lifetime)
    finishing = pairs.finishing_logins(now=now, lifetime=lifetime)
    if finishing is not None and finishing.replaced_at is not None and finishing.replaced_at > oldest:
        return finishing
    return pairs.to_set_up if pairs.may_begin(with_new_link=True) else None


def is_rotated(refusal: BitbucketServerError, integration: Integration) -> bool:
    successor = integration.successor
    return successor is not None and may_be_about_the_key(refusal.code, integration, successor)


@dataclass
class StoredRow:
    id: str
    name: str
    namespace: str
    base_url: str
    connect_to: str
    ca_certificates: str
    client_certificate: str
    sealed_client_key: str
    login_revision: str
    admission: Admission
    roles: Roles

    def shares_limits_of(self) -> str:
        return self.name


def way_out(organization: str, networks: str, proxies: str) -> WayOut:
    ids = Ids(re.compile("[0-9]+"), "The list of customers has the ids.")
    outbound = Outbound(
        private_networks=read_private_networks(networks, setting="NETWORKS", ids=ids),
        plain_http_hosts=read_hosts(["bitbucket.test.example"], setting="HOSTS"),
        proxies=read_proxies(proxies, setting="PROXIES", ids=ids),
    )
    return outbound.way_out(organization)


def report(unopened: Unopened) -> None:
    print(unopened.integration_id, unopened.problem.code, unopened.left_out)


def assemble(keys: SealedKeys, row: StoredRow, pair: StoredPair, server: WayOut) -> Integration:
    return Assembler(lambda: keys, report, role_names=lambda: ["editor"]).signing_with(row, pair, server)


def make_oauth2(address: ServerURL, secret: str) -> OAuth2Integration:
    return OAuth2Integration(
        id="acme", server=Server(address), client_id="id", client_secret=Secret(secret), namespace="k3v9x1"
    )


def seal(ring_text: str, key: PrivateKey) -> str:
    ring = KeyRing.parse(ring_text or KeyRing.generate())
    return ring.seal(key.pem().encode(), purpose="private-key", integration_id="acme", key_id="1")


def seal_for_a_row(ring_text: str, key: PrivateKey) -> str:
    keys = SealedKeys(KeyRing.parse(ring_text), kept=10)
    return keys.seal_private_key(key, integration_id="acme", key_id="1", state="active")


def set_up(integration: Integration, version: str) -> str:
    public: PublicKey = integration.private_key.public
    dialog: Dialog = dialog_of(version)
    steps: tuple[Step, ...] = worksheet(
        server_url=integration.server.url,
        application_url="https://app.example.com/",
        application_name="My application",
        consumer_key=integration.consumer_key,
        public_key=public,
        dialog=dialog,
    )
    typed: list[Entry] = [entry for step in steps for entry in step.entries if entry.action is Action.TYPE]
    script = link_script(
        server_url=integration.server.url,
        application_url="https://app.example.com/",
        application_name="My application",
        consumer_key=integration.consumer_key,
        public_key=public,
    )
    return f"{advice_for(version)}\n{render_text(steps)}\n{len(typed)} values, or:\n{script}"


def set_up_oauth2(address: ServerURL, version: str) -> str:
    steps: tuple[Step, ...] = oauth2_worksheet(
        server_url=address, redirect_url="https://app.example.com/complete/", application_name="My application"
    )
    return render_text(steps) if is_oauth2_better(version) else oauth2_advice_for(version)


def test_it(integration: Integration, callback: str) -> str:
    version: str = look_at_server(integration.server).facts.get("version", "")
    limits = Limits(login_seconds=30, patience=1.75, slow_steps=4)
    results: list[Result] = list(check_up(lambda: integration, callback, limits=limits))
    failed = first_failure(results)
    if failed is None:
        return f"all passed by {version}"
    return f"{failed.stage} of {len(Stage)}: {failed.says}" if failed.outcome is Outcome.FAILED else ""


def token_of(integration: Integration, request_token: str, verifier: str) -> AccessToken:
    return Client(integration).access_token(request_token, verifier)


def has_project(integration: Integration, access_token: AccessToken, key: str) -> bool:
    person: Person = Client(integration).as_person(access_token)
    found = person.json_if_found(integration.server.url.join(f"/rest/api/latest/projects/{key}"))
    return found is not None and found["key"] == key


def what_to_do(error: BitbucketServerError) -> str:
    if isinstance(error, TokenError | LoginError):
        return "log in again"
    if isinstance(error, SettingError):
        return f"correct {error.setting}"
    return "wait" if isinstance(error, ServerError) and error.code is Code.SERVER_BUSY else "try again later"


def logins_under_way(session: dict[str, list[str]]) -> list[str]:
    return session.get(session_key("bitbucket-server"), [])


def log_out(session: dict[str, list[str]]) -> None:
    kept = under_way(session, ["bitbucket-server"])
    session.clear()
    session.update(kept)


def describe(error: SocialAuthBaseException) -> str:
    problem = problem_to_show(error)
    title = problem.title if problem else error
    return f"{http_status(error)} {when_to_try_again(error)} {title} (begun {LIFETIME} ago at most)"

"""Everything that can go wrong, in one table: a stable code, what it means, what to do, and who can do it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from social_core.exceptions import (
    AuthAssociationError,
    AuthCanceled,
    AuthConfigurationError,
    AuthInputError,
    AuthPolicyError,
    AuthProviderError,
    AuthResponseError,
    AuthSessionError,
    ErrorStage,
    SocialAuthBaseException,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_core.backends.base import BaseAuth


class Who(StrEnum):
    """Who can remove a problem."""

    PERSON = "you"
    ORGANIZATION_ADMIN = "your organization's admin"
    BITBUCKET_ADMIN = "your Bitbucket admin"
    OPERATOR = "the operator of this application"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that can go wrong.

    *code* is stable and may be relied upon; *title*, *meaning* and *remedy* are sentences for people; *who* can
    carry out the remedy. *family* and *social_code* say how social-core's applications see it.
    """

    code: str
    title: str
    meaning: str
    remedy: str
    who: Who
    family: type[SocialAuthBaseException]
    social_code: str


class BitbucketServerError(ValueError):
    """A problem that occurred.

    *code* is a key of :data:`PROBLEMS`. *reason* says what exactly is wrong, in words safe to show to an admin:
    never a key, token, verifier or text from the other side. *parameter* or *claim* names the setting, request
    parameter or response field concerned; *provider_code* is an ``oauth_problem`` from the known list;
    *status_code* the HTTP status that was answered; *facts* are for the operator's log.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        parameter: str | None = None,
        claim: str | None = None,
        provider_code: str | None = None,
        status_code: int | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.problem = PROBLEMS[code]
        self.reason = reason
        self.parameter = parameter
        self.claim = claim
        self.provider_code = provider_code
        self.status_code = status_code
        self.facts = dict(facts or {})
        super().__init__(f"{self.problem.title} {reason}".strip())

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return self.problem.code

    def as_social_error(self, backend: BaseAuth[object] | None, stage: ErrorStage) -> SocialAuthBaseException:
        """The same problem in social-core's family, with our code and remedy in its ``context``."""
        return self.problem.family(
            backend,
            str(self),
            code=self.problem.social_code,
            stage=stage,
            parameter=self.parameter,
            claim=self.claim,
            provider_code=self.provider_code,
            status_code=self.status_code,
            context={
                "problem": self.code,
                "remedy": self.problem.remedy,
                "who": self.problem.who.value,
                "facts": self.facts,
            },
        )


def http_status(error: SocialAuthBaseException) -> int:
    """The HTTP status with which an application answers *error* to a browser."""
    if isinstance(error, AuthConfigurationError):
        return 502 if error.parameter == "base_url" else 503
    if isinstance(error, AuthProviderError):
        return {"timeout": 504, "rate_limited": 503}.get(error.code, 502)
    for family, status in _STATUS_BY_FAMILY.items():
        if isinstance(error, family):
            return status
    return 400


_STATUS_BY_FAMILY: dict[type[SocialAuthBaseException], int] = {
    AuthInputError: 400,
    AuthSessionError: 400,
    AuthResponseError: 502,
    AuthPolicyError: 403,
    AuthAssociationError: 409,
}

_PASTE_AGAIN = "Paste the whole private key, from its BEGIN line to its END line."
_START_AGAIN = "Go back to the login page and begin again."
_ASK_SERVER = "Open the base URL in a browser from this machine's network and check that Bitbucket answers there."
_UNREACHABLE = (
    "The Bitbucket Server could not be reached.",
    "Its name does not resolve, nothing listens there, or the connection broke before an answer came.",
    _ASK_SERVER,
    Who.ORGANIZATION_ADMIN,
)

_TABLE = (
    # What an operator or an admin configures.
    Problem(
        "invalid_base_url",
        "The base URL cannot be used.",
        "The address that was entered is not the address of a Bitbucket Server as this application accepts it.",
        "Copy the base URL from Bitbucket's Administration → Server settings, for example "
        "https://bitbucket.example.com or https://example.com/bitbucket.",
        Who.ORGANIZATION_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "setting_missing",
        "A setting is missing.",
        "The login cannot begin, because a value that it needs was never configured.",
        "Add the setting that is named and restart the application.",
        Who.OPERATOR,
        AuthConfigurationError,
        "missing_setting",
    ),
    Problem(
        "setting_invalid",
        "A setting has a value that cannot be used.",
        "The login cannot begin, because a configured value is not of the kind that it must be.",
        "Correct the setting that is named and restart the application.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "integration_missing",
        "No integration was chosen.",
        "This application knows several Bitbucket Servers, and the request did not say which one to use.",
        "Open your organization's own login link.",
        Who.PERSON,
        AuthInputError,
        "missing_parameter",
    ),
    Problem(
        "integration_unknown",
        "There is no such integration.",
        "The login link names an integration that does not exist, or that was disabled or deleted.",
        "Ask your organization's admin for the current login link.",
        Who.PERSON,
        AuthInputError,
        "invalid_parameter",
    ),
    # The private key.
    Problem(
        "private_key_missing",
        "There is no private key.",
        "Nothing, or only white space, was given where a private key is needed.",
        "Make a key pair with 'social-bitbucket-server keygen' and configure its private key.",
        Who.OPERATOR,
        AuthConfigurationError,
        "missing_setting",
    ),
    Problem(
        "private_key_unreadable",
        "This is not a private key.",
        "The text is neither PEM nor the base64 of an RSA private key.",
        _PASTE_AGAIN,
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_truncated",
        "The private key is incomplete.",
        "The text begins like a private key, but a part of it is missing or damaged.",
        _PASTE_AGAIN,
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_is_public",
        "This is the public key.",
        "The public half of a key pair was given where the private half is needed. Bitbucket gets the public key, "
        "this application keeps the private one.",
        "Give the other half of the key pair; its first line contains PRIVATE KEY.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_is_certificate",
        "This is a certificate.",
        "A certificate holds a public key only; signing needs the private one.",
        "Give the private key that belongs to the certificate; its first line contains PRIVATE KEY.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_not_rsa",
        "This key is not an RSA key.",
        "Bitbucket accepts RSA-SHA1 signatures only, so keys of other kinds cannot be used.",
        "Make an RSA key pair with 'social-bitbucket-server keygen'.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_openssh",
        "This key is in OpenSSH's format.",
        "ssh-keygen made it, in a format of its own.",
        "Convert a copy with 'ssh-keygen -p -m PEM -f FILE', or make a new pair with 'social-bitbucket-server keygen'.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_encrypted",
        "The private key is encrypted.",
        "It can be read only with its passphrase, and none was given, or not the right one.",
        "Give the passphrase, or the key without encryption.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "private_key_weak",
        "The private key is too weak.",
        "RSA keys need at least 2048 bits and a public exponent of at least 65537.",
        "Make a new key pair with 'social-bitbucket-server keygen'.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "public_key_invalid",
        "The public key cannot be used.",
        "Bitbucket accepts an RSA public key of at least 2048 bits: PEM that begins with BEGIN PUBLIC KEY, its bare "
        "base64, or a certificate.",
        "Show the public key again with 'social-bitbucket-server public FILE', and give all of it.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "key_ring_invalid",
        "The key ring cannot be used.",
        "Private keys are stored encrypted with the keys of a ring; the configured ring is not a list of "
        "number:key pairs, each key 32 random bytes in base64.",
        "Write the ring as '2:<base64>,1:<base64>', newest first.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "sealed_key_unopenable",
        "The stored private key cannot be opened.",
        "It was stored with another key ring than the one configured now, or the stored record was changed.",
        "Put the ring's missing key back. If it is lost, make a new key pair for the integration.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    # Reaching the server.
    Problem(
        "connection_failed",
        *_UNREACHABLE,
        AuthProviderError,
        "connection_failed",
    ),
    # In the same words, so that nobody can find out by it what exists in the networks around this application.
    Problem(
        "address_blocked",
        *_UNREACHABLE,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "server_overloaded",
        "The Bitbucket Server is not answering at the moment.",
        "Several requests to it failed or are still waiting, so this one was not sent.",
        "Try again in a minute.",
        Who.PERSON,
        AuthProviderError,
        "rate_limited",
    ),
    Problem(
        "ca_certificate_invalid",
        "This cannot be used as CA certificate.",
        "To trust a server's certificate, this application needs the certificate of the CA that issued it.",
        "Paste the CA's certificate in PEM, from BEGIN CERTIFICATE to END CERTIFICATE; several may follow each other.",
        Who.ORGANIZATION_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "tls_error",
        "No secure connection to the Bitbucket Server could be made.",
        "Its certificate is not trusted here, has expired, or was issued for another name.",
        "Have the certificate corrected, or give this application the CA certificate that issued it.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "certificate_expired",
        "The Bitbucket Server's certificate is not valid today.",
        "Certificates are valid for a limited time; this one has expired, or its time has not begun.",
        "Install a new certificate on the server, or on the proxy in front of it.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "certificate_for_another_name",
        "The Bitbucket Server's certificate is for another name.",
        "It was issued for other names than the one in the base URL.",
        "Use a name in the base URL that the certificate has, or install a certificate for this one.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "certificate_self_signed",
        "The Bitbucket Server's certificate is self-signed.",
        "No CA vouches for it; the server made it itself.",
        "Compare its fingerprint with the Bitbucket admin, then give this application the certificate as CA "
        "certificate; better, install one that a CA issued.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "certificate_chain_incomplete",
        "The Bitbucket Server shows its own certificate alone, and who issued it is not known here.",
        "Either an intermediate certificate is missing on the server, or your company's own CA issued it.",
        "Let the server send the whole chain; with a company's own CA, give this application that CA's certificate.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "certificate_authority_unknown",
        "The Bitbucket Server's certificate was issued by a CA that is not trusted here.",
        "It is probably your company's own CA, which machines outside of it do not know.",
        "Compare the CA certificate's fingerprint with the Bitbucket admin, then give this application the CA "
        "certificate.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "timeout",
        "The Bitbucket Server did not answer in time.",
        "The connection was made, but the answer did not come, or not completely, within the time allowed.",
        "Try again in a few minutes; if it stays so, have the server's load looked at.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "timeout",
    ),
    Problem(
        "redirected",
        "The Bitbucket Server answered with a redirect.",
        "Bitbucket itself never redirects these requests: the base URL lacks https or the context path, or a "
        "login page, a single sign-on proxy or a plugin stands in front of it.",
        "Use the address from Bitbucket's Administration → Server settings as base URL. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "intercepted",
        "Something else than Bitbucket's OAuth answered.",
        "An HTML page or other text came where OAuth's answer was expected: a login page, a single sign-on proxy, "
        "a maintenance page or a plugin stands in front of it.",
        "Let requests below /plugins/servlet/oauth and /rest pass to Bitbucket. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "missing_claim",
    ),
    Problem(
        "empty_answer",
        "The Bitbucket Server answered without a token.",
        "The answer was a success, but empty: the request reached something that does not speak OAuth.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        AuthResponseError,
        "missing_claim",
    ),
    Problem(
        "malformed_answer",
        "The Bitbucket Server's answer could not be read.",
        "It is not of the form that Bitbucket documents, or larger than any answer should be.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "malformed_response",
    ),
    Problem(
        "server_error",
        "The Bitbucket Server reported an error of its own.",
        "It failed while it worked on the request. When a login begins, the usual cause is a public key of "
        "another size, or a damaged one, in the application link.",
        "Paste the public key into the application link once more; otherwise look into Bitbucket's log.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "unavailable",
    ),
    Problem(
        "rate_limited",
        "The Bitbucket Server limits our requests.",
        "It received more requests than its rate limit allows and asks to wait.",
        "Try again in a minute.",
        Who.PERSON,
        AuthProviderError,
        "rate_limited",
    ),
    Problem(
        "request_refused",
        "The Bitbucket Server refused the request.",
        "It answered with an error that is not one of OAuth's.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "context_path_missing",
        "Bitbucket is below another address.",
        "The base URL leads to the right machine, but Bitbucket answers below a context path there.",
        "Use the base URL that is proposed.",
        Who.ORGANIZATION_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "second_factor_plugin",
        "A two-factor plugin answers instead of Bitbucket's OAuth.",
        "The plugin wants a second factor from programs too, and those cannot have one.",
        "Switch 'Enable OAuth whitelist' on in the settings of the plugin 'U2F & TOTP'.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "maintenance",
        "The Bitbucket Server is being maintained.",
        "It answers with a page that says so.",
        "Try again when the maintenance is over.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "unavailable",
    ),
    Problem(
        "not_bitbucket",
        "Something else than Bitbucket answers at the base URL.",
        "The answer is not the one that every Bitbucket Server gives when it is asked for its version.",
        "Copy the base URL from Bitbucket's Administration → Server settings.",
        Who.ORGANIZATION_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    # OAuth's own problems, as Bitbucket reports them.
    Problem(
        "consumer_key_unknown",
        "Bitbucket does not know the consumer key.",
        "No application link on this server has this consumer key under Incoming Authentication.",
        "Open the application link's Incoming Authentication and enter exactly the consumer key from the worksheet.",
        Who.BITBUCKET_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "signature_invalid",
        "Bitbucket could not verify the signature.",
        "The public key in the application link is not the one of this integration, or the server sees another "
        "address than the base URL, because its proxy hides https or the host name.",
        "Compare the public key in the application link with the worksheet; then compare Bitbucket's proxy settings "
        "(scheme, proxyName, proxyPort) with the base URL.",
        Who.BITBUCKET_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "signature_method_rejected",
        "Bitbucket does not accept RSA-SHA1 for this consumer.",
        "The consumer in the application link was set up for another kind of signature.",
        "Set the consumer up again with a public key, as the worksheet says.",
        Who.BITBUCKET_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "timestamp_refused",
        "The clocks differ too much.",
        "Bitbucket accepts signatures that are at most five minutes off its own clock.",
        "Synchronize both machines' clocks (NTP).",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "clock_too_far_off",
        "The clocks differ by more than a day.",
        "Smaller differences are corrected by the server's own time; so large a one means that a clock was never set.",
        "Set both machines' clocks and synchronize them (NTP).",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "nonce_used",
        "Bitbucket saw the same request twice.",
        "A proxy or a network device between the two sent a request again.",
        _START_AGAIN,
        Who.PERSON,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "permission_denied",
        "Bitbucket does not let this consumer ask people for access.",
        "Logging in by way of the person's browser (three-legged OAuth) is not allowed for it.",
        "Set the application link's Incoming Authentication up again, as the worksheet says.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "permission_unknown",
        "Access was not confirmed in Bitbucket.",
        "The login came back before Allow was pressed on Bitbucket's page.",
        _START_AGAIN,
        Who.PERSON,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "token_rejected",
        "Bitbucket does not accept the login's token.",
        "It was used before, was revoked, or is not the one that Bitbucket issued.",
        _START_AGAIN,
        Who.PERSON,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "token_expired",
        "Bitbucket's token is too old.",
        "A login that was begun is forgotten after ten minutes; the permission to act for a person ends after the time "
        "that Bitbucket gave it, five years by default.",
        "Go back to the login page and log in with Bitbucket again.",
        Who.PERSON,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "token_revoked",
        "The permission to act for this person was taken back.",
        "The person revoked it in Bitbucket, or the application link was deleted.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        AuthProviderError,
        "token_revoked",
    ),
    Problem(
        "token_missing",
        "There is no permission to act for this person.",
        "Access tokens were not kept when this person logged in last, or the one that was kept belongs to another "
        "server.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "token_unopenable",
        "The stored access token cannot be opened.",
        "It was stored with another key ring than the one configured now, or the stored record was changed or belongs "
        "to another person.",
        "Put the ring's missing key back. If it is lost, have the person log in with Bitbucket again.",
        Who.OPERATOR,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "oauth_problem",
        "Bitbucket refused the request.",
        "It answered with a problem of OAuth's that a correct request does not cause.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "callback_not_confirmed",
        "Bitbucket did not confirm the callback.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "missing_claim",
    ),
    Problem(
        "callback_confirmation_invalid",
        "Bitbucket did not confirm the callback in the way that OAuth 1.0a asks for.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    Problem(
        "token_invalid",
        "Bitbucket issued a token that cannot be used.",
        "It is missing, too long, or has characters that no token has.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    Problem(
        "token_of_another_login",
        "Bitbucket issued the token of another login.",
        "The token is under way already, in this browser or another one. Honest servers never issue one twice.",
        "Have it looked into who runs the server, and whether a proxy in front of it repeats its answers.",
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    # OAuth 2's own problems, as Bitbucket reports them.
    Problem(
        "client_refused",
        "Bitbucket does not know the client id, or the client secret is another one.",
        "No External application link on this server has this client id together with this client secret.",
        "Open the External application link in Bitbucket's application links, and copy its client id and client secret "
        "into the integration.",
        Who.ORGANIZATION_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    Problem(
        "code_refused",
        "Bitbucket does not accept the login's code.",
        "It was used before, or it came back too late: Bitbucket gives a login's last step ten seconds by default.",
        _START_AGAIN,
        Who.PERSON,
        AuthProviderError,
        "authorization_code_rejected",
    ),
    Problem(
        "scope_refused",
        "Bitbucket does not grant the permissions that the login asks for.",
        "The External application link permits less than this application asks for.",
        "Tick Repositories: Read under Application permissions of the External application link. An application that "
        "asks for more needs more ticked there.",
        Who.BITBUCKET_ADMIN,
        AuthConfigurationError,
        "invalid_setting",
    ),
    # The application link by REST.
    Problem(
        "link_not_permitted",
        "Bitbucket does not let this user administer application links.",
        "The name or password is not right, or the user is not a Bitbucket admin.",
        "Use a Bitbucket admin's account, or follow the worksheet by hand.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    Problem(
        "link_refused",
        "Bitbucket did not take the application link.",
        "Another link has the same Application URL or consumer key, or this version does not know the call.",
        "Look at the application links in Bitbucket's administration, or follow the worksheet by hand.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "http_error",
    ),
    # Who is it?
    Problem(
        "identity_missing",
        "Bitbucket did not say who logged in.",
        "Neither the header X-AUSERNAME nor the whoami page named the person: a proxy removes the header, or "
        "OAuth is not honoured below /rest.",
        "Let the header X-AUSERNAME pass through the proxies in front of Bitbucket.",
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "missing_claim",
    ),
    Problem(
        "identity_invalid",
        "Bitbucket named a person in a way that cannot be used.",
        "The name is ambiguous, or has characters that no user name has.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    Problem(
        "user_not_found",
        "Bitbucket's user list does not contain the person who logged in.",
        "No user, or more than one, has exactly the name that Bitbucket gave for the login.",
        "Check that users may read the user list, and rename accounts whose names differ in case only.",
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    Problem(
        "profile_incomplete",
        "Bitbucket's user record lacks a field.",
        "A field is missing without which the account cannot be told apart from others.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "missing_claim",
    ),
    Problem(
        "profile_invalid",
        "Bitbucket's user record has a value that cannot be used.",
        "A field is not of the kind that Bitbucket documents.",
        _ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "invalid_claim",
    ),
    Problem(
        "account_not_admitted",
        "This Bitbucket account cannot be used to log in.",
        "Bitbucket does not admit it: it is disabled or has no licence.",
        "Ask your Bitbucket admin to enable the account.",
        Who.BITBUCKET_ADMIN,
        AuthPolicyError,
        "authentication_disallowed",
    ),
    Problem(
        "account_inactive",
        "This Bitbucket account is disabled.",
        "Disabled and deleted accounts are not logged in.",
        "Ask your Bitbucket admin to enable the account.",
        Who.BITBUCKET_ADMIN,
        AuthPolicyError,
        "authentication_disallowed",
    ),
    Problem(
        "account_not_a_person",
        "This Bitbucket account is not a person's.",
        "Service accounts are not logged in.",
        "Log in to Bitbucket with your own account and begin again.",
        Who.PERSON,
        AuthPolicyError,
        "authentication_disallowed",
    ),
    # The way of a login through the browser.
    Problem(
        "callback_parameter_missing",
        "The way back from Bitbucket is incomplete.",
        "The address that Bitbucket sent the browser to lacks a part that it always has.",
        _START_AGAIN,
        Who.PERSON,
        AuthInputError,
        "missing_parameter",
    ),
    Problem(
        "callback_parameter_invalid",
        "The way back from Bitbucket is damaged.",
        "The address that Bitbucket sent the browser to has a part that it never has.",
        _START_AGAIN,
        Who.PERSON,
        AuthInputError,
        "invalid_parameter",
    ),
    Problem(
        "login_not_pending",
        "This login is not under way in this browser.",
        "It was finished or cancelled before, or began in another browser, or the cookies were deleted.",
        _START_AGAIN,
        Who.PERSON,
        AuthSessionError,
        "session_context_missing",
    ),
    Problem(
        "login_expired",
        "This login took longer than ten minutes.",
        "For your safety a login that was begun is forgotten after ten minutes.",
        _START_AGAIN,
        Who.PERSON,
        AuthSessionError,
        "state_mismatch",
    ),
    Problem(
        "login_mixed_up",
        "This login belongs to another integration.",
        "The answer came back to the address of another integration than the one the login began with.",
        _START_AGAIN,
        Who.PERSON,
        AuthSessionError,
        "state_mismatch",
    ),
    Problem(
        "integration_changed",
        "The integration was changed while this login was under way.",
        "A login is finished with exactly the settings that it began with.",
        _START_AGAIN,
        Who.PERSON,
        AuthSessionError,
        "state_mismatch",
    ),
    Problem(
        "another_person",
        "Somebody else is logged in here.",
        "A login never connects a Bitbucket account to the account that happens to be open in the browser.",
        "Log out first, then log in with Bitbucket.",
        Who.PERSON,
        AuthSessionError,
        "user_mismatch",
    ),
    Problem(
        "person_inactive",
        "You cannot log in here at the moment.",
        "Bitbucket knows you, but your account in this application is disabled.",
        "Enable the person's account in this application's administration.",
        Who.OPERATOR,
        AuthPolicyError,
        "authentication_disallowed",
    ),
    Problem(
        "person_changed",
        "The Bitbucket account was not connected.",
        "It was to be connected to the account of somebody who is not, or no longer, logged in in this browser.",
        "Log in, and connect it again.",
        Who.PERSON,
        AuthSessionError,
        "user_mismatch",
    ),
    Problem(
        "identity_in_use",
        "This Bitbucket account belongs to somebody else here.",
        "It is another person's way to log in, so it cannot become yours as well.",
        "Log in with this Bitbucket account to get to what belongs to it; to connect it to another account, disconnect "
        "it there first.",
        Who.PERSON,
        AuthAssociationError,
        "identity_in_use",
    ),
    Problem(
        "form_expired",
        "The login form is too old.",
        "The page was open for a long time, or was opened by another site.",
        _START_AGAIN,
        Who.PERSON,
        AuthInputError,
        "invalid_parameter",
    ),
    Problem(
        "login_declined",
        "Access was declined in Bitbucket.",
        "Deny was pressed on Bitbucket's page, so nobody was logged in.",
        "To log in, begin again and press Allow.",
        Who.PERSON,
        AuthCanceled,
        "authorization_declined",
    ),
)

PROBLEMS: dict[str, Problem] = {problem.code: problem for problem in _TABLE}
"""Every problem by its code."""

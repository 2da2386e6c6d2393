"""On the way to a Bitbucket Server, and what answers there."""

from __future__ import annotations

from social_core.exceptions import AuthConfigurationError, AuthProviderError, AuthResponseError

from .problem import ASK_SERVER, Problem, Who

_UNREACHABLE = (
    "The Bitbucket Server could not be reached.",
    "Its name does not resolve, nothing listens there, or the connection broke before an answer came.",
    ASK_SERVER,
    Who.ORGANIZATION_ADMIN,
)

PROBLEMS = (
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
    # In the same words for addresses that this application may not reach.
    Problem(
        "name_not_found",
        "The name in the base URL does not lead to a server that can be reached.",
        "There is no such name, or it is known only inside of a network that this application is not in.",
        "Check the name in the base URL for typing mistakes, and that it leads to Bitbucket from this application's "
        "network, too.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "connection_failed",
    ),
    Problem(
        "port_closed",
        "Nothing listens on the port of the base URL.",
        "The machine is there and refuses the connection: Bitbucket is not running, or has another port.",
        "Check the port in the base URL, and that Bitbucket and the proxy in front of it are running.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "connection_failed",
    ),
    Problem(
        "port_silent",
        "The port of the base URL does not answer; a firewall may be in between.",
        "Connections are neither accepted nor refused: something on the way swallows them, or the machine is off.",
        "Open the firewall in front of Bitbucket for connections from this application to that port.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "timeout",
    ),
    Problem(
        "server_overloaded",
        "The Bitbucket Server is not answering at the moment.",
        "Several requests to it failed, or several people already wait a long time for its answers. Others are turned "
        "away, so that a slow server does not hold up the whole application.",
        "Try again in a minute.",
        Who.PERSON,
        AuthProviderError,
        "rate_limited",
    ),
    Problem(
        "conversation_too_long",
        "The Bitbucket Server did not say in a few answers who is logging in.",
        "A login sends a dozen requests at most. The server's user search has no end, or every request has to be sent "
        "twice.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "unavailable",
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
        "tls_missing",
        "The Bitbucket Server does not speak TLS on the port of the base URL.",
        "It answered the handshake with something else, as a port for http:// does.",
        "Use the port in the base URL on which Bitbucket, or the proxy in front of it, serves https.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "tls_error",
    ),
    Problem(
        "tls_silent",
        "The Bitbucket Server does not answer the TLS handshake.",
        "The connection was made and nothing came back: the port may be one for http://, or what listens there hangs.",
        "Check that https is served on the port in the base URL; then have the proxy in front of Bitbucket looked at.",
        Who.BITBUCKET_ADMIN,
        AuthProviderError,
        "timeout",
    ),
    Problem(
        "tls_too_old",
        "The Bitbucket Server speaks only versions of TLS that are too old.",
        "TLS 1.0 and 1.1 can be broken; this application speaks TLS 1.2 and later.",
        "Switch TLS 1.2 or later on at Bitbucket, or at the proxy in front of it.",
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
        "not_http",
        "What listens on the port of the base URL does not answer as a web server does.",
        "The connection was made, and ended before an answer that can be read as HTTP.",
        "Check that the port in the base URL is Bitbucket's, and that what stands in front of it lets this application "
        "in.",
        Who.ORGANIZATION_ADMIN,
        AuthProviderError,
        "connection_failed",
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
        "login_in_front",
        "Something in front of Bitbucket asks to log in.",
        "A single sign-on, a proxy with a password, or a closed network answers with its own login, which programs "
        "cannot go through.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket without a login in front of it; "
        "Bitbucket checks them itself.",
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
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        AuthResponseError,
        "malformed_response",
    ),
    Problem(
        "server_error",
        "The Bitbucket Server reported an error of its own.",
        "It failed while it worked on the request. When a login begins, the usual cause is a public key of "
        "another size, or a damaged one, in the application link.",
        "Look into Bitbucket's log; where it happens only when a login begins, paste the public key into the "
        "application link once more.",
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
)

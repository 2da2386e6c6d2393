"""On the way to a Bitbucket Server, and what answers there."""

from __future__ import annotations

from .code import Code
from .problem import ASK_SERVER, Row, Who

_UNREACHABLE = (
    "The Bitbucket Server could not be reached.",
    "Its name does not resolve, nothing listens there, or the connection broke before an answer came.",
    ASK_SERVER,
    Who.ORGANIZATION_ADMIN,
)
# Who can mend them, and the code that social-core has for them.
_TLS_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "tls_error")
_ANSWER_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "http_error")
_CONNECTION_OF_ADMIN = (Who.ORGANIZATION_ADMIN, "connection_failed")
_TIMEOUT_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "timeout")
_SETTING_OF_ADMIN = (Who.ORGANIZATION_ADMIN, "invalid_setting")
_TLS_OF_ADMIN = (Who.ORGANIZATION_ADMIN, "tls_error")

PROBLEMS: dict[Code, Row] = {
    # Reaching the server.
    Code.CONNECTION_FAILED: Row(*_UNREACHABLE, "connection_failed"),
    # In the same words, so that nobody can find out by it what exists in the networks around this application.
    Code.ADDRESS_BLOCKED: Row(*_UNREACHABLE, "invalid_setting"),
    # In the same words for addresses that this application may not reach.
    Code.NAME_NOT_FOUND: Row(
        "The name in the base URL does not lead to a server that can be reached.",
        "There is no such name, or it is known only inside of a network that this application is not in.",
        "Check the name in the base URL for typing mistakes, and that it leads to Bitbucket from this application's "
        "network, too.",
        *_CONNECTION_OF_ADMIN,
    ),
    Code.PROXY_UNREACHABLE: Row(
        "The proxy on the way to the Bitbucket Server could not be reached.",
        "Its name is unknown, nothing listens there, or what answers is no HTTP proxy.",
        "Check the proxy's address in PROXIES, or in proxies of an integration, and that the proxy is running.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Code.PROXY_CREDENTIALS_REFUSED: Row(
        "The proxy on the way to the Bitbucket Server wants a login.",
        "It answers with 407: there is no name and password in its address, or not the right ones.",
        "Write name and password into the proxy's address, as in http://name:password@proxy.example.com:3128. For a "
        "proxy that offers NTLM or Negotiate alone, put one in between that logs in to it, such as Cntlm or Px.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Code.PROXY_DESTINATION_REFUSED: Row(
        "The proxy did not make a connection to the Bitbucket Server.",
        "It answers with 403 where its rules forbid the server or the port, and with 502, 503 or 504 where it cannot "
        "reach the server itself.",
        "Let the proxy connect to the base URL's host and port, or reach Bitbucket without the proxy.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Code.PORT_CLOSED: Row(
        "Nothing listens on the port of the base URL.",
        "The machine is there and refuses the connection: Bitbucket is not running, or has another port.",
        "Check the port in the base URL, and that Bitbucket and the proxy in front of it are running.",
        *_CONNECTION_OF_ADMIN,
    ),
    Code.PORT_SILENT: Row(
        "The port of the base URL does not answer; a firewall may be in between.",
        "Connections are neither accepted nor refused: something on the way swallows them, or the machine is off.",
        "Open the firewall in front of Bitbucket for connections from this application to that port.",
        *_TIMEOUT_OF_BITBUCKET,
    ),
    # In the same words for addresses that this application may not reach.
    Code.CONNECT_TO_NOT_FOUND: Row(
        "The name to connect to does not lead to a server that can be reached.",
        "The integration says that connections go to another host than the base URL's. There is no such name, or it is "
        "known only inside of a network that this application is not in.",
        "Check the name to connect to for typing mistakes, and that it leads to Bitbucket from this application's "
        "network.",
        *_CONNECTION_OF_ADMIN,
    ),
    Code.CONNECT_TO_CLOSED: Row(
        "Nothing listens on the port to connect to.",
        "The integration says that connections go to another port than the base URL's. The machine is there and "
        "refuses the connection.",
        "Check the port to connect to, and that what serves Bitbucket there is running.",
        *_CONNECTION_OF_ADMIN,
    ),
    Code.CONNECT_TO_SILENT: Row(
        "The port to connect to does not answer; a firewall may be in between.",
        "The integration says that connections go to another port than the base URL's. They are neither accepted nor "
        "refused there.",
        "Open the firewall for connections from this application to that host and port.",
        *_TIMEOUT_OF_BITBUCKET,
    ),
    Code.SERVER_OVERLOADED: Row(
        "The Bitbucket Server is not answering at the moment.",
        "Several requests to it failed, one after the other. For a few seconds no more are sent.",
        "Try again in a minute.",
        Who.PERSON,
        "rate_limited",
    ),
    Code.SERVER_BUSY: Row(
        "Many people are waiting for the Bitbucket Server.",
        "Its answers take long, and a limited number of people of one organization may wait for them at once. Others "
        "have to try later, so that one slow server does not hold up the whole application.",
        "Wait a few seconds. If this page does not try again by itself, go back and log in once more.",
        Who.PERSON,
        "rate_limited",
    ),
    Code.CONVERSATION_TOO_LONG: Row(
        "The Bitbucket Server did not say in a few answers who is logging in.",
        "A login sends a dozen requests at most. The server's user search has no end, or every request has to be sent "
        "twice.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Code.CA_CERTIFICATE_INVALID: Row(
        "This cannot be used as CA certificate.",
        "To trust a server's certificate, this application needs the certificate of the CA that issued it.",
        "Paste the CA's certificate, from BEGIN CERTIFICATE to END CERTIFICATE; several may follow each other.",
        *_SETTING_OF_ADMIN,
    ),
    Code.TLS_ERROR: Row(
        "No secure connection to the Bitbucket Server could be made.",
        "The TLS handshake failed, for a reason that OpenSSL names.",
        "Check the certificate and the TLS settings of the server, or of the proxy in front of it.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.TLS_MISSING: Row(
        "The Bitbucket Server does not speak TLS on the port of the base URL.",
        "It answered the handshake with something else, as a port for http:// does.",
        "Use the port in the base URL on which Bitbucket, or the proxy in front of it, serves https.",
        *_TLS_OF_ADMIN,
    ),
    Code.TLS_SILENT: Row(
        "The Bitbucket Server does not answer the TLS handshake.",
        "The connection was made and nothing came back: the port may be one for http://, or what listens there hangs.",
        "Check that https is served on the port in the base URL; then have the proxy in front of Bitbucket looked at.",
        *_TIMEOUT_OF_BITBUCKET,
    ),
    Code.TLS_TOO_OLD: Row(
        "The Bitbucket Server speaks only versions of TLS that are too old.",
        "TLS 1.0 and 1.1 can be broken; this application speaks TLS 1.2 and later.",
        "Switch TLS 1.2 or later on at Bitbucket, or at the proxy in front of it.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.TLS_WEAK: Row(
        "The Bitbucket Server's TLS is too weak.",
        "It offers only short Diffie-Hellman keys, insecure renegotiation, or old ciphers and signatures.",
        "Update the TLS settings of Bitbucket, or of the proxy in front of it: ECDHE with AES-GCM, and secure "
        "renegotiation (RFC 5746).",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_TOO_WEAK: Row(
        "The Bitbucket Server's certificate, or one of its CA's, is too weak.",
        "It has a short key, or is signed with SHA-1 or MD5. Such certificates can be forged, and no CA certificate "
        "given here makes up for it.",
        "Install a certificate with a key of at least 2048 bits and a SHA-256 signature.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_UNSUITABLE: Row(
        "The Bitbucket Server's certificate, or one of its CA's, is not made for this use.",
        "For example, it is for clients alone, or the certificate that issued it is not a CA's.",
        "Install a certificate for servers (TLS Web Server Authentication) that a CA issued.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_EXPIRED: Row(
        "The Bitbucket Server's certificate is not valid today.",
        "Certificates are valid for a limited time; this one has expired, or its time has not begun.",
        "Install a new certificate on the server, or on the proxy in front of it.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_FOR_ANOTHER_NAME: Row(
        "The Bitbucket Server's certificate is for another name.",
        "It was issued for other names than the one in the base URL.",
        "Use a name in the base URL that the certificate has, or install a certificate for this one.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_SELF_SIGNED: Row(
        "The Bitbucket Server's certificate is self-signed.",
        "No CA vouches for it; the server made it itself.",
        "Compare its fingerprint with the Bitbucket admin, then give this application the certificate as CA "
        "certificate; better, install one that a CA issued.",
        *_TLS_OF_ADMIN,
    ),
    Code.CERTIFICATE_CHAIN_INCOMPLETE: Row(
        "The Bitbucket Server shows its own certificate alone, and who issued it is not known here.",
        "Either an intermediate certificate is missing on the server, or your company's own CA issued it.",
        "Let the server send the whole chain; with a company's own CA, give this application that CA's certificate.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.CERTIFICATE_AUTHORITY_UNKNOWN: Row(
        "The Bitbucket Server's certificate was issued by a CA that is not trusted here.",
        "It is probably your company's own CA, which machines outside of it do not know.",
        "Compare the CA certificate's fingerprint with the Bitbucket admin, then give this application the CA "
        "certificate.",
        *_TLS_OF_ADMIN,
    ),
    Code.CLIENT_CERTIFICATE_MISSING: Row(
        "A gateway in front of Bitbucket wants a client certificate.",
        "It lets in only programs that show a certificate it knows, and this application showed none.",
        "Have a client certificate issued for this application by the people who run the gateway, and give it to this "
        "application together with its key.",
        *_TLS_OF_ADMIN,
    ),
    Code.CLIENT_CERTIFICATE_REFUSED: Row(
        "A gateway in front of Bitbucket refused this application's client certificate.",
        "The certificate expired, was revoked, or was issued by a CA that the gateway does not trust.",
        "Look into the gateway's log for the reason. Let it trust the CA that issued the certificate, or have another "
        "one issued for this application.",
        *_TLS_OF_BITBUCKET,
    ),
    Code.TIMEOUT: Row(
        "The Bitbucket Server did not answer in time.",
        "The connection was made, but the answer did not come, or not completely, within the time allowed.",
        "Try again in a few minutes; if it stays so, have the server's load looked at.",
        *_TIMEOUT_OF_BITBUCKET,
    ),
    Code.NOT_HTTP: Row(
        "What listens on the port of the base URL does not answer as a web server does.",
        "The connection was made, and ended before an answer that can be read as HTTP.",
        "Check that the port in the base URL is Bitbucket's, and that what stands in front of it lets this application "
        "in.",
        *_CONNECTION_OF_ADMIN,
    ),
    Code.REDIRECTED: Row(
        "The Bitbucket Server answered with a redirect.",
        "Bitbucket itself never redirects these requests: the base URL lacks https or the context path, or a "
        "login page, a single sign-on proxy or a plugin stands in front of it.",
        "Use the address from Bitbucket's Administration → Server settings as base URL. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.COOKIE_WANTED: Row(
        "Something in front of Bitbucket wants a cookie back.",
        "It redirects to the same address, sets a cookie, and expects that cookie in the next request. Filters against "
        "robots do this. This application keeps no cookies.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket without this test.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.FIREWALL_IN_FRONT: Row(
        "A web application firewall in front of Bitbucket blocks the request.",
        "Its page came in place of Bitbucket's answer.",
        "Let requests from this application below /rest and /plugins/servlet/oauth pass the firewall.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.HTTPS_EXPECTED: Row(
        "The port of the base URL expects https://.",
        "The base URL begins with http://, and the server answered that it speaks TLS on this port.",
        "Begin the base URL with https://.",
        Who.ORGANIZATION_ADMIN,
        "http_error",
    ),
    Code.LOGIN_IN_FRONT: Row(
        "Something in front of Bitbucket asks to log in.",
        "A single sign-on, a proxy with a password, or a closed network answers with its own login, which programs "
        "cannot go through.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket without a login in front of it; "
        "Bitbucket checks them itself.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.INTERCEPTED: Row(
        "Something else than Bitbucket's OAuth answered.",
        "An HTML page or other text came where OAuth's answer was expected: a login page, a single sign-on proxy, "
        "a maintenance page or a plugin stands in front of it.",
        "Let requests below /plugins/servlet/oauth and /rest pass to Bitbucket. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Code.EMPTY_ANSWER: Row(
        "The Bitbucket Server answered without a token.",
        "The answer was a success, but empty: the request reached something that does not speak OAuth.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        "missing_claim",
    ),
    Code.MALFORMED_ANSWER: Row(
        "The Bitbucket Server's answer could not be read.",
        "It is not of the form that Bitbucket documents, or larger than any answer should be.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "malformed_response",
    ),
    Code.ANSWER_COMPRESSED: Row(
        "Something in front of Bitbucket compresses its answers, although this application asks it not to.",
        "Compressed answers are not read: a few bytes could become gigabytes.",
        "Switch compression off at the proxy for requests with the header 'Accept-Encoding: identity', or for those "
        "below /rest and /plugins/servlet/oauth.",
        Who.BITBUCKET_ADMIN,
        "malformed_response",
    ),
    Code.SERVER_STARTING: Row(
        "The Bitbucket Server is starting or restarting.",
        "Bitbucket, or the proxy in front of it, answers that Bitbucket is not available yet.",
        "Try again in a few minutes. If it stays so, ask your Bitbucket admin whether Bitbucket is running.",
        Who.PERSON,
        "unavailable",
    ),
    Code.SERVER_ERROR: Row(
        "The Bitbucket Server reported an error of its own.",
        "It failed while it worked on the request. When a login begins, the usual cause is a public key of "
        "another size, or a damaged one, in the application link.",
        "Look into Bitbucket's log; where it happens only when a login begins, paste the public key into the "
        "application link once more.",
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Code.RATE_LIMITED: Row(
        "The Bitbucket Server limits our requests.",
        "It received more requests than its rate limit allows and asks to wait.",
        "Try again in a minute.",
        Who.PERSON,
        "rate_limited",
    ),
    Code.CAPTCHA_WANTED: Row(
        "Bitbucket wants a CAPTCHA solved for this account.",
        "After several failed logins Bitbucket refuses the account's requests until its next login in a browser.",
        "Log in to Bitbucket itself in a browser once, then begin again here.",
        Who.PERSON,
        "http_error",
    ),
    Code.XSRF_CHECK_FAILED: Row(
        "Bitbucket took the request for one that another site forged.",
        "Every request that changes something carries the header X-Atlassian-Token. A proxy on the way takes it away, "
        "or changes the content type.",
        "Let the headers X-Atlassian-Token and Content-Type pass to Bitbucket unchanged.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.NOT_PERMITTED: Row(
        "Bitbucket does not let this account do that.",
        "Bitbucket understood the request, and refused it because of the account's permissions.",
        "Give the account the permission in Bitbucket.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.REQUEST_REFUSED: Row(
        "The Bitbucket Server refused the request.",
        "It answered with an error that is not one of OAuth's.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        "http_error",
    ),
    Code.CONTEXT_PATH_MISSING: Row(
        "Bitbucket is below another address.",
        "The base URL leads to the right machine, but Bitbucket answers below a context path there.",
        "Enter the base URL that the check-up proposes.",
        *_SETTING_OF_ADMIN,
    ),
    Code.SECOND_FACTOR_PLUGIN: Row(
        "A two-factor plugin answers instead of Bitbucket's OAuth.",
        "The plugin wants a second factor from programs too, and those cannot have one.",
        "Switch 'Enable OAuth whitelist' on in the settings of the plugin 'U2F & TOTP'.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.MAINTENANCE: Row(
        "The Bitbucket Server is being maintained.",
        "It answers with a page that says so.",
        "Try again when the maintenance is over.",
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Code.NOT_BITBUCKET: Row(
        "Something else than Bitbucket answers at the base URL.",
        "The answer is not the one that every Bitbucket Server gives when it is asked for its version.",
        "Copy the base URL from Bitbucket's Administration → Server settings.",
        *_SETTING_OF_ADMIN,
    ),
    Code.OAUTH_MISSING: Row(
        "Bitbucket has no OAuth at the base URL.",
        "Bitbucket answers there, but the address at which logins begin does not exist. The base URL may be the one of "
        "a mirror, which serves repositories alone.",
        "Enter the base URL of the primary server, where Bitbucket has its Administration → Application Links.",
        *_SETTING_OF_ADMIN,
    ),
}

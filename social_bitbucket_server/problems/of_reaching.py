"""On the way to a Bitbucket Server, and what answers there."""

from __future__ import annotations

from .code import Code
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
        Code.CONNECTION_FAILED,
        *_UNREACHABLE,
        "connection_failed",
    ),
    # In the same words, so that nobody can find out by it what exists in the networks around this application.
    Problem(
        Code.ADDRESS_BLOCKED,
        *_UNREACHABLE,
        "invalid_setting",
    ),
    # In the same words for addresses that this application may not reach.
    Problem(
        Code.NAME_NOT_FOUND,
        "The name in the base URL does not lead to a server that can be reached.",
        "There is no such name, or it is known only inside of a network that this application is not in.",
        "Check the name in the base URL for typing mistakes, and that it leads to Bitbucket from this application's "
        "network, too.",
        Who.ORGANIZATION_ADMIN,
        "connection_failed",
    ),
    Problem(
        Code.PROXY_UNREACHABLE,
        "The proxy on the way to the Bitbucket Server could not be reached.",
        "Its name is unknown, nothing listens there, or what answers is no HTTP proxy.",
        "Check the proxy's address in PROXIES, or in proxies of an integration, and that the proxy is running.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Problem(
        Code.PROXY_CREDENTIALS_REFUSED,
        "The proxy on the way to the Bitbucket Server wants a login.",
        "It answers with 407: there is no name and password in its address, or not the right ones.",
        "Write name and password into the proxy's address, as in http://name:password@proxy.example.com:3128. For a "
        "proxy that offers NTLM or Negotiate alone, put one in between that logs in to it, such as Cntlm or Px.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Problem(
        Code.PROXY_DESTINATION_REFUSED,
        "The proxy did not make a connection to the Bitbucket Server.",
        "It answers with 403 where its rules forbid the server or the port, and with 502, 503 or 504 where it cannot "
        "reach the server itself.",
        "Let the proxy connect to the base URL's host and port, or reach Bitbucket without the proxy.",
        Who.OPERATOR,
        "connection_failed",
    ),
    Problem(
        Code.PORT_CLOSED,
        "Nothing listens on the port of the base URL.",
        "The machine is there and refuses the connection: Bitbucket is not running, or has another port.",
        "Check the port in the base URL, and that Bitbucket and the proxy in front of it are running.",
        Who.ORGANIZATION_ADMIN,
        "connection_failed",
    ),
    Problem(
        Code.PORT_SILENT,
        "The port of the base URL does not answer; a firewall may be in between.",
        "Connections are neither accepted nor refused: something on the way swallows them, or the machine is off.",
        "Open the firewall in front of Bitbucket for connections from this application to that port.",
        Who.BITBUCKET_ADMIN,
        "timeout",
    ),
    # In the same words for addresses that this application may not reach.
    Problem(
        Code.CONNECT_TO_NOT_FOUND,
        "The name to connect to does not lead to a server that can be reached.",
        "The integration says that connections go to another host than the base URL's. There is no such name, or it is "
        "known only inside of a network that this application is not in.",
        "Check the name to connect to for typing mistakes, and that it leads to Bitbucket from this application's "
        "network.",
        Who.ORGANIZATION_ADMIN,
        "connection_failed",
    ),
    Problem(
        Code.CONNECT_TO_CLOSED,
        "Nothing listens on the port to connect to.",
        "The integration says that connections go to another port than the base URL's. The machine is there and "
        "refuses the connection.",
        "Check the port to connect to, and that what serves Bitbucket there is running.",
        Who.ORGANIZATION_ADMIN,
        "connection_failed",
    ),
    Problem(
        Code.CONNECT_TO_SILENT,
        "The port to connect to does not answer; a firewall may be in between.",
        "The integration says that connections go to another port than the base URL's. They are neither accepted nor "
        "refused there.",
        "Open the firewall for connections from this application to that host and port.",
        Who.BITBUCKET_ADMIN,
        "timeout",
    ),
    Problem(
        Code.SERVER_OVERLOADED,
        "The Bitbucket Server is not answering at the moment.",
        "Several requests to it failed, one after the other. For a few seconds no more are sent.",
        "Try again in a minute.",
        Who.PERSON,
        "rate_limited",
    ),
    Problem(
        Code.SERVER_BUSY,
        "Many people are waiting for the Bitbucket Server.",
        "Its answers take long, and a limited number of people of one organization may wait for them at once. Others "
        "have to try later, so that one slow server does not hold up the whole application.",
        "Wait a few seconds. If this page does not try again by itself, go back and log in once more.",
        Who.PERSON,
        "rate_limited",
    ),
    Problem(
        Code.CONVERSATION_TOO_LONG,
        "The Bitbucket Server did not say in a few answers who is logging in.",
        "A login sends a dozen requests at most. The server's user search has no end, or every request has to be sent "
        "twice.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Problem(
        Code.CA_CERTIFICATE_INVALID,
        "This cannot be used as CA certificate.",
        "To trust a server's certificate, this application needs the certificate of the CA that issued it.",
        "Paste the CA's certificate, from BEGIN CERTIFICATE to END CERTIFICATE; several may follow each other.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.TLS_ERROR,
        "No secure connection to the Bitbucket Server could be made.",
        "The TLS handshake failed, for a reason that OpenSSL names.",
        "Check the certificate and the TLS settings of the server, or of the proxy in front of it.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.TLS_MISSING,
        "The Bitbucket Server does not speak TLS on the port of the base URL.",
        "It answered the handshake with something else, as a port for http:// does.",
        "Use the port in the base URL on which Bitbucket, or the proxy in front of it, serves https.",
        Who.ORGANIZATION_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.TLS_SILENT,
        "The Bitbucket Server does not answer the TLS handshake.",
        "The connection was made and nothing came back: the port may be one for http://, or what listens there hangs.",
        "Check that https is served on the port in the base URL; then have the proxy in front of Bitbucket looked at.",
        Who.BITBUCKET_ADMIN,
        "timeout",
    ),
    Problem(
        Code.TLS_TOO_OLD,
        "The Bitbucket Server speaks only versions of TLS that are too old.",
        "TLS 1.0 and 1.1 can be broken; this application speaks TLS 1.2 and later.",
        "Switch TLS 1.2 or later on at Bitbucket, or at the proxy in front of it.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.TLS_WEAK,
        "The Bitbucket Server's TLS is too weak.",
        "It offers only short Diffie-Hellman keys, insecure renegotiation, or old ciphers and signatures.",
        "Update the TLS settings of Bitbucket, or of the proxy in front of it: ECDHE with AES-GCM, and secure "
        "renegotiation (RFC 5746).",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_TOO_WEAK,
        "The Bitbucket Server's certificate, or one of its CA's, is too weak.",
        "It has a short key, or is signed with SHA-1 or MD5. Such certificates can be forged, and no CA certificate "
        "given here makes up for it.",
        "Install a certificate with a key of at least 2048 bits and a SHA-256 signature.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_UNSUITABLE,
        "The Bitbucket Server's certificate, or one of its CA's, is not made for this use.",
        "For example, it is for clients alone, or the certificate that issued it is not a CA's.",
        "Install a certificate for servers (TLS Web Server Authentication) that a CA issued.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_EXPIRED,
        "The Bitbucket Server's certificate is not valid today.",
        "Certificates are valid for a limited time; this one has expired, or its time has not begun.",
        "Install a new certificate on the server, or on the proxy in front of it.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_FOR_ANOTHER_NAME,
        "The Bitbucket Server's certificate is for another name.",
        "It was issued for other names than the one in the base URL.",
        "Use a name in the base URL that the certificate has, or install a certificate for this one.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_SELF_SIGNED,
        "The Bitbucket Server's certificate is self-signed.",
        "No CA vouches for it; the server made it itself.",
        "Compare its fingerprint with the Bitbucket admin, then give this application the certificate as CA "
        "certificate; better, install one that a CA issued.",
        Who.ORGANIZATION_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_CHAIN_INCOMPLETE,
        "The Bitbucket Server shows its own certificate alone, and who issued it is not known here.",
        "Either an intermediate certificate is missing on the server, or your company's own CA issued it.",
        "Let the server send the whole chain; with a company's own CA, give this application that CA's certificate.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CERTIFICATE_AUTHORITY_UNKNOWN,
        "The Bitbucket Server's certificate was issued by a CA that is not trusted here.",
        "It is probably your company's own CA, which machines outside of it do not know.",
        "Compare the CA certificate's fingerprint with the Bitbucket admin, then give this application the CA "
        "certificate.",
        Who.ORGANIZATION_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CLIENT_CERTIFICATE_MISSING,
        "A gateway in front of Bitbucket wants a client certificate.",
        "It lets in only programs that show a certificate it knows, and this application showed none.",
        "Have a client certificate issued for this application by the people who run the gateway, and give it to this "
        "application together with its key.",
        Who.ORGANIZATION_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.CLIENT_CERTIFICATE_REFUSED,
        "A gateway in front of Bitbucket refused this application's client certificate.",
        "The certificate expired, was revoked, or was issued by a CA that the gateway does not trust.",
        "Look into the gateway's log for the reason. Let it trust the CA that issued the certificate, or have another "
        "one issued for this application.",
        Who.BITBUCKET_ADMIN,
        "tls_error",
    ),
    Problem(
        Code.TIMEOUT,
        "The Bitbucket Server did not answer in time.",
        "The connection was made, but the answer did not come, or not completely, within the time allowed.",
        "Try again in a few minutes; if it stays so, have the server's load looked at.",
        Who.BITBUCKET_ADMIN,
        "timeout",
    ),
    Problem(
        Code.NOT_HTTP,
        "What listens on the port of the base URL does not answer as a web server does.",
        "The connection was made, and ended before an answer that can be read as HTTP.",
        "Check that the port in the base URL is Bitbucket's, and that what stands in front of it lets this application "
        "in.",
        Who.ORGANIZATION_ADMIN,
        "connection_failed",
    ),
    Problem(
        Code.REDIRECTED,
        "The Bitbucket Server answered with a redirect.",
        "Bitbucket itself never redirects these requests: the base URL lacks https or the context path, or a "
        "login page, a single sign-on proxy or a plugin stands in front of it.",
        "Use the address from Bitbucket's Administration → Server settings as base URL. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.COOKIE_WANTED,
        "Something in front of Bitbucket wants a cookie back.",
        "It redirects to the same address, sets a cookie, and expects that cookie in the next request. Filters against "
        "robots do this. This application keeps no cookies.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket without this test.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.FIREWALL_IN_FRONT,
        "A web application firewall in front of Bitbucket blocks the request.",
        "Its page came in place of Bitbucket's answer.",
        "Let requests from this application below /rest and /plugins/servlet/oauth pass the firewall.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.HTTPS_EXPECTED,
        "The port of the base URL expects https://.",
        "The base URL begins with http://, and the server answered that it speaks TLS on this port.",
        "Begin the base URL with https://.",
        Who.ORGANIZATION_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LOGIN_IN_FRONT,
        "Something in front of Bitbucket asks to log in.",
        "A single sign-on, a proxy with a password, or a closed network answers with its own login, which programs "
        "cannot go through.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket without a login in front of it; "
        "Bitbucket checks them itself.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.INTERCEPTED,
        "Something else than Bitbucket's OAuth answered.",
        "An HTML page or other text came where OAuth's answer was expected: a login page, a single sign-on proxy, "
        "a maintenance page or a plugin stands in front of it.",
        "Let requests below /plugins/servlet/oauth and /rest pass to Bitbucket. With the 2FA plugin "
        "'U2F & TOTP', switch 'Enable OAuth whitelist' on.",
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Problem(
        Code.EMPTY_ANSWER,
        "The Bitbucket Server answered without a token.",
        "The answer was a success, but empty: the request reached something that does not speak OAuth.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        "missing_claim",
    ),
    Problem(
        Code.MALFORMED_ANSWER,
        "The Bitbucket Server's answer could not be read.",
        "It is not of the form that Bitbucket documents, or larger than any answer should be.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "malformed_response",
    ),
    Problem(
        Code.ANSWER_COMPRESSED,
        "Something in front of Bitbucket compresses its answers, although this application asks it not to.",
        "Compressed answers are not read: a few bytes could become gigabytes.",
        "Switch compression off at the proxy for requests with the header 'Accept-Encoding: identity', or for those "
        "below /rest and /plugins/servlet/oauth.",
        Who.BITBUCKET_ADMIN,
        "malformed_response",
    ),
    Problem(
        Code.SERVER_STARTING,
        "The Bitbucket Server is starting or restarting.",
        "Bitbucket, or the proxy in front of it, answers that Bitbucket is not available yet.",
        "Try again in a few minutes. If it stays so, ask your Bitbucket admin whether Bitbucket is running.",
        Who.PERSON,
        "unavailable",
    ),
    Problem(
        Code.SERVER_ERROR,
        "The Bitbucket Server reported an error of its own.",
        "It failed while it worked on the request. When a login begins, the usual cause is a public key of "
        "another size, or a damaged one, in the application link.",
        "Look into Bitbucket's log; where it happens only when a login begins, paste the public key into the "
        "application link once more.",
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Problem(
        Code.RATE_LIMITED,
        "The Bitbucket Server limits our requests.",
        "It received more requests than its rate limit allows and asks to wait.",
        "Try again in a minute.",
        Who.PERSON,
        "rate_limited",
    ),
    Problem(
        Code.CAPTCHA_WANTED,
        "Bitbucket wants a CAPTCHA solved for this account.",
        "After several failed logins Bitbucket refuses the account's requests until its next login in a browser.",
        "Log in to Bitbucket itself in a browser once, then begin again here.",
        Who.PERSON,
        "http_error",
    ),
    Problem(
        Code.XSRF_CHECK_FAILED,
        "Bitbucket took the request for one that another site forged.",
        "Every request that changes something carries the header X-Atlassian-Token. A proxy on the way takes it away, "
        "or changes the content type.",
        "Let the headers X-Atlassian-Token and Content-Type pass to Bitbucket unchanged.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.NOT_PERMITTED,
        "Bitbucket does not let this account do that.",
        "Bitbucket understood the request, and refused it because of the account's permissions.",
        "Give the account the permission in Bitbucket.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.REQUEST_REFUSED,
        "The Bitbucket Server refused the request.",
        "It answered with an error that is not one of OAuth's.",
        "Check that the base URL is Bitbucket's own, with its context path.",
        Who.ORGANIZATION_ADMIN,
        "http_error",
    ),
    Problem(
        Code.CONTEXT_PATH_MISSING,
        "Bitbucket is below another address.",
        "The base URL leads to the right machine, but Bitbucket answers below a context path there.",
        "Enter the base URL that the check-up proposes.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.SECOND_FACTOR_PLUGIN,
        "A two-factor plugin answers instead of Bitbucket's OAuth.",
        "The plugin wants a second factor from programs too, and those cannot have one.",
        "Switch 'Enable OAuth whitelist' on in the settings of the plugin 'U2F & TOTP'.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.MAINTENANCE,
        "The Bitbucket Server is being maintained.",
        "It answers with a page that says so.",
        "Try again when the maintenance is over.",
        Who.BITBUCKET_ADMIN,
        "unavailable",
    ),
    Problem(
        Code.NOT_BITBUCKET,
        "Something else than Bitbucket answers at the base URL.",
        "The answer is not the one that every Bitbucket Server gives when it is asked for its version.",
        "Copy the base URL from Bitbucket's Administration → Server settings.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.OAUTH_MISSING,
        "Bitbucket has no OAuth at the base URL.",
        "Bitbucket answers there, but the address at which logins begin does not exist. The base URL may be the one of "
        "a mirror, which serves repositories alone.",
        "Enter the base URL of the primary server, where Bitbucket has its Administration → Application Links.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
)

"""Problems that Bitbucket reports: those of OAuth itself, and those of its application links."""

from __future__ import annotations

from .code import Code
from .problem import ASK_SERVER, START_AGAIN, Problem, Who

PROBLEMS = (
    # OAuth's own problems, as Bitbucket reports them.
    Problem(
        Code.CONSUMER_KEY_UNKNOWN,
        "Bitbucket does not know the consumer key.",
        "No application link on this server has this consumer key under Incoming Authentication.",
        "Open the application link's Incoming Authentication and enter exactly the consumer key from the worksheet.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.CONSUMER_KEY_REFUSED,
        "Bitbucket knows the consumer key and refuses it.",
        "The consumer was switched off, or blocked, in Bitbucket or by a plugin.",
        "Open the application link's Incoming Authentication and set the consumer up again, as the worksheet says.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.SIGNATURE_INVALID,
        "Bitbucket could not verify the signature.",
        "The public key in the application link is not the one of this integration, or the server sees another "
        "address than the base URL, because its proxy hides https or the host name.",
        "Compare the public key in the application link with the worksheet; then compare Bitbucket's proxy settings "
        "(scheme, proxyName, proxyPort) with the base URL.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    # Why a signature is invalid, where the server says what it made of the request.
    Problem(
        Code.PUBLIC_KEY_DIFFERS,
        "The public key in the application link is not the one of this integration.",
        "Both sides read the request in the same way, so only the key can be another one.",
        "Paste the public key from the worksheet into the application link's Incoming Authentication, in place of the "
        "one that is there.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.ADDRESS_HIDDEN,
        "Bitbucket sees another address than the base URL, and so it cannot verify signatures.",
        "A proxy in front of Bitbucket hides a part of the address, and Bitbucket's settings do not make up for it.",
        "Set what Bitbucket knows of its proxy (in bitbucket.properties: server.scheme, server.secure, "
        "server.proxy-name, server.proxy-port, server.context-path) to the parts of the base URL, and restart it.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.REQUEST_CHANGED,
        "Requests do not reach Bitbucket as they were sent, and so it cannot verify signatures.",
        "A proxy or a filter on the way changes, adds or drops a part of each request.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket unchanged.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.AUTHORIZATION_HEADER_LOST,
        "The header Authorization does not reach Bitbucket.",
        "A proxy, a single sign-on or a plugin takes it away. Without it Bitbucket does not learn who asks.",
        "Let the header Authorization pass to Bitbucket unchanged, below /plugins/servlet/oauth and below /rest.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.PUBLIC_KEY_UNUSABLE,
        "Bitbucket cannot use the public key in the application link.",
        "It fails over the signature with an error of its own, as it does where the key is damaged or of another size "
        "than the one of this integration.",
        "Paste the public key from the worksheet into the application link's Incoming Authentication once more, all of "
        "it.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.CALLBACK_REFUSED,
        "Bitbucket refused the address to which logins come back.",
        "It takes absolute addresses that begin with https:// or http:// alone.",
        "Correct the public address of this application in its configuration.",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Problem(
        Code.SIGNATURE_METHOD_REJECTED,
        "Bitbucket does not accept RSA-SHA1 for this consumer.",
        "The consumer in the application link was set up for another kind of signature.",
        "Set the consumer up again with a public key, as the worksheet says.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.TIMESTAMP_REFUSED,
        "The clocks differ too much.",
        "Bitbucket accepts signatures that are at most five minutes off its own clock.",
        "Synchronize both machines' clocks (NTP).",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Problem(
        Code.CLOCK_TOO_FAR_OFF,
        "The clocks differ by more than a day.",
        "Smaller differences are corrected by the server's own time; so large a one means that a clock was never set.",
        "Set both machines' clocks and synchronize them (NTP).",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Problem(
        Code.NONCE_USED,
        "Bitbucket saw the same request twice.",
        "A proxy or a network device between the two sent a request again.",
        START_AGAIN,
        Who.PERSON,
        "http_error",
    ),
    Problem(
        Code.PERMISSION_DENIED,
        "Bitbucket does not let this consumer ask people for access.",
        "Logging in by way of the person's browser (three-legged OAuth) is not allowed for it.",
        "Set the application link's Incoming Authentication up again, as the worksheet says.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.PERMISSION_UNKNOWN,
        "Access was not confirmed in Bitbucket.",
        "The login came back before Allow was pressed on Bitbucket's page.",
        START_AGAIN,
        Who.PERSON,
        "http_error",
    ),
    Problem(
        Code.TOKEN_REJECTED,
        "Bitbucket does not accept the login's token.",
        "It was used before, was revoked, or is not the one that Bitbucket issued.",
        START_AGAIN,
        Who.PERSON,
        "http_error",
    ),
    Problem(
        Code.TOKEN_EXPIRED,
        "Bitbucket's token is too old.",
        "A login that was begun is forgotten after ten minutes; the permission to act for a person ends after the time "
        "that Bitbucket gave it, five years by default.",
        "Go back to the login page and log in with Bitbucket again.",
        Who.PERSON,
        "http_error",
    ),
    Problem(
        Code.TOKEN_REVOKED,
        "The permission to act for this person was taken back.",
        "The person revoked it in Bitbucket, or the application link was deleted.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        "token_revoked",
    ),
    Problem(
        Code.TOKEN_MISSING,
        "There is no permission to act for this person.",
        "Access tokens were not kept when this person logged in last, or the one that was kept belongs to another "
        "server.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        "invalid_setting",
    ),
    Problem(
        Code.TOKEN_UNOPENABLE,
        "The stored access token cannot be opened.",
        "It was stored with another key ring than the one configured now, or the stored record was changed or belongs "
        "to another person.",
        "Put the ring's missing key back. If it is lost, have the person log in with Bitbucket again.",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Problem(
        Code.OAUTH_PROBLEM,
        "Bitbucket refused the request.",
        "It answered with a problem of OAuth's that a correct request does not cause.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.CALLBACK_NOT_CONFIRMED,
        "Bitbucket did not confirm the callback.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Problem(
        Code.CALLBACK_CONFIRMATION_INVALID,
        "Bitbucket did not confirm the callback in the way that OAuth 1.0a asks for.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    Problem(
        Code.TOKEN_INVALID,
        "Bitbucket issued a token that cannot be used.",
        "It is missing, too long, or has characters that no token has.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    Problem(
        Code.TOKEN_OF_ANOTHER_LOGIN,
        "Bitbucket issued the token of another login.",
        "The token is under way already, in this browser or another one. Honest servers never issue one twice.",
        "Have it looked into who runs the server, and whether a proxy in front of it repeats its answers.",
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    # OAuth 2's own problems, as Bitbucket reports them.
    Problem(
        Code.EXTERNAL_LINKS_MISSING,
        "This version of Bitbucket does not offer OAuth 2.",
        "External application links came with Bitbucket 7.20.",
        "Log in by OAuth 1, with an application link of the older kind, or update Bitbucket.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.CLIENT_REFUSED,
        "Bitbucket does not know the client ID, or the client secret is another one.",
        "No External application link on this server has this client ID together with this client secret.",
        "Open the External application link in Bitbucket's application links, and copy its client ID and client secret "
        "into the integration.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Problem(
        Code.CODE_REFUSED,
        "Bitbucket does not accept the login's code.",
        "It was used before, or it came back too late: Bitbucket gives a login's last step ten seconds by default, "
        "and does not know the code afterwards.",
        START_AGAIN,
        Who.PERSON,
        "authorization_code_rejected",
    ),
    Problem(
        Code.SCOPE_REFUSED,
        "Bitbucket does not grant the permissions that the login asks for.",
        "The External application link permits less than this application asks for.",
        "Tick Repositories: Read under Application permissions of the External application link. An application that "
        "asks for more needs more ticked there.",
        Who.BITBUCKET_ADMIN,
        "invalid_setting",
    ),
    # The application link by REST.
    Problem(
        Code.LINK_NOT_PERMITTED,
        "Bitbucket does not let this user administer application links.",
        "The name and password are right, but the user is not a Bitbucket admin.",
        "Use a Bitbucket admin's account, or follow the worksheet by hand.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_PASSWORD_WRONG,
        "Bitbucket does not accept this user name and password.",
        "One of them is not right. After several wrong passwords Bitbucket asks for more than the password.",
        "Type them once more, or follow the worksheet by hand.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_BASIC_DISABLED,
        "Programs may not log in to this Bitbucket with a password.",
        "Basic authentication is off, as it is by default in Bitbucket 10 and later.",
        "Follow the worksheet by hand. Or allow basic authentication under Administration → Authentication, and switch "
        "it off again afterwards.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_CAPTCHA,
        "Bitbucket wants a CAPTCHA from this administrator.",
        "There were several wrong passwords, and no program can answer a CAPTCHA.",
        "Log in to Bitbucket once in a browser, and try again. Or follow the worksheet by hand there.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_TOKEN_REFUSED,
        "Bitbucket does not accept this token for application links.",
        "HTTP access tokens reach projects and repositories only. Application links need an OAuth 2 token with the "
        "admin permission, of a user who is a Bitbucket admin.",
        "Follow the worksheet by hand, or use a password or such a token.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_ADMIN_SESSION,
        "Bitbucket wants this administrator to confirm who they are.",
        "It asks for a secure administrator session (websudo), which only a browser can begin.",
        "Follow the worksheet by hand, in a browser.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Problem(
        Code.LINK_REFUSED,
        "Bitbucket did not take the application link.",
        "Another link has the same Application URL or consumer key, or this version does not know the call.",
        "Look at the application links in Bitbucket's administration, or follow the worksheet by hand.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
)

"""Problems that Bitbucket reports: those of OAuth itself, and those of its application links."""

from __future__ import annotations

from .code import Code
from .problem import ASK_SERVER, START_AGAIN, Row, Who

# Who can mend them, and the code that social-core has for them.
_SETTING_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "invalid_setting")
_ANSWER_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "http_error")
_SETTING_OF_OPERATOR = (Who.OPERATOR, "invalid_setting")
_ANSWER_OF_PERSON = (Who.PERSON, "http_error")

PROBLEMS: dict[Code, Row] = {
    # OAuth's own problems, as Bitbucket reports them.
    Code.CONSUMER_KEY_UNKNOWN: Row(
        "Bitbucket does not know the consumer key.",
        "No application link on this server has this consumer key under Incoming Authentication.",
        "Open the application link's Incoming Authentication and enter exactly the consumer key from the worksheet.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.CONSUMER_KEY_REFUSED: Row(
        "Bitbucket knows the consumer key and refuses it.",
        "The consumer was switched off, or blocked, in Bitbucket or by a plugin.",
        "Open the application link's Incoming Authentication and set the consumer up again, as the worksheet says.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.SIGNATURE_INVALID: Row(
        "Bitbucket could not verify the signature.",
        "The public key in the application link is not the one of this integration, or the server sees another "
        "address than the base URL, because its proxy hides https or the host name.",
        "Compare the public key in the application link with the worksheet; then compare Bitbucket's proxy settings "
        "(scheme, proxyName, proxyPort) with the base URL.",
        *_SETTING_OF_BITBUCKET,
    ),
    # Why a signature is invalid, where the server says what it made of the request.
    Code.PUBLIC_KEY_DIFFERS: Row(
        "The public key in the application link is not the one of this integration.",
        "Both sides read the request in the same way, so only the key can be another one.",
        "Paste the public key from the worksheet into the application link's Incoming Authentication, in place of the "
        "one that is there.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.ADDRESS_HIDDEN: Row(
        "Bitbucket sees another address than the base URL, and so it cannot verify signatures.",
        "A proxy in front of Bitbucket hides a part of the address, and Bitbucket's settings do not make up for it.",
        "Set what Bitbucket knows of its proxy (in bitbucket.properties: server.scheme, server.secure, "
        "server.proxy-name, server.proxy-port, server.context-path) to the parts of the base URL, and restart it.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.REQUEST_CHANGED: Row(
        "Requests do not reach Bitbucket as they were sent, and so it cannot verify signatures.",
        "A proxy or a filter on the way changes, adds or drops a part of each request.",
        "Let requests below /rest and /plugins/servlet/oauth pass to Bitbucket unchanged.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.AUTHORIZATION_HEADER_LOST: Row(
        "The header Authorization does not reach Bitbucket.",
        "A proxy, a single sign-on or a plugin takes it away. Without it Bitbucket does not learn who asks.",
        "Let the header Authorization pass to Bitbucket unchanged, below /plugins/servlet/oauth and below /rest.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.PUBLIC_KEY_UNUSABLE: Row(
        "Bitbucket cannot use the public key in the application link.",
        "It fails over the signature with an error of its own, as it does where the key is damaged or of another size "
        "than the one of this integration.",
        "Paste the public key from the worksheet into the application link's Incoming Authentication once more, all of "
        "it.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.CALLBACK_REFUSED: Row(
        "Bitbucket refused the address to which logins come back.",
        "It takes absolute addresses that begin with https:// or http:// alone.",
        "Correct the public address of this application in its configuration.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.SIGNATURE_METHOD_REJECTED: Row(
        "Bitbucket does not accept RSA-SHA1 for this consumer.",
        "The consumer in the application link was set up for another kind of signature.",
        "Set the consumer up again with a public key, as the worksheet says.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.TIMESTAMP_REFUSED: Row(
        "The clocks differ too much.",
        "Bitbucket accepts signatures that are at most five minutes off its own clock.",
        "Synchronize both machines' clocks (NTP).",
        *_SETTING_OF_OPERATOR,
    ),
    Code.CLOCK_TOO_FAR_OFF: Row(
        "The clocks differ by more than a day.",
        "Smaller differences are corrected by the server's own time; so large a one means that a clock was never set.",
        "Set both machines' clocks and synchronize them (NTP).",
        *_SETTING_OF_OPERATOR,
    ),
    Code.NONCE_USED: Row(
        "Bitbucket saw the same request twice.",
        "A proxy or a network device between the two sent a request again.",
        START_AGAIN,
        *_ANSWER_OF_PERSON,
    ),
    Code.PERMISSION_DENIED: Row(
        "Bitbucket does not let this consumer ask people for access.",
        "Logging in by way of the person's browser (three-legged OAuth) is not allowed for it.",
        "Set the application link's Incoming Authentication up again, as the worksheet says.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.PERMISSION_UNKNOWN: Row(
        "Access was not confirmed in Bitbucket.",
        "The login came back before Allow was pressed on Bitbucket's page.",
        START_AGAIN,
        *_ANSWER_OF_PERSON,
    ),
    Code.TOKEN_REJECTED: Row(
        "Bitbucket does not accept the login's token.",
        "It was used before, was revoked, or is not the one that Bitbucket issued.",
        START_AGAIN,
        *_ANSWER_OF_PERSON,
    ),
    Code.TOKEN_EXPIRED: Row(
        "Bitbucket's token is too old.",
        "A login that was begun is forgotten after ten minutes; the permission to act for a person ends after the time "
        "that Bitbucket gave it, five years by default.",
        "Go back to the login page and log in with Bitbucket again.",
        *_ANSWER_OF_PERSON,
    ),
    Code.TOKEN_REVOKED: Row(
        "The permission to act for this person was taken back.",
        "The person revoked it in Bitbucket, or the application link was deleted.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        "token_revoked",
    ),
    Code.TOKEN_MISSING: Row(
        "There is no permission to act for this person.",
        "Access tokens were not kept when this person logged in last, or the one that was kept belongs to another "
        "server.",
        "Log in with Bitbucket again.",
        Who.PERSON,
        "invalid_setting",
    ),
    Code.TOKEN_UNOPENABLE: Row(
        "The stored access token cannot be opened.",
        "It was stored with another key ring than the one configured now, or the stored record was changed or belongs "
        "to another person.",
        "Put the ring's missing key back. If it is lost, have the person log in with Bitbucket again.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.OAUTH_PROBLEM: Row(
        "Bitbucket refused the request.",
        "It answered with a problem of OAuth's that a correct request does not cause.",
        ASK_SERVER,
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.CALLBACK_NOT_CONFIRMED: Row(
        "Bitbucket did not confirm the callback.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Code.CALLBACK_CONFIRMATION_INVALID: Row(
        "Bitbucket did not confirm the callback in the way that OAuth 1.0a asks for.",
        "Without the confirmation the login would be an OAuth 1.0 one, which others can hijack; it is never continued.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    Code.TOKEN_INVALID: Row(
        "Bitbucket issued a token that cannot be used.",
        "It is missing, too long, or has characters that no token has.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    Code.TOKEN_OF_ANOTHER_LOGIN: Row(
        "Bitbucket issued the token of another login.",
        "The token is under way already, in this browser or another one. Honest servers never issue one twice.",
        "Have it looked into who runs the server, and whether a proxy in front of it repeats its answers.",
        Who.BITBUCKET_ADMIN,
        "invalid_claim",
    ),
    # OAuth 2's own problems, as Bitbucket reports them.
    Code.EXTERNAL_LINKS_MISSING: Row(
        "This version of Bitbucket does not offer OAuth 2.",
        "External application links came with Bitbucket 7.20.",
        "Log in by OAuth 1, with an application link of the older kind, or update Bitbucket.",
        *_SETTING_OF_BITBUCKET,
    ),
    Code.CLIENT_REFUSED: Row(
        "Bitbucket does not know the client ID, or the client secret is another one.",
        "No External application link on this server has this client ID together with this client secret.",
        "Open the External application link in Bitbucket's application links, and copy its client ID and client secret "
        "into the integration.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Code.CODE_REFUSED: Row(
        "Bitbucket does not accept the login's code.",
        "It was used before, or it came back too late: Bitbucket gives a login's last step ten seconds by default, "
        "and does not know the code afterwards.",
        START_AGAIN,
        Who.PERSON,
        "authorization_code_rejected",
    ),
    Code.SCOPE_REFUSED: Row(
        "Bitbucket does not grant the permissions that the login asks for.",
        "The External application link permits less than this application asks for.",
        "Tick Repositories: Read under Application permissions of the External application link. An application that "
        "asks for more needs more ticked there.",
        *_SETTING_OF_BITBUCKET,
    ),
    # The application link by REST.
    Code.LINK_NOT_PERMITTED: Row(
        "Bitbucket does not let this user administer application links.",
        "The name and password are right, but the user is not a Bitbucket admin.",
        "Use a Bitbucket admin's account, or follow the worksheet by hand.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_PASSWORD_WRONG: Row(
        "Bitbucket does not accept this user name and password.",
        "One of them is not right. After several wrong passwords Bitbucket asks for more than the password.",
        "Type them once more, or follow the worksheet by hand.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_BASIC_DISABLED: Row(
        "Programs may not log in to this Bitbucket with a password.",
        "Basic authentication is off, as it is by default in Bitbucket 10 and later.",
        "Follow the worksheet by hand. Or allow basic authentication under Administration → Authentication, and switch "
        "it off again afterwards.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_CAPTCHA: Row(
        "Bitbucket wants a CAPTCHA from this administrator.",
        "There were several wrong passwords, and no program can answer a CAPTCHA.",
        "Log in to Bitbucket once in a browser, and try again. Or follow the worksheet by hand there.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_TOKEN_REFUSED: Row(
        "Bitbucket does not accept this token for application links.",
        "HTTP access tokens reach projects and repositories only. Application links need an OAuth 2 token with the "
        "admin permission, of a user who is a Bitbucket admin.",
        "Follow the worksheet by hand, or use a password or such a token.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_ADMIN_SESSION: Row(
        "Bitbucket wants this administrator to confirm who they are.",
        "It asks for a secure administrator session (websudo), which only a browser can begin.",
        "Follow the worksheet by hand, in a browser.",
        *_ANSWER_OF_BITBUCKET,
    ),
    Code.LINK_REFUSED: Row(
        "Bitbucket did not take the application link.",
        "Another link has the same Application URL or consumer key, or this version does not know the call.",
        "Look at the application links in Bitbucket's administration, or follow the worksheet by hand.",
        *_ANSWER_OF_BITBUCKET,
    ),
}

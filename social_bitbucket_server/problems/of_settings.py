"""Problems of the configuration by an operator or an admin, including private keys."""

from __future__ import annotations

from .code import Code
from .problem import Row, Who

_PASTE_AGAIN = "Paste the whole private key, from its BEGIN line to its END line."

# Who can mend them, and the code that social-core has for them.
_SETTING_OF_OPERATOR = (Who.OPERATOR, "invalid_setting")
_SETTING_OF_ADMIN = (Who.ORGANIZATION_ADMIN, "invalid_setting")

PROBLEMS: dict[Code, Row] = {
    # What an operator or an admin configures.
    Code.INVALID_BASE_URL: Row(
        "The base URL cannot be used.",
        "The address that was entered is not the address of a Bitbucket Server as this application accepts it.",
        "Copy the base URL from Bitbucket's Administration → Server settings, for example "
        "https://bitbucket.example.com or https://example.com/bitbucket.",
        *_SETTING_OF_ADMIN,
    ),
    Code.CONNECT_TO_INVALID: Row(
        "The address to connect to cannot be used.",
        "Connections to Bitbucket can go to another host and port than the base URL's. This application does not "
        "accept what was entered for them.",
        "Enter a host and a port, for example bitbucket.internal.example.com:8443, or leave it empty.",
        *_SETTING_OF_ADMIN,
    ),
    Code.SETTING_MISSING: Row(
        "A setting is missing.",
        "The login cannot begin, because a value that it needs was never configured.",
        "Give the setting a value, and restart the application.",
        Who.OPERATOR,
        "missing_setting",
    ),
    Code.SETTING_INVALID: Row(
        "A setting has a value that cannot be used.",
        "The login cannot begin, because a configured value is not of the kind that it must be.",
        "Correct the value of the setting, and restart the application.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.BACKEND_MISSING: Row(
        "The backend of this login is not installed in the application.",
        "A backend is only found if the application's list of backends names it.",
        "Add social_bitbucket_server.backends.BitbucketServerOAuth1, or …OAuth2, to AUTHENTICATION_BACKENDS. Except in "
        "Django the setting is SOCIAL_AUTH_AUTHENTICATION_BACKENDS.",
        Who.OPERATOR,
        "backend_missing",
    ),
    Code.INTEGRATION_MISSING: Row(
        "No integration was chosen.",
        "This application knows several Bitbucket Servers, and the request did not say which one to use.",
        "Open your organization's own login link.",
        Who.PERSON,
        "missing_parameter",
    ),
    Code.INTEGRATION_UNKNOWN: Row(
        "There is no such integration.",
        "The login link names an integration that does not exist, or that was disabled or deleted.",
        "Ask your organization's admin for the current login link.",
        Who.PERSON,
        "invalid_parameter",
    ),
    # The private key.
    Code.PRIVATE_KEY_MISSING: Row(
        "There is no private key.",
        "Nothing, or only white space, was given where a private key is needed.",
        "Make a key pair with 'social-bitbucket-server keygen' and configure its private key.",
        Who.OPERATOR,
        "missing_setting",
    ),
    Code.PRIVATE_KEY_UNREADABLE: Row(
        "This is not a private key.",
        "The text is neither PEM nor the base64 of an RSA private key.",
        _PASTE_AGAIN,
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_IN_CONTAINER: Row(
        "The private key is in a form that must be converted first.",
        "What was given may hold a private key, but in a container of another program, or encrypted by one.",
        "Convert a copy into PEM, and give that.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_IS_PATH: Row(
        "This is the path of a file, not the private key itself.",
        "The key's text goes here; a path goes into a setting of its own.",
        "Give the path as PRIVATE_KEY_FILE, private_key_file or --private-key-file, or give the text of the file here.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_NOT_FILLED_IN: Row(
        "A placeholder stands in the place of the private key.",
        "A template, a vault or a deployment should have put the key there, and did not.",
        "Have the key put in before the application starts.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_TRUNCATED: Row(
        "The private key is incomplete.",
        "The text begins like a private key, but a part of it is missing or damaged.",
        _PASTE_AGAIN,
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_IS_PUBLIC: Row(
        "This is the public key.",
        "The public half of a key pair was given where the private half is needed. Bitbucket gets the public key, "
        "this application keeps the private one.",
        "Give the other half of the key pair; its first line contains PRIVATE KEY.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_IS_CERTIFICATE: Row(
        "This is a certificate.",
        "A certificate holds a public key only; signing needs the private one.",
        "Give the private key that belongs to the certificate; its first line contains PRIVATE KEY.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_NOT_RSA: Row(
        "This key is not an RSA key.",
        "Bitbucket accepts RSA-SHA1 signatures only, so keys of other kinds cannot be used.",
        "Make an RSA key pair with 'social-bitbucket-server keygen'.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_OPENSSH: Row(
        "This key is in OpenSSH's format.",
        "ssh-keygen made it, in a format of its own.",
        "Convert a copy with 'ssh-keygen -p -m PEM -f FILE', or make a new pair with 'social-bitbucket-server keygen'.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_ENCRYPTED: Row(
        "The private key is encrypted.",
        "It can be read only with its passphrase, and none was given, or not the right one.",
        "Give the passphrase: as PRIVATE_KEY_PASSPHRASE, as private_key_passphrase of an integration, or at the "
        "terminal. Or give the key without encryption, which 'openssl pkey -in FILE -out FILE.pem' writes.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_WEAK: Row(
        "The private key is too weak.",
        "RSA keys need at least 2048 bits and a public exponent of at least 65537.",
        "Make a new key pair with 'social-bitbucket-server keygen'.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PRIVATE_KEY_FORBIDDEN: Row(
        "This machine forbids the private key.",
        "The key is whole, but the OpenSSL of this machine refuses it, as it refuses some sizes and exponents in FIPS "
        "mode.",
        "Make a new key pair with 'social-bitbucket-server keygen' on this machine.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.SHA1_FORBIDDEN: Row(
        "This machine forbids the signatures that OAuth 1 needs.",
        "Bitbucket accepts RSA-SHA1 alone. The OpenSSL of this machine does not sign with SHA-1: the crypto policy of "
        "RHEL 9 and later forbids it, and FIPS mode may.",
        "Install cryptography as a wheel from PyPI, which brings an OpenSSL of its own; or allow SHA-1 with "
        "'update-crypto-policies --set DEFAULT:SHA1'; or log in by OAuth 2.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.PUBLIC_KEY_INVALID: Row(
        "The public key cannot be used.",
        "Bitbucket accepts an RSA public key of at least 2048 bits: PEM that begins with BEGIN PUBLIC KEY, its bare "
        "base64, or a certificate.",
        "Show the public key again with 'social-bitbucket-server public FILE', and give all of it.",
        *_SETTING_OF_OPERATOR,
    ),
    # The client certificate, for a gateway in front of Bitbucket.
    Code.CLIENT_CERTIFICATE_INVALID: Row(
        "This cannot be used as client certificate.",
        "This application shows a gateway in front of Bitbucket the certificate that was issued for it, followed by "
        "those of the CAs between it and a root.",
        "Give the certificate in PEM, from BEGIN CERTIFICATE to END CERTIFICATE.",
        *_SETTING_OF_ADMIN,
    ),
    Code.CLIENT_KEY_INVALID: Row(
        "This is not the key of a client certificate.",
        "The text is not a private key in PEM of a kind that TLS uses.",
        "Give the private key that the client certificate was requested with, from its BEGIN line to its END line.",
        *_SETTING_OF_ADMIN,
    ),
    Code.CLIENT_KEY_ENCRYPTED: Row(
        "The client certificate's key is encrypted.",
        "This application would need the passphrase for every connection, and asks for none.",
        "Decrypt a copy with 'openssl pkey -in client.key -out client-plain.key', and give that.",
        *_SETTING_OF_ADMIN,
    ),
    Code.CLIENT_KEY_MISMATCH: Row(
        "The key is not the client certificate's.",
        "Each certificate is for one key, and this is another one.",
        "Give the key that the certificate was requested with: 'openssl pkey -in client.key -pubout' prints the same "
        "as 'openssl x509 -in client.pem -pubkey -noout'.",
        *_SETTING_OF_ADMIN,
    ),
    Code.KEY_RING_INVALID: Row(
        "The key ring cannot be used.",
        "Private keys are stored encrypted with the keys of a ring; the configured ring is not a list of "
        "number:key pairs, each key 32 random bytes in base64.",
        "Write KEY_RING as '2:<base64>,1:<base64>', newest first.",
        *_SETTING_OF_OPERATOR,
    ),
    Code.SEALED_KEY_UNOPENABLE: Row(
        "The stored private key cannot be opened.",
        "It was stored with another key ring than the one configured now, or the stored record was changed.",
        "Put the ring's missing key back. If it is lost, make a new key pair for the integration.",
        *_SETTING_OF_OPERATOR,
    ),
}

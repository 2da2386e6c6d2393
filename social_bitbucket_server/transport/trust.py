"""Contexts for TLS: the CA certificates that a server is trusted by, and the certificate that it is shown.

The CA certificates are the machine's, a bundle, or pasted ones.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import certifi

from ..crypto import LONGEST, Secret, path_to_show, state_of_file
from ..problems import BitbucketServerError, Code
from .certificates import pem_of, read_certificates
from .client_certificates import load_client_certificate

_NO_KEY = Secret()


def ssl_context(
    verify: bool | str, ca_certificates: str = "", client_certificate: str = "", client_key: Secret = _NO_KEY
) -> ssl.SSLContext:
    """Return a context that verifies servers by the pasted *ca_certificates*, by the bundle at the path *verify*, or by
    the machine's CA certificates. A server that asks for a client certificate is shown *client_certificate*. Both that
    and *client_key* are PEM.

    Nothing comes from the environment. Raises ``setting_invalid`` for a bundle that cannot be read,
    ``ca_certificate_invalid`` for pasted certificates that OpenSSL does not read, and ``client_certificate_invalid``.
    """
    changed = _state_of(verify) if isinstance(verify, str) else ()
    return _ssl_context(verify, ca_certificates, changed, client_certificate, client_key)


def _state_of(path: str) -> tuple[int, ...]:
    try:
        return state_of_file(path)
    except (OSError, ValueError):  # _trust_bundle says why it cannot be read
        return ()


@lru_cache(maxsize=128)
def _ssl_context(
    verify: bool | str,
    ca_certificates: str,
    changed: tuple[int, ...],  # noqa: ARG001  # a changed bundle is read again
    client_certificate: str,
    client_key: Secret,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An operator who names an intermediate CA trusts that one. Servers do not send the root above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca_certificates:
        try:
            context.load_verify_locations(cadata=ca_certificates)
        except (OSError, ValueError) as error:  # ssl.SSLError among them
            raise BitbucketServerError(
                Code.CA_CERTIFICATE_INVALID, "OpenSSL cannot read it.", parameter="ca_certificates"
            ) from error
    elif isinstance(verify, str):
        _trust_bundle(context, verify)
    else:
        _trust_the_machines(context)
    if client_certificate:
        load_client_certificate(context, client_certificate, client_key)
    return context


def _trust_bundle(context: ssl.SSLContext, path: str) -> None:
    """Trust the CA certificates in the file or folder at *path*; OpenSSL itself reads PEM alone."""
    try:
        context.load_verify_locations(**({"capath": path} if os.path.isdir(path) else {"cafile": path}))
    except ValueError as error:  # a name that no file can have
        raise _unreadable(path, "No file can have such a name.") from error
    except ssl.SSLError:
        with open(path, "rb") as file:
            given = file.read(LONGEST + 1)
        try:
            converted = pem_of(read_certificates(given))
        except BitbucketServerError as error:
            raise _unreadable(path, f"{path_to_show(path)}: {error.reason}") from None
        context.load_verify_locations(cadata=converted)
    except OSError as error:
        raise _unreadable(path, f"{path_to_show(path)}: {error.strerror}.") from None


def _unreadable(path: str, reason: str) -> BitbucketServerError:
    if "BEGIN CERTIFICATE" in path:
        reason = "It is the text of a certificate, and must be the path of a file; the text goes into ca_certificates."
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter="verify")


def _trust_the_machines(context: ssl.SSLContext) -> None:
    """Trust the CA certificates that OpenSSL was built to trust on this machine, or certifi's if there are none.

    The environment variables that would change them are ignored.
    """
    paths = ssl.get_default_verify_paths()
    file = paths.openssl_cafile if os.path.exists(paths.openssl_cafile) else None
    directory = paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None
    if file or directory:
        context.load_verify_locations(cafile=file, capath=directory)
    else:
        context.load_verify_locations(cafile=certifi.where())

"""Keys and certificates as people paste them: made into text, taken out of what they are wrapped in, or named.

:mod:`.pem` and :mod:`~.transport.certificates` find out which of the texts holds a key or a certificate.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeVar
from urllib.parse import unquote, unquote_plus

from ..problems import BitbucketServerError, Code

_T = TypeVar("_T")

LONGEST = 64 * 1024
"""Characters or bytes that are read."""

# Word processors turn hyphens into dashes, and a careless selection loses some. The repetitions are bounded, so that
# no text makes the search slow.
_DASHES = "[-\u2010-\u2015\u2212]{2,8}"
_MARKER = re.compile(rf"{_DASHES} ?(?P<edge>BEGIN|END) (?P<label>[A-Z0-9 ]{{1,40}}?) ?{_DASHES}")
_LITERAL_NEWLINE = re.compile(r"\\{1,4}[rn]")
_LOST_BACKSLASHES = re.compile(
    r"(?P<begin>-----BEGIN [A-Z0-9 ]{1,40}-----)(?P<newline>r?n)"
    r"(?P<body>(?:[A-Za-z0-9+/=]{64}(?P=newline))*[A-Za-z0-9+/=]{1,64}?)(?P=newline)(?P<end>-----END )"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}(?:\s+[A-Za-z0-9+/_-]{40,})*(?:\s+[A-Za-z0-9+/_-]{1,76}(?![\w:.]))?={0,2}")
_JAVA_KEYSTORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_BINARY = (b"\x30", b"\xff\xfe", b"\xfe\xff", *_JAVA_KEYSTORES)
"""The first bytes of DER, of UTF-16, and of Java's keystores."""
_PERCENT_ENCODED = re.compile(r"%(?:0[AaDd]|2[BbFf0]|3[Dd])")
# Backslashes, quotes straight and typographic, and characters without width.
NOISE = dict.fromkeys(
    map(ord, "\\\"'`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u200b\u200c\u200d\u2060\ufeff")
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of PEM. *body* is ``None`` where the END line is missing."""

    label: str
    body: str | None = field(repr=False)


def as_text(text: str | bytes) -> str:
    """Return what was given as text in which newlines are newlines."""
    return _LITERAL_NEWLINE.sub("\n", text if isinstance(text, str) else _decode_text(text))


def _decode_text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0B\0E\0G\0I\0N" in data or b"B\0E\0G\0I\0N\0" in data:  # the mark in front was lost
        return data.replace(b"\0", b"").decode("latin-1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if b"BEGIN " in data:
            return data.decode("latin-1")
        return base64.b64encode(data).decode("ascii")  # DER


def unwrapped(text: str, depth: int = 3) -> Iterator[str]:
    """Yield *text*, and then what it may be a wrapping of: percent-encoding, newlines that lost their backslash, and
    base64 in it, such as the values of a Kubernetes Secret or of a variable. *depth*: how often one wrapping may be
    inside another."""
    yield text
    if depth == 0:
        return
    mended = _LOST_BACKSLASHES.sub(_with_newlines, text)
    if mended != text:
        yield mended
    if _PERCENT_ENCODED.search(text):
        decode = unquote_plus if "BEGIN+" in text else unquote
        yield from unwrapped(_LITERAL_NEWLINE.sub("\n", decode(text)), depth - 1)
    if _MARKER.search(text):
        return  # what stands between markers is base64 as well, but wraps nothing
    for match in _BASE64.finditer(text):
        data = decode_base64(match[0].replace("-", "+").replace("_", "/"))
        if data and (data.isascii() or b"BEGIN " in data or data.startswith(_BINARY)):
            yield from unwrapped(as_text(data), depth - 1)


def read_unwrapped(
    given: str | bytes, text: str, read: Callable[[str], _T], refuse: Callable[[str], BitbucketServerError]
) -> _T:
    """Return what *read* makes of *text*, which was *given*, or of a text that it wraps.

    Raises what *refuse* makes of a sentence that names *given*, or else the problem that *read* has with *text* itself.
    """
    problems = []
    for candidate in unwrapped(text):
        try:
            return read(candidate)
        except BitbucketServerError as error:
            problems.append(error)
    instead = named(given, text)
    raise refuse(instead[1]) if instead else problems[0]


def _with_newlines(match: re.Match[str]) -> str:
    body = re.sub(rf"([A-Za-z0-9+/=]{{64}}){match['newline']}", r"\1\n", match["body"])
    return f"{match['begin']}\n{body}\n{match['end']}"


def blocks(text: str) -> Iterator[Block]:
    """Yield each block of PEM in *text*."""
    markers = list(_MARKER.finditer(text))
    for marker, following in zip_longest(markers, markers[1:]):
        if marker["edge"] == "BEGIN":
            is_whole = following is not None and following["edge"] == "END"
            yield Block(marker["label"], text[marker.end() : following.start()] if is_whole else None)


def decode_base64(text: str) -> bytes | None:
    """Return what *text* is the base64 of, with any white space and quotes in it; ``None`` for other text."""
    characters = "".join(text.translate(NOISE).split()).rstrip("=")
    try:
        return base64.b64decode(characters + "=" * (-len(characters) % 4), validate=True)
    except ValueError:
        return None


def state_of_file(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return a value that changes when the file at *path* is changed, or replaced by another one, even one as old.
    Raises ``OSError``, and ``ValueError`` for a name that no file can have."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size


def path_to_show(path: object) -> str:
    """Return *path* for a message. A text that is too long, or has several lines, may be a secret in the place of a
    path: nothing of it is shown."""
    text = str(path)
    # The shortest key is longer.
    is_path = len(text) <= 300 and text.isprintable() and "-----" not in text
    return text if is_path else "What was given as a path"


def is_empty(text: str) -> bool:
    """Return whether there is nothing but white space and quotes."""
    return not text.translate(NOISE).strip()


_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...)\x02\x01\x03\x30", re.DOTALL)
_TO_PEM = "'openssl pkcs12 -in FILE -nodes -out FILE.pem'"
_CONTAINERS = (
    (
        re.compile(r"\s*PuTTY-User-Key-File"),
        "It is in PuTTY's format",
        "'puttygen FILE -O private-openssh -o FILE.pem'",
    ),
    (
        re.compile(r"(?:[^\n]{0,200}!vault[^\n]{0,9}\n)?\s*\$ANSIBLE_VAULT;"),
        "It is an Ansible vault",
        "'ansible-vault decrypt FILE'",
    ),
    (re.compile(r"[^\n]*\bENC\[AES256_GCM,|[\s\S]{0,4000}\bsops:\s*\n"), "SOPS encrypted it", "'sops decrypt FILE'"),
    (re.compile(r"\s*version https://git-lfs"), "It is a pointer of Git LFS, not the file", "'git lfs pull'"),
    (re.compile(r"\s*-----BEGIN AGE ENCRYPTED"), "age encrypted it", "'age --decrypt -i IDENTITY FILE'"),
    (re.compile(r"\s*-----BEGIN PGP MESSAGE"), "It belongs to PGP, which encrypted it", "'gpg --decrypt FILE'"),
    (
        re.compile(r"[\s\S]{0,4000}\bkind:\s*SealedSecret\b"),
        "It is a SealedSecret",
        "'kubectl get secret NAME -o yaml'",
    ),
)
_PLACEHOLDER = re.compile(
    r"""(?:
        \$\{[^}\n]{0,200}\} | \{[\w .-]{1,80}\} | \$\([^)\n]{0,200}\) | \$+[A-Za-z_][A-Za-z0-9_]{0,80}
        | %[A-Za-z_][A-Za-z0-9_]{0,80}%
        | \$?\{\{[\s\S]{0,400}?\}\} | \{%[\s\S]{0,400}?%\} | \#\{[^}\n]{0,200}\}\#?
        | <[^<>\n]{1,200}> | \[[^\]\n]{1,80}\] | __[A-Z_]{1,80}__ | @+[A-Za-z_]{1,80}@+ | %\([^)\n]{1,80}\)s
        # A reference to a store of secrets begins like an address.
        | (?!sha256:)[a-z][a-z0-9+.-]{1,30}:(?://)?[^\s]{1,300} | projects/[^\s/]{1,100}/secrets/[^\s]{1,200}
        | (?:@Microsoft\.KeyVault|ENC)\([^)\n]{0,300}\)
        | !(?:vault|Ref|Sub|ImportValue|GetAtt)\b[^\n]{0,300}
        | (?:change|replace|fill|insert|paste|your)(?:[\s_-]?(?:me|this|in)\b)?[^\n]{0,80}
        | todo | tbd | xxx+ | [.*]{3,} | none | null | undefined | dummy | placeholder | redacted
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_PATH = re.compile(
    r"""(?:file:(?://)?[^\n]{1,300}
    | @?(?:~\w{0,32}|\.{1,2}|\$\w{1,80}|\$\{\w{1,80}\}|%\w{1,80}%)?[/\\](?!/)[^\n]{1,300}
    | [A-Za-z]:[\\/][^\n]{1,300} | id_rsa(?:\.pub)?
    | [\w./\\ -]{1,200}\.(?:pem|key|der|crt|cer|p12|pfx|jks|p7b|p8|pk8|ppk|txt))""",
    re.VERBOSE | re.IGNORECASE,
)


def named(given: str | bytes, text: str) -> tuple[Code, str] | None:
    """Return the problem of *given*, which is *text*, in the place of a private key, and a sentence about what it is or
    wraps instead of something to read; or ``None``."""
    return _named(given, text) or next(filter(None, (_named(inner, inner) for inner in unwrapped(text))), None)


def _named(given: str | bytes, text: str) -> tuple[Code, str] | None:
    data = given if isinstance(given, bytes) else decode_base64(text) or b""
    if data.startswith(_JAVA_KEYSTORES):
        command = "'keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12'"
        return Code.PRIVATE_KEY_IN_CONTAINER, f"It is a Java keystore. Convert it with {command} and then {_TO_PEM}."
    if _PKCS12.match(data):
        return (
            Code.PRIVATE_KEY_IN_CONTAINER,
            f"It is PKCS#12, a file whose name ends with .p12 or .pfx. Convert it with {_TO_PEM}.",
        )
    for pattern, what, command in _CONTAINERS:
        if pattern.match(text):
            return Code.PRIVATE_KEY_IN_CONTAINER, f"{what}. Run {command}."
    # Without what may stand around it: patterns for white space on both sides would be slow with much of it.
    bare = text.strip().strip("\"'").strip()
    # Base64 has slashes, too, but no path is as long as a key.
    if len(bare) < 300 and _PATH.fullmatch(bare):
        return Code.PRIVATE_KEY_IS_PATH, "It is the path of a file, not what the file holds."
    if _PLACEHOLDER.fullmatch(bare):
        return Code.PRIVATE_KEY_NOT_FILLED_IN, "It is a placeholder or a reference that nothing replaced."
    return None

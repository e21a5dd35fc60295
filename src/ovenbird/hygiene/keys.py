"""Private keys by their structure: PEM in all its dresses, PuTTY, DER, PKCS#12, Java, WireGuard.

The words BEGIN PRIVATE KEY alone are no key: programs that read keys hold them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovenbird.hygiene.tokens import Found
from ovenbird.values.secret import SecretKind

_PEM = re.compile(rb"-----? ?BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?) ?-----?")
_PUTTY = re.compile(rb"PuTTY-User-Key-File-\d: (\S+)[\s\S]{0,4000}?Private-Lines: \d")
_WIREGUARD = re.compile(rb"(?m)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*[A-Za-z0-9+/]{43}=")
_ENDS = re.compile(r"(?:\\+[nr]|[\r\n])+")
_LETTERS = re.compile(r"[A-Za-z0-9+/=]{16,}")
_BODY = 4000
_LARGEST = 1 << 16
_PKCS12 = re.compile(rb"\x30[\x80-\x84][\s\S]{0,4}\x02\x01\x03\x30", re.DOTALL)
_JAVA = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")


def keys(data: bytes) -> Iterator[Found]:
    """Yield each private key in a content, encrypted ones too."""
    if b"PRIVATE KEY" in data:
        for found in _PEM.finditer(data):
            if _has_body(data[found.end() : found.end() + _BODY]):
                what = found[1].decode().lower()
                yield SecretKind.PRIVATE_KEY, _line(data, found.start()), f"a PEM block, {what}"
    if b"PuTTY-User-Key-File-" in data:
        for found in _PUTTY.finditer(data):
            yield SecretKind.PRIVATE_KEY, _line(data, found.start()), "a key of PuTTY"
    if b"Key" in data:
        for found in _WIREGUARD.finditer(data):
            yield SecretKind.PRIVATE_KEY, _line(data, found.start()), "a key of WireGuard"
    if _PKCS12.match(data):
        yield SecretKind.KEYSTORE, 0, "a PKCS#12 container"
    elif data.startswith(_JAVA):
        yield SecretKind.KEYSTORE, 0, "a keystore of Java"
    elif _is_der(data):
        yield SecretKind.PRIVATE_KEY, 0, "a DER key"


def _has_body(after: bytes) -> bool:
    """Say whether letters of a key follow: on lines of their own, or in one line with ``\\n``."""
    text = after.decode("latin-1").partition("-----END")[0]
    pieces = (piece.strip(" \t\"'+,>|#*") for piece in _ENDS.split(text))
    return sum(len(piece) for piece in pieces if _LETTERS.fullmatch(piece)) >= 32


def _is_der(data: bytes) -> bool:
    # A key is a SEQUENCE that begins with a version, 0 or 1; a certificate does not.
    if len(data) > _LARGEST or not re.match(
        rb"\x30(?:[\x20-\x7f]|\x81.|\x82..)\x02\x01[\0\1]", data, re.S
    ):
        return False
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        load_der_private_key(data, password=None)
    except (ValueError, UnsupportedAlgorithm):
        return False
    except TypeError:  # it is encrypted
        return True
    return True


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1

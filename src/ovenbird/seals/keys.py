"""Where keys are: SITE/keys/signing.pem (0600), and SITE/keys/trusted/*.pub beside it.

A site signs and checks from the moment when it trusts a key. To change the key put the new public
one beside the old one, sign with the new one, and take the old one away when nothing that it signed
is needed any more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.values.errors import ConfigurationError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

    from ovenbird.seals import Keyring

PRIVATE = "signing.pem"
TRUSTED = "trusted"
NAMED_BY = "OVENBIRD_KEY"

UNFINISHED = ".unfinished"
"""Lies beside the first key of a site until all that is there is signed with it."""


def sign_with(key: str) -> None:
    """Sign with another key for the rest of this command, where one is named."""
    if key:
        os.environ[NAMED_BY] = key


def trusts(site: Path) -> bool:
    """Say whether a site trusts any key, without reading one."""
    return any((site / "keys" / TRUSTED).glob("*.pub"))


def keyring(site: Path, environ: Mapping[str, str] | None = None) -> Keyring | None:
    """Read the keys of a site; None where it trusts none, and so neither signs nor checks.

    Raises `ConfigurationError` for a key that cannot be read, and for a private one that the
    site does not trust: what it signs would be refused.
    """
    environ = os.environ if environ is None else environ
    folder = site / "keys"
    files = sorted((folder / TRUSTED).glob("*.pub"))
    named = environ.get(NAMED_BY, "")
    if not files and named:
        raise ConfigurationError.of(
            f"A key is named to sign with ({named}), and this site trusts none.",
            remedy=f"Nothing was signed. Put its public half into {folder / TRUSTED}: openssl pkey "
            f"-in {named} -pubout -out {folder / TRUSTED}/NAME.pub",
        )
    if not files:
        return None
    from ovenbird.seals import Keyring

    private = Path(named).expanduser() if named else folder / PRIVATE
    signer = _signer(private) if named or private.exists() else None
    trusted = [_public(path) for path in files]
    if signer is not None and signer.public_key.keyid not in {key.keyid for key in trusted}:
        raise ConfigurationError.of(
            f"{private} is a key that this site does not trust.",
            remedy=f"Nothing was signed. Put its public half into {folder / TRUSTED} as NAME.pub.",
        )
    return Keyring(trusted=trusted, signer=signer, folder=folder)


def told(site: Path) -> str:
    """Say in one line whether a site signs, for whoever sets a machine up."""
    trusted = sorted((site / "keys" / TRUSTED).glob("*.pub"))
    if not trusted:
        return "none, so images are neither signed nor checked; invoke image.keygen makes one"
    private = "signs here" if (site / "keys" / PRIVATE).exists() else "no private one here"
    return f"{', '.join(path.stem for path in trusted)} trusted, {private}"


def generate(site: Path, *, name: str) -> tuple[Path, Path]:
    """Make a key pair; return where its halves are. A key that is there is never overwritten; of
    one whose making was cut short the public half is made."""
    folder = site / "keys"
    private, public = folder / PRIVATE, folder / TRUSTED / f"{name}.pub"
    for path in (private, public):
        if path.exists() and trusts(site):
            raise ConfigurationError.of(
                f"There is a key already: {path}.",
                remedy="Nothing was made. Move it away first, and keep it for as long as anything "
                "is needed that it signed; its public half must stay trusted.",
            )
    (folder / TRUSTED).mkdir(mode=0o700, parents=True, exist_ok=True)
    if not private.exists():
        _make(private)
    draft = public.with_suffix(f".{os.getpid()}")
    draft.write_bytes(_public_half(private))
    draft.replace(public)
    return private, public


def _make(private: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = private.with_name(f".{private.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):  # somebody else's, made in the same moment, stays
        os.link(draft, private)
    draft.unlink()


def _public_half(private: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(private.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise _unreadable(private, "private") from error
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _signer(path: Path) -> CryptoSigner:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, "private") from error


def _public(path: Path) -> SSlibKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, "public") from error


def _unreadable(path: Path, kind: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"{path} is no {kind} key in PEM form, without a password.",
        remedy="Name another one, or make a pair: invoke image.keygen",
    )

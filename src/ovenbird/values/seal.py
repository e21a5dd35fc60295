"""Signing as the catalog needs it: put a signature on bytes, and open what was signed."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Sealed(StrEnum):
    """What is signed; a signature over one kind is none over another."""

    VERSION = "application/vnd.ovenbird.version+json"
    CHANNEL = "application/vnd.ovenbird.channel+json"
    STATEMENT = "application/vnd.in-toto+json"


class Seals(Protocol):
    """The keys of a site."""

    def require_signer(self) -> None:
        """Raise `ConfigurationError` where no private key is here."""
        ...

    def close(self, payload: bytes, kind: Sealed) -> str:
        """Sign; return the envelope. Raises `ConfigurationError` where no private key is here."""
        ...

    def open(self, envelope: str | None, kind: Sealed, *, called: str) -> bytes:
        """Return what a trusted key has signed. Raises `Tampered`; ``called`` names it there."""
        ...

"""Who says that an image is what it is: keys, and envelopes signed with them.

Envelopes are DSSE, keys Ed25519, both of the library securesystemslib. What is signed, and when it
is looked at, is the catalog's business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError, VerificationError
from securesystemslib.signer import CryptoSigner, Key

from ovenbird.values.errors import ConfigurationError, Tampered
from ovenbird.values.seal import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys that a site trusts, and the one that signs here, if there is one."""

    trusted: Sequence[Key]
    signer: CryptoSigner | None
    folder: Path

    def require_signer(self) -> None:
        self._signing()

    def close(self, payload: bytes, kind: Sealed) -> str:
        envelope = Envelope(payload, str(kind), {})
        envelope.sign(self._signing())
        return json.dumps(envelope.to_dict())

    def open(self, envelope: str | None, kind: Sealed, *, called: str) -> bytes:
        if not envelope:
            raise Tampered(
                f"{called} is not signed.",
                remedy="Nothing was launched. Somebody took the signature away, or made it "
                "without one. Bake it again, or assign the channel again.",
            )
        try:
            found = Envelope.from_dict(json.loads(envelope))
            found.verify(list(self.trusted), threshold=1)
        except (KeyError, ValueError, TypeError, AttributeError, FormatError) as error:
            raise _bad(called, "what stands there is no signature") from error
        except (VerificationError, UnverifiedSignatureError) as error:
            raise _bad(called, f"by no key in {self.folder / 'trusted'}") from error
        if found.payload_type != kind:
            raise _bad(called, f"as {found.payload_type}, which is something else")
        payload: bytes = found.payload
        return payload

    def _signing(self) -> CryptoSigner:
        if self.signer is None:
            raise ConfigurationError.of(
                "This site's images are signed, and no private key is here to sign with.",
                remedy=f"Nothing was changed. Name one in OVENBIRD_KEY, or put it at "
                f"{self.folder / 'signing.pem'}.",
            )
        return self.signer


def _bad(called: str, why: str) -> Tampered:
    return Tampered(
        f"{called} is not signed as it must be: {why}.",
        remedy="Nothing was launched. Find out who changed it; then bake it again, or trust the "
        "key of who signed it.",
    )

"""Who signed an index: the text that gpgv vouches for, and nothing around it."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ovenbird import process
from ovenbird.values.errors import Inconclusive

KEYRINGS = (
    "/etc/apt/trusted.gpg",
    "/etc/apt/trusted.gpg.d/*.gpg",
    "/etc/apt/trusted.gpg.d/*.asc",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
)
"""What is trusted where a source names no key: what apt trusts, and the distributions' own."""

ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def keyrings_of(signed_by: str) -> list[Path]:
    """List the key files of a source's ``signed-by``, or those that are trusted without one."""
    if signed_by:
        return [Path(each) for each in signed_by.split(",")]
    found = [path for pattern in KEYRINGS for path in sorted(Path("/").glob(pattern[1:]))]
    return [path for path in found if path.is_file()]


def signed_text(signed: bytes, *, keyrings: Sequence[Path], called: str) -> bytes:
    """Return what a clear-signed document says. Raises `Inconclusive` unless a key signed it."""
    remedy = (
        "Nothing was concluded from it. See that the source's signed-by names the archive's own "
        "key, and that nobody stands between."
    )
    if missing := [path for path in keyrings if not path.is_file()]:
        raise Inconclusive(
            f"{called} is signed by a key in {missing[0]}, and it is not there.", remedy=remedy
        )
    with tempfile.TemporaryDirectory(prefix="ovenbird-index-") as folder:
        document, text = Path(folder) / "InRelease", Path(folder) / "Release"
        document.write_bytes(signed)
        rings = [str(_binary(path, Path(folder) / f"{n}.gpg")) for n, path in enumerate(keyrings)]
        argv = ["gpgv", "--homedir", folder, "--status-fd", "1", "--output", str(text)]
        argv += [word for ring in rings for word in ("--keyring", ring)]
        done = process.run([*argv, str(document)], doing="Checking a signature", check=False)
        said = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("[GNUPG:]")]
        # An archive signs with several keys, and a ring need not hold all of them.
        if "VALIDSIG" not in said or "BADSIG" in said or not text.exists():
            why = "by no key that is trusted" if "NO_PUBKEY" in said else "badly"
            raise Inconclusive(
                f"{called} is signed {why}.",
                remedy=remedy,
                evidence="\n".join(done.stderr.splitlines()[-4:]),
            )
        return text.read_bytes()


def _binary(ring: Path, draft: Path) -> Path:
    """Give gpgv a key as it reads it: it takes none in ASCII armor."""
    text = ring.read_bytes()
    if not text.lstrip().startswith(ARMOR.encode()):
        return ring
    body = text.decode("ascii", errors="replace").split(ARMOR, 1)[1].partition("\n\n")[2]
    lines = []
    for line in body.splitlines():
        if line.startswith(("=", "-----")):
            break
        lines.append(line)
    try:
        draft.write_bytes(base64.b64decode("".join(lines), validate=True))
    except binascii.Error:
        return ring
    return draft

"""What is installed in an image: the question that is put to a proof's instance, and the answer.

Debian's manager is asked first, then rpm. Files are told too: those that no package brought, and
configuration that is not as its package brought it. What only a running system has (/proc, /run,
/tmp) is left out, and so is what the two managers themselves write.
"""

from __future__ import annotations

from pathlib import Path

from ovenbird.values.errors import ProofFailed
from ovenbird.values.package import Inventory, Kind, Package

MARK = "=== ovenbird"

QUESTION = Path(__file__).with_name("inventory.sh")
"""A program for a POSIX shell, run as root inside an instance that is thrown away afterwards."""


def inventory_of(answer: str) -> Inventory:
    """Read what `QUESTION` printed. Raises `ProofFailed` where it was cut short, or where no
    package manager answered: an image that nobody can tell apart from another is not proven."""
    sections: dict[str, list[str]] = {}
    name = ""
    for line in answer.splitlines():
        if line.startswith(MARK):
            name = line.removeprefix(MARK).strip()
            sections[name] = []
        elif name:
            sections[name].append(line)
    packages = [p for line in sections.get("packages", ()) if (p := _package(line))]
    if "end" not in sections or not packages:
        raise ProofFailed(
            "The image does not tell which packages are installed in it.",
            remedy="It must hold dpkg-query or rpm, with find, comm and sha256sum; see the lines "
            "above.",
            evidence="\n".join(answer.splitlines()[-10:]),
        )
    files = [(f[66:], f[:64]) for f in sections["files"] if len(f) > 66 and f[64:66] == "  "]
    return Inventory(packages=tuple(sorted(packages)), files=tuple(sorted(files)))


def _package(line: str) -> Package | None:
    kind, state, *words = line.split("|")
    if state != "installed":
        return None
    if kind == Kind.DEB:
        name, version, architecture, source, source_version = words
        return Package(
            name=name,
            version=version,
            architecture=architecture,
            source=source,
            source_version=source_version,
        )
    return _rpm(words)


def _rpm(words: list[str]) -> Package | None:
    """``SOURCERPM`` is NAME-VERSION-RELEASE.src.rpm; keys have none, and are no packages."""
    name, version, architecture, built_from, *_ = words
    source, _, _release = built_from.removesuffix(".src.rpm").rpartition("-")
    source, _, _version = source.rpartition("-")
    if not source:
        return None
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        source=source,
        source_version=version,
        kind=Kind.RPM,
    )

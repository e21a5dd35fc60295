"""The shapes that ``--json`` promises."""

from __future__ import annotations

from ovenbird.values.image import Version


def image_document(version: Version) -> dict[str, object]:
    """One image as ``image.list --json`` shows it."""
    return {
        "ref": str(version),
        "family": version.family,
        "version": version.number,
        "fingerprint": version.fingerprint,
        "state": str(version.state),
        "state_because": version.state_because,
        "channels": list(version.channels),
        "parent": version.parent,
        "packages": version.packages,
        "packages_at": version.packages_at.isoformat(),
        "baked_at": version.baked_at.isoformat(),
        "artifacts": [
            {"provider": a.provider, "id": a.id, "size": a.size, "baked_at": a.baked_at.isoformat()}
            for a in version.artifacts
        ],
        "by": version.provenance.by,
        "because": version.provenance.because,
        "tools": dict(version.provenance.tools),
        "log": version.log,
    }

"""What a site signs of an image: its state, where a channel points, and how it was made.

The last is an in-toto statement with SLSA's provenance (https://slsa.dev/spec/v1.0/provenance).
All of it is built from what the catalog says, so that a row which was changed by another hand no
longer says what was signed. So these texts may not change: a later Ovenbird that wrote another one
would find every image of before tampered with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ovenbird.values.image import Artifact, Version
from ovenbird.values.recipe import Recipe

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = "https://github.com/ovenbird/ovenbird/bake/v1"


def of_version(version: Version, contract: dict[str, Any]) -> bytes:
    """What may be launched, and what it asks of its launch: ``contract`` as it is stored, since
    to the value a later Ovenbird may add what an image of before does not say."""
    return _bytes(
        {
            "image": str(version),
            "state": str(version.state),
            "fingerprint": version.fingerprint,
            "packages": version.packages,
            "parent": version.parent,
            "contract": contract,
        }
    )


def of_channel(name: str, image: str, assigned_at: datetime) -> bytes:
    """Where a channel points, and since when."""
    return _bytes({"channel": name, "image": image, "assigned_at": assigned_at.isoformat()})


def statement(
    version: Version,
    recipe: Recipe,
    artifact: Artifact,
    *,
    site: str,
    parts: Sequence[tuple[str, str]] = (),
) -> bytes:
    """How one artifact was made: of what, by whom, when, with which tools. ``parts`` are its files
    and their SHA-256, for who meets them as files: the artifact's own id is over all of them."""
    whole = f"{version}@{artifact.provider}"
    named = [(whole, bare(artifact.id)), *((f"{whole}/{name}", digest) for name, digest in parts)]
    return _bytes(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in named],
            "predicateType": PROVENANCE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD,
                    "externalParameters": {
                        "image": str(version),
                        "provider": artifact.provider,
                        "because": version.provenance.because,
                    },
                    "internalParameters": {
                        "fingerprint": version.fingerprint,
                        "packages": version.packages,
                        "template": artifact.template,
                        "tools": dict(version.provenance.tools),
                    },
                    "resolvedDependencies": [
                        *({"name": n, "digest": {"sha256": d}} for n, d in recipe.inputs),
                        {"name": "package indexes", "digest": {"sha256": version.packages}},
                        {"name": f"parent {version.parent or 'none'}", "uri": artifact.parent},
                        *({"name": "apt source", "uri": s} for s in version.provenance.sources),
                    ],
                },
                "runDetails": {
                    "builder": {"id": f"{BUILD}/site/{site}"},
                    "metadata": {
                        "invocationId": artifact.token,
                        "startedOn": _time(version.packages_at),
                        "finishedOn": _time(artifact.baked_at),
                    },
                    "byproducts": [
                        {"name": "baked by", "annotations": {"by": version.provenance.by}}
                    ],
                },
            },
        }
    )


def bare(artifact_id: str) -> str:
    """An engine writes one id with and without its algorithm: podman does both."""
    return artifact_id.removeprefix("sha256:")


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(claim: dict[str, object]) -> bytes:
    return json.dumps(claim, sort_keys=True, separators=(",", ":")).encode()

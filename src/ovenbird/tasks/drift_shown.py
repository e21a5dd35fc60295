"""How drift looks on a terminal and in a document."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.console import Console
from ovenbird.fleet.drift import Bucket

if TYPE_CHECKING:
    from ovenbird.care.changes import Sighting
    from ovenbird.care.drift import Finding, Survey
    from ovenbird.fleet.drift import Undeclared
    from ovenbird.values.family import Family

FEW = 10
"""So many paths of one instance are printed; of more, how many more."""


def show_drift(console: Console, found: Survey, family: Family | None) -> None:
    """Print one fleet: its instances, the paths of those that drifted, and what is undeclared."""
    if found.findings:
        rows = [
            [f.token, f.version, f.bucket, "; ".join(filter(None, (f.because, f.aside)))]
            for f in found.findings
        ]
        console.table(["instance", "image", "bucket", "because"], rows)
    for finding in found.findings:
        if finding.drift:
            console.result(f"{finding.token}:")
            for line in _paths(finding):
                console.result(f"  {line}")
    for sentence in advice(found, family):
        console.result(sentence)
    console.result(f"{found.setting.key}: {sentence_of(found)}")
    for way in _ways_out(found):
        console.result(f"  {way}")


def sentence_of(found: Survey) -> str:
    """Tell it in one line: "10 instances: 1 drifted, 9 current"."""
    if not found.findings:
        return "nothing runs"
    told = [f"{count} {bucket}" for bucket in Bucket if (count := found.count(bucket))]
    if aside := sum(bool(finding.aside) for finding in found.findings):
        told.append(f"{aside} out of service")
    count = len(found.findings)
    return f"{count} instance{'s' if count > 1 else ''}: {', '.join(told)}"


def _ways_out(found: Survey) -> list[str]:
    fleet, told = found.setting.fleet, []
    if found.count(Bucket.STALE):
        told.append(f"for the stale: invoke rollout {fleet.name} --env {fleet.env}")
    if found.given_up:
        verb = f"invoke fleet.drift --fleet {fleet.name} --env {fleet.env} --repair"
        told.append(f"to replace what is not as its image: {verb}")
    return told


def _paths(finding: Finding) -> list[str]:
    told = [f"{each.kind:<7}  {each.path}  {since(each)}" for each in finding.drift[:FEW]]
    if (more := len(finding.drift) - FEW) > 0:
        told.append(f"and {more} more")
    return told


def since(each: Sighting) -> str:
    """Say since when it is so: "since 04:31" where the engine knows, else between which looks."""
    if each.at is not None:
        return f"since {_time(each.at)}"
    if each.after is not None:
        return f"between {_time(each.after)} and {_time(each.by)}"
    return f"first seen {_time(each.by)}"


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def advice(found: Survey, family: Family | None) -> list[str]:
    """One sentence an undeclared path, and one that says which line to add where."""
    if not found.undeclared:
        return []
    told = [_undeclared(each, found) for each in found.undeclared]
    told.append(
        f"  If they may: {line_to_add(found, family)}. It holds at once; bake and roll out, and "
        "the image says it too. If they may not, somebody was in all of them: "
        "invoke fleet.quarantine INSTANCE --because …"
    )
    return told


def _undeclared(each: Undeclared, found: Survey) -> str:
    count = len(each.tokens)
    who = f"{count} of {found.asked} instance{'s' if found.asked > 1 else ''}"
    again = ", again after one was replaced because of it" if each.again else ""
    return f"undeclared: {each.path} changed in {who}{again}; it was not repaired"


def line_to_add(found: Survey, family: Family | None) -> str:
    """Say which line to write where so that what is undeclared is allowed."""
    name = found.setting.fleet.image.family
    paths = [*(family.contract.writable if family else ()), *(u.path for u in found.undeclared)]
    line = f"writable: [{', '.join(dict.fromkeys(paths))}]"
    return f"write {line} below launch: of family {name} in {_where(found.setting.project, name)}"


def _where(project: Path, family: str) -> str:
    from ovenbird.config.families import FILE
    from ovenbird.config.yaml import read

    line = read(project, FILE).key_line(("families", family, "launch", "writable"))
    return f"{FILE} line {line}"


def drift_document(found: Survey, family: Family | None) -> dict[str, object]:
    """One fleet as ``fleet.drift --json`` shows it."""
    return {
        "fleet": str(found.setting.key),
        "at": found.at.isoformat(),
        "sentence": sentence_of(found),
        "instances": [_finding_document(finding) for finding in found.findings],
        "undeclared": [
            {"path": u.path, "instances": list(u.tokens), "again": u.again}
            for u in found.undeclared
        ],
        "advice": line_to_add(found, family) if found.undeclared else None,
    }


def _finding_document(finding: Finding) -> dict[str, object]:
    drifted = {each.path for each in finding.drift}
    return {
        "id": finding.token,
        "image": finding.version,
        "bucket": str(finding.bucket),
        "because": finding.because,
        "aside": finding.aside,
        "launched_at": finding.launched_at.isoformat(),
        "changes": [
            {
                "path": each.path,
                "kind": str(each.kind),
                "at": each.at.isoformat() if each.at else None,
                "not_before": each.after.isoformat() if each.after else None,
                "first_seen_at": each.by.isoformat(),
                "undeclared": each.path not in drifted,
            }
            for each in finding.changes
        ],
    }

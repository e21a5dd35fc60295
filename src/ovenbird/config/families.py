"""``packer/images.yml``: every family in it, and what is wrong between its entries and files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ovenbird.config.family_entry import DiskEntry, FamilyEntry, FromEntry
from ovenbird.config.health import health_faults
from ovenbird.config.lineage import lineage_faults, sources_of
from ovenbird.config.roles import reach
from ovenbird.config.schema import parse, section
from ovenbird.config.variables import as_json, variable_faults
from ovenbird.config.wording import allowed
from ovenbird.config.yaml import Document, Loc, read
from ovenbird.values.errors import Fault
from ovenbird.values.family import Definition, DiskImage, Family, ProofSpec
from ovenbird.values.image import NAME, Contract, StopPolicy

FILE = "packer/images.yml"
COUNTED = {0: "none", 2: "two", 3: "three"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The families that can be read, the names of all that are written, and what is wrong."""

    families: dict[str, Family]
    names: tuple[str, ...]
    faults: tuple[Fault, ...]


def survey(project: Path, *, with_files: bool) -> Survey:
    """Read every family that can be read, and collect everything that is wrong.

    A family is left out only where its entry itself cannot be understood. ``with_files`` also
    looks at what the entries name: playbooks, the roles that they reach, test files.
    """
    document, faults = read(project, FILE), list[Fault]()
    entries: dict[str, FamilyEntry] = {}
    written = section(document, "families", faults)
    for name, value in written.items():
        loc = ("families", name)
        if not NAME.fullmatch(name):
            problem = f"{name!r} cannot be the name of a family."
            remedy = "Allowed: a small letter, then up to 30 small letters, digits and -."
            faults.append(document.fault(loc, problem, remedy, key=True))
        entry = parse(
            FamilyEntry, value, document=document, loc=loc, called=f"family {name}", faults=faults
        )
        if entry is not None:
            entries[name] = entry
            faults += _entry_faults(entry, document=document, name=name)
            if with_files:
                faults += _file_faults(entry, project, document=document, name=name)
        elif with_files:
            faults += _playbook_faults(value, project)
    origins = {name: (entry.parent, entry.origin is not None) for name, entry in entries.items()}
    faults += lineage_faults(origins, known=written.keys(), document=document)
    own = {name: (entry.parent, entry.sources) for name, entry in entries.items()}
    families = {
        name: _family(name, entry, document=document, sources=sources_of(name, own))
        for name, entry in entries.items()
    }
    return Survey(families=families, names=tuple(written), faults=tuple(dict.fromkeys(faults)))


def _family(
    name: str, entry: FamilyEntry, *, document: Document, sources: tuple[str, ...]
) -> Family:
    return Family(
        name=name,
        playbook=entry.playbook,
        parent=entry.parent,
        definition=_definition(entry.origin) if entry.origin else None,
        sources=sources,
        variables=as_json(entry.variables),
        contract=_contract(entry),
        proof=_proof(entry),
        max_size=_bytes(entry.max_size),
        retention=entry.retention.value() if entry.retention else None,
        file=document.file,
        line=document.key_line(("families", name)),
    )


def _contract(entry: FamilyEntry) -> Contract:
    launch = entry.launch
    return Contract(
        port=launch.port,
        config=tuple(launch.needs.config),
        secrets=tuple(launch.needs.secrets),
        stop=StopPolicy(signal=launch.stop.signal, timeout=math.ceil(launch.stop.timeout)),
        writable=tuple(launch.writable),
        jobs=tuple(sorted((name, tuple(argv)) for name, argv in launch.jobs.items())),
    )


def _proof(entry: FamilyEntry) -> ProofSpec:
    prove = entry.prove
    return ProofSpec(
        config=tuple(sorted(prove.config.items())),
        secrets=tuple(sorted(prove.secrets.items())),
        smoke=prove.smoke.value() if prove.smoke else None,
        tests=tuple(prove.tests),
    )


def _definition(origin: FromEntry) -> Definition:
    if made := origin.mmdebstrap:
        return Definition(suite=made.suite, variant=made.variant, include=tuple(made.include))
    if disk := origin.qcow2:
        image = DiskImage(origin=disk.path or disk.url or "", sha256=disk.sha256)
        return Definition(disk=image)
    return Definition(oci=origin.oci or "")


def _bytes(size: str | None) -> int:
    """Read ``512m`` or ``2g``: mebibytes, gibibytes."""
    return int(size[:-1]) << {"m": 20, "g": 30}[size[-1]] if size else 0


def _entry_faults(entry: FamilyEntry, *, document: Document, name: str) -> Iterator[Fault]:
    """What a well-typed entry still gets wrong by itself."""
    loc, called = ("families", name), f"family {name}"
    if entry.origin is not None:
        yield from _origin_faults(entry, entry.origin, document=document, loc=loc, called=called)
    here = (*loc, "variables")
    yield from variable_faults(entry.variables, document=document, loc=here, called=called)
    yield from _proof_faults(entry, document=document, loc=loc, called=called)


def _file_faults(
    entry: FamilyEntry, project: Path, *, document: Document, name: str
) -> Iterator[Fault]:
    """What an entry gets wrong against the files beside it, and what is wrong in those."""
    loc, called = ("families", name), f"family {name}"
    if (project / entry.playbook).is_file():
        yield from reach(project, entry.playbook)[1]
    else:
        problem = f"{called}: there is no playbook {entry.playbook}."
        remedy = _files(project, "playbooks/*.y*ml", "Playbooks here")
        yield document.fault((*loc, "playbook"), problem, remedy)
    for number, test in enumerate(entry.prove.tests):
        if not (project / test).is_file():
            problem = f"{called}: there is no test file {test}."
            remedy = _files(project, "tests/images/test_*.py", "Test files here")
            yield document.fault((*loc, "prove", "tests", number), problem, remedy)


def _playbook_faults(value: object, project: Path) -> tuple[Fault, ...]:
    """What is wrong in the playbook of an entry that is broken elsewhere, if it names one."""
    playbook = value.get("playbook") if isinstance(value, dict) else None
    if isinstance(playbook, str) and (project / playbook).is_file():
        return reach(project, playbook)[1]
    return ()


def _files(project: Path, pattern: str, what: str) -> str:
    found = [str(path.relative_to(project)) for path in project.glob(pattern)]
    return allowed(found, what=what)


def _origin_faults(
    entry: FamilyEntry, origin: FromEntry, *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    named = [value for value in (origin.mmdebstrap, origin.oci, origin.qcow2) if value is not None]
    if len(named) != 1:
        yield document.fault(
            (*loc, "from"),
            f"{called}: from names one origin, and here are {COUNTED[len(named)]}.",
            "Keep one of mmdebstrap: {suite: …}, oci: REFERENCE and qcow2: {url: …, sha256: …}.",
            key=True,
        )
    if (disk := origin.qcow2) is not None and (disk.path is None) == (disk.url is None):
        yield _disk_fault(disk, document=document, loc=(*loc, "from", "qcow2"), called=called)
    if origin.mmdebstrap is not None and not entry.sources:
        yield document.fault(
            (*loc, "sources"),
            f"{called} has no sources, and mmdebstrap has nothing to install from.",
            'List them: sources: ["deb http://deb.debian.org/debian bookworm main"]',
            key=True,
        )


def _disk_fault(disk: DiskEntry, *, document: Document, loc: Loc, called: str) -> Fault:
    many = "both a path and a url" if disk.path else "neither a path nor a url"
    problem = f"{called}: qcow2 is in one place, and here is {many}."
    return document.fault(loc, problem, "Keep path: FILE or url: https://….", key=True)


def _proof_faults(
    entry: FamilyEntry, *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """A proof gives what the launch needs, and its smoke check has something to look at."""
    prove, needs = entry.prove, entry.launch.needs
    for kind, wanted, given in (
        ("config", needs.config, prove.config),
        ("secrets", needs.secrets, prove.secrets),
    ):
        for number, item in enumerate(wanted):
            if item not in given:
                yield document.fault(
                    (*loc, "launch", "needs", kind, number),
                    f"{called} needs {item}, and prove has no test value for it.",
                    f"Add prove: {{{kind}: {{{item}: TEXT}}}}; it opens nothing.",
                )
    if prove.smoke is not None:
        smoke = (*loc, "prove", "smoke")
        port = entry.launch.port
        yield from health_faults(
            prove.smoke, document=document, loc=smoke, called=called, port=port
        )

"""What `invoke doctor` says of a machine, on machines that are made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ovenbird.bake import guard
from ovenbird.doctor import GIB, Fact, State, examine, exit_code
from ovenbird.values.errors import CommandFailed, Fault

SHIM = '#!/bin/sh\nexec /usr/bin/podman "$@"\n'
VERSIONS = {
    "packer": "Packer v1.6.6",
    "haproxy": "HAProxy version 2.6.12-1+deb12u4 2026/01/09 - https://haproxy.org/",
    "mmdebstrap": "mmdebstrap 1.3.5",
}


@dataclass
class AMachine:
    """A machine where all is well, but for what a test says."""

    versions: dict[str, str] = field(default_factory=lambda: dict(VERSIONS))
    broken: str = ""
    docker: str | None = SHIM
    free_bytes: int = 50 * GIB
    read_only: bool = False

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.versions else None

    def says(self, argv: Sequence[str]) -> str:
        program = Path(argv[0]).name
        if program == self.broken:
            raise CommandFailed(doing="Asking", command=argv[0], code=127, output="no libc")
        return self.versions[program]

    def text(self, path: Path) -> str | None:
        return self.docker

    def writable(self, folder: Path) -> bool:
        return not self.read_only

    def free(self, folder: Path) -> int:
        return self.free_bytes


@pytest.fixture(autouse=True)
def _sound_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "faults_of", lambda project: [])


def facts_of(machine: AMachine, folder: Path) -> dict[str, Fact]:
    facts = examine(folder / "state" / "ovenbird", folder, machine=machine, podman=False)
    return {fact.name: fact for fact in facts}


def test_a_machine_with_all_that_is_needed_lacks_nothing(tmp_path: Path) -> None:
    facts = facts_of(AMachine(), tmp_path)
    assert exit_code(facts.values()) == 0
    assert facts["packer"].detail == "1.6.6, its plug-ins built in"
    assert facts["haproxy"].detail == "2.6.12"


@pytest.mark.parametrize("program", sorted(VERSIONS))
def test_a_program_that_is_not_there_is_missing_and_says_how_to_get_it(
    program: str, tmp_path: Path
) -> None:
    machine = AMachine()
    del machine.versions[program]
    facts = facts_of(machine, tmp_path)
    assert exit_code(facts.values()) == 2
    assert facts[program].state is State.MISSING
    assert f"apt-get install {program}" in facts[program].remedy


def test_a_program_that_does_not_start_is_missing(tmp_path: Path) -> None:
    fact = facts_of(AMachine(broken="packer"), tmp_path)["packer"]
    assert (fact.state, fact.remedy) == (
        State.MISSING,
        "Run it by hand to see more: /usr/bin/packer",
    )


@pytest.mark.parametrize(
    ("program", "said", "needed"),
    [
        ("packer", "Packer v1.5.4", "1.6 or later"),
        ("haproxy", "HAProxy version 2.4.24-0ubuntu0.22.04.1", "2.6 or later"),
    ],
)
def test_a_program_that_is_too_old_is_missing_and_says_from_when(
    program: str, said: str, needed: str, tmp_path: Path
) -> None:
    fact = facts_of(AMachine(versions={**VERSIONS, program: said}), tmp_path)[program]
    assert fact.state is State.MISSING
    assert needed in fact.detail


def test_a_newer_packer_is_told_to_fetch_its_plugins(tmp_path: Path) -> None:
    fact = facts_of(AMachine(versions={**VERSIONS, "packer": "Packer v1.11.2"}), tmp_path)["packer"]
    assert (fact.state, "packer init" in fact.detail) == (State.OK, True)


def test_the_docker_shim_is_missed_only_by_plain_packer(tmp_path: Path) -> None:
    assert facts_of(AMachine(docker=None), tmp_path)["docker shim"].state is State.WARN


def test_a_real_docker_in_the_place_of_the_shim_is_passed_over(tmp_path: Path) -> None:
    fact = facts_of(AMachine(docker="\x7fELF podman"), tmp_path)["docker shim"]
    assert (fact.state, "real docker" in fact.detail) == (State.OK, True)


def test_a_state_folder_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    fact = facts_of(AMachine(read_only=True), tmp_path)["state folder"]
    assert (fact.state, "OVENBIRD_STATE" in fact.remedy) == (State.MISSING, True)


def test_a_state_folder_that_is_not_there_yet_is_fine_and_is_not_made(tmp_path: Path) -> None:
    fact = facts_of(AMachine(), tmp_path)["state folder"]
    assert (fact.state, "made when" in fact.detail) == (State.OK, True)
    assert not (tmp_path / "state").exists()


def test_a_state_folder_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovenbird.state import site

    monkeypatch.setattr(site, "file_system", lambda folder: "nfs4")
    fact = facts_of(AMachine(), tmp_path)["state folder"]
    assert (fact.state, "nfs4" in fact.detail) == (State.MISSING, True)


def test_little_disk_is_a_warning_with_its_number(tmp_path: Path) -> None:
    fact = facts_of(AMachine(free_bytes=3 * GIB), tmp_path)["disk"]
    assert (fact.state, fact.detail.startswith("3.0 GiB")) == (State.WARN, True)


def test_an_open_door_for_ansible_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(file="playbooks/x.py", line=0, problem="differs", remedy="invoke dev.guard")
    monkeypatch.setattr(guard, "faults_of", lambda project: [fault, fault])
    fact = facts_of(AMachine(), tmp_path)["guard"]
    assert (fact.state, fact.remedy) == (State.MISSING, "invoke dev.guard")
    assert fact.detail == "playbooks/x.py: differs (and 1 more)"


def test_podman_facts_are_taken_over_with_warnings_as_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovenbird.provider import podman_engine
    from ovenbird.provider.podman_engine import EngineFact

    told = [
        EngineFact("podman", True, "4.3.1"),
        EngineFact("inotify instances", True, "128", "sysctl"),
        EngineFact("container runtime", False, "none", "apt install runc"),
    ]
    monkeypatch.setattr(podman_engine, "facts", lambda: told)
    facts = {f.name: f.state for f in examine(tmp_path, tmp_path, machine=AMachine())}
    assert facts["podman"] is State.OK
    assert facts["inotify instances"] is State.WARN
    assert facts["container runtime"] is State.MISSING


def test_a_fact_is_one_line_with_its_remedy_behind_it() -> None:
    fact = Fact(name="packer", state=State.MISSING, detail="is not installed", remedy="Install it")
    assert str(fact) == "✗ packer            is not installed  → Install it"

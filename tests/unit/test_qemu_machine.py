"""What the folder of a virtual machine tells, with no machine in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ovenbird.provider.qemu_bridge import address_of
from ovenbird.provider.qemu_launch import mac_of
from ovenbird.provider.qemu_machine import Machine, Written, held, machines, this_boot
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import EngineState

TOKEN = "dev-web-k3"


def _written(*, boot: str = "", job: str = "", port: int | None = 8001) -> Written:
    return Written(
        id="4711",
        token=TOKEN,
        site="s1",
        env="dev",
        fleet="web",
        version="web/2",
        launch="0123",
        slot=0,
        job=job,
        artifact="sha256:00",
        launched_at=datetime(2026, 11, 23, tzinfo=UTC),
        boot=boot or this_boot(),
        memory=128,
        port=port,
        inside=80,
    )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, TOKEN)


def _state(machine: Machine) -> EngineState:
    written = machine.written()
    assert written is not None
    return machine.state(written)


def test_what_was_only_intended_was_not_started(machine: Machine) -> None:
    machine.write(_written())

    assert _state(machine) is EngineState.CREATED
    assert [each.token for each in machines(machine.folder.parent.parent)] == [TOKEN]


def test_only_its_owner_enters_its_folder(machine: Machine) -> None:
    machine.write(_written())

    assert machine.folder.stat().st_mode & 0o777 == 0o700


def test_one_that_started_and_has_no_process_has_ended(machine: Machine) -> None:
    machine.write(_written())
    machine.mark_as_started()

    assert _state(machine) is EngineState.EXITED


@pytest.mark.parametrize("left", ["console", "pid"])
def test_one_whose_driver_was_killed_before_it_said_so_has_run_all_the_same(
    machine: Machine, left: str
) -> None:
    machine.write(_written(job="once"))
    (machine.folder / left).write_text("999999999\n")

    assert _state(machine) is EngineState.EXITED, "a job is never run twice"


def test_a_process_of_the_same_number_is_not_its_process(machine: Machine) -> None:
    machine.write(_written())
    machine.pidfile.write_text("1\n")

    assert machine.pid() is None


def test_after_a_reboot_of_the_host_it_is_lost(machine: Machine) -> None:
    machine.write(_written(boot="another"))
    machine.mark_as_started()

    assert _state(machine) is EngineState.LOST


def test_a_job_that_ended_before_the_reboot_has_ended(machine: Machine) -> None:
    machine.write(_written(boot="another", job="once", port=None))
    machine.mark_as_started()
    machine.console.write_text("ovenbird-job: ended with 9\r\nmore\novenbird-job: ended with 3\r\n")

    seen = machine.seen()

    assert seen is not None
    assert (seen.state, seen.exit_code, seen.address) == (EngineState.EXITED, 3, None)


def test_an_instance_has_no_exit_code_whatever_it_prints(machine: Machine) -> None:
    machine.write(_written())
    machine.console.write_text("ovenbird-job: ended with 9\n")

    seen = machine.seen()

    assert seen is not None
    assert (seen.state, seen.exit_code) == (EngineState.EXITED, None)


def test_what_is_removed_is_gone_at_once_and_for_ever(machine: Machine) -> None:
    machine.write(_written())
    left = machine.folder.with_name(f".{TOKEN}.of-one-that-was-killed")
    left.mkdir()

    machine.remove()
    machine.remove()

    assert machine.written() is None
    assert list(machine.folder.parent.iterdir()) == []


def test_two_drivers_never_hold_one_token(machine: Machine, tmp_path: Path) -> None:
    lock = tmp_path / "locks" / f"{TOKEN}.lock"
    with (
        machine.held(),
        pytest.raises(Blocked, match="somebody else's hands") as refused,
        held(lock, patience=0),
    ):
        pass

    assert refused.value.exit_code == 3


def test_no_lock_is_left_of_a_token_without_a_machine(machine: Machine, tmp_path: Path) -> None:
    with machine.held():
        pass

    assert list((tmp_path / "locks").iterdir()) == []


def test_on_a_bridge_it_is_where_the_kernel_has_heard_of_its_card(
    machine: Machine, tmp_path: Path
) -> None:
    machine.write(_written(port=None))
    heard = tmp_path / "arp"
    head = "IP address HW type Flags HW address Mask Device\n"
    heard.write_text(head)
    before = address_of(machine, neighbours=heard)
    heard.write_text(f"{head}10.9.0.7 0x1 0x2 {mac_of(TOKEN)} * br0\n")
    found = address_of(machine, neighbours=heard)
    heard.write_text(head)

    assert (before, found) == (None, "10.9.0.7:80")
    assert address_of(machine, neighbours=heard) == "10.9.0.7:80", "the kernel forgets, we do not"


def test_the_lock_of_a_dead_driver_is_free(tmp_path: Path) -> None:
    (tmp_path / "left.lock").touch()

    with held(tmp_path / "left.lock", patience=0) as file:
        assert file > 2

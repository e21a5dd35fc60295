"""What `invoke doctor` says of virtual machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ovenbird.doctor import State, ThisMachine, _qemu
from ovenbird.provider import qemu_accelerator
from ovenbird.provider.qemu_accelerator import Answer


@dataclass
class AHost(ThisMachine):
    """A host with or without QEMU, whose KVM may be opened or not."""

    installed: bool = True
    opens: bool = True

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if self.installed else None

    def writable(self, folder: Path) -> bool:
        return self.opens


def _told(folder: Path, *, works: bool, because: str, host: str | None = None) -> None:
    file = qemu_accelerator.answer_file(folder)
    file.parent.mkdir()
    here = qemu_accelerator._host() if host is None else host
    file.write_text(Answer(host=here, works=works, because=because).model_dump_json())


def test_without_qemu_nothing_is_missing(tmp_path: Path) -> None:
    fact = _qemu(tmp_path, AHost(installed=False))

    assert (fact.state, fact.remedy) == (State.OK, "")
    assert "only bakes and fleets on qemu" in fact.detail


def test_without_a_device_guests_are_emulated_and_the_remedy_is_told(tmp_path: Path) -> None:
    fact = _qemu(tmp_path, AHost(opens=False))

    assert fact.state is State.WARN
    assert "/dev/kvm cannot be opened" in fact.detail
    assert "kvm" in fact.remedy


def test_before_the_first_guest_nobody_knows(tmp_path: Path) -> None:
    assert "is tried with the first one" in _qemu(tmp_path, AHost()).detail


@pytest.mark.parametrize(
    ("works", "state", "said"),
    [(True, State.OK, "KVM has booted"), (False, State.WARN, "failed to set MSR 0x10a")],
)
def test_what_a_trial_has_shown_is_told_with_its_reason(
    tmp_path: Path, works: bool, state: State, said: str
) -> None:
    _told(tmp_path, works=works, because="failed to set MSR 0x10a")

    fact = _qemu(tmp_path, AHost())

    assert fact.state is state
    assert said in fact.detail


def test_a_trial_on_another_host_says_nothing_of_this_one(tmp_path: Path) -> None:
    _told(tmp_path, works=True, because="a guest has booted.", host="elsewhere 6.1 1-2")

    assert "is tried with the first one" in _qemu(tmp_path, AHost()).detail


def test_an_answer_that_cannot_be_read_is_none() -> None:
    assert qemu_accelerator.read("{") is None
    assert qemu_accelerator.read(None) is None

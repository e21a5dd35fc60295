"""What QEMU means when it says no."""

from __future__ import annotations

import pytest

from ovenbird.provider.qemu_errors import port_taken, translated
from ovenbird.values.errors import Blocked, CommandFailed, NoCapacity, OvenbirdError


def _failed(said: str) -> CommandFailed:
    return CommandFailed(
        doing="Starting dev-web-1", command="qemu-system-x86_64 …", code=1, output=said
    )


@pytest.mark.parametrize(
    ("said", "kind", "code", "told"),
    [
        (
            "qemu-system-x86_64: -netdev user,id=net,hostfwd=…: Could not set up host forwarding "
            "rule 'tcp:127.0.0.1:8080-:80'",
            NoCapacity,
            3,
            "no port is free",
        ),
        ("qemu-img: o.qcow2: No space left on device", NoCapacity, 3, "the disk is full"),
        (
            "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
            NoCapacity,
            3,
            "no memory",
        ),
        (
            "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69",
            Blocked,
            3,
            "KVM does not work",
        ),
        (
            "qemu-system-x86_64: -netdev bridge,id=net,br=br7: bridge helper failed",
            Blocked,
            3,
            "may not use that bridge",
        ),
        (
            'qemu-system-x86_64: -blockdev …: Failed to get "write" lock',
            Blocked,
            3,
            "another process has its disk open",
        ),
        (
            "qemu-system-x86_64: -blockdev …: Image is not in qcow2 format",
            OvenbirdError,
            1,
            "the image of web/2: it is damaged",
        ),
        ("qemu: linux kernel too old to load a ram disk", OvenbirdError, 1, "it is damaged"),
    ],
)
def test_what_qemu_says_becomes_a_sentence_with_a_remedy(
    said: str, kind: type[OvenbirdError], code: int, told: str
) -> None:
    error = translated(_failed(said), what="web/2")

    assert type(error) is kind
    assert error.exit_code == code
    assert told in error.problem
    assert error.remedy
    assert error.evidence == said


def test_what_nobody_knows_is_told_as_it_is() -> None:
    failure = _failed("something new")

    assert translated(failure, what="web/2") is failure


def test_a_taken_port_is_known_so_that_another_one_is_tried() -> None:
    assert port_taken("Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'")
    assert not port_taken("No space left on device")

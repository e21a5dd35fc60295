"""What QEMU is told of one machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.builders import an_order

from ovenbird.provider import qemu_launch
from ovenbird.provider.qemu_launch import Extra, mac_of
from ovenbird.provider.qemu_machine import Machine, Written
from ovenbird.provider.qemu_store import Boot, Golden
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import NoCapacity
from ovenbird.values.fleet import LaunchData, Order, Resources

ROOT = Path("/srv/a,b/qemu")
GOLDEN = Golden(folder=Path("/srv/i"), boot=Boot(kernel="vmlinuz", append="root=LABEL=root"))


def _ordered(*, memory: str | None = None, cpus: float | None = None) -> Order:
    resources = Resources(memory=memory, cpus=cpus)
    launch = LaunchData(secrets=(("token", b"hush"),), resources=resources)
    return replace(an_order(), launch=launch)


def _written(order: Order, **more: int | None) -> Written:
    said: dict[str, object] = {"port": 8001, "inside": 80, **more}
    return Written.model_validate(
        {
            "id": "4711",
            "token": order.token,
            "site": "s1",
            "env": "dev",
            "fleet": "web",
            "version": "web/2",
            "launch": "0123",
            "slot": 0,
            "artifact": "sha256:00",
            "launched_at": datetime(2026, 11, 23, tzinfo=UTC),
            "boot": "b",
            "memory": 512,
            "volumes": {"ovenbird.s1.dev.web.0.data": "/srv/data"},
            **said,
        }
    )


def _said(
    order: Order, *, settings: QemuSettings | None = None, extra: Extra | None = None
) -> list[str]:
    machine, written = Machine(ROOT, order.token), _written(order)
    settings, extra = settings or QemuSettings(), extra or Extra()
    return [
        *qemu_launch._machine(machine, order, written, settings, "tcg"),
        *qemu_launch._disks(ROOT, machine, written),
        *qemu_launch._network(written, settings, extra),
        *qemu_launch._boot(GOLDEN, extra, name=order.token),
    ]


def _after(argv: list[str], flag: str) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == flag]


def test_no_launch_data_is_among_the_arguments() -> None:
    argv = _said(_ordered())

    assert "hush" not in " ".join(argv)
    (device,) = _after(argv, "-fw_cfg")
    assert device.startswith("name=opt/ovenbird/seed,file=/srv/a,,b/qemu/instances/")


def test_a_crash_ends_a_machine_and_a_panic_is_a_crash() -> None:
    argv = _said(_ordered())

    assert "-no-reboot" in argv
    assert "root=LABEL=root panic=-1" in _after(argv, "-append")[0]


def test_the_port_of_the_contract_is_forwarded_from_loopback() -> None:
    (way,) = _after(_said(_ordered()), "-netdev")

    assert way == "user,id=net,hostfwd=tcp:127.0.0.1:8001-:80"


def test_on_a_bridge_nothing_is_forwarded_and_the_card_is_always_the_same() -> None:
    order = _ordered()
    argv = _said(order, settings=QemuSettings(bridge="br0"))

    assert _after(argv, "-netdev") == ["bridge,id=net,br=br0"]
    assert any(f"mac={mac_of(order.token)}" in word for word in argv)
    assert int(mac_of(order.token)[:2], 16) & 3 == 2, "locally administered, for one host"


def test_disks_are_found_inside_by_their_serial_numbers() -> None:
    devices = [word for word in _after(_said(_ordered()), "-device") if "blk" in word]

    assert [device.split(",")[2] for device in devices] == ["serial=disk", "serial=volume-0"]


def test_a_proof_adds_a_way_in_that_fleets_have_not() -> None:
    extra = Extra(argv=("-fw_cfg", "name=x"), append="more", forwards=((2222, 22),))
    argv = _said(_ordered(), extra=extra)

    assert "hostfwd=tcp:127.0.0.1:2222-:22" in _after(argv, "-netdev")[0]
    assert _after(argv, "-append")[0].endswith(" more")
    assert _after(argv, "-fw_cfg")[-1] == "name=x"
    assert "2222" not in " ".join(_said(_ordered()))


@pytest.mark.parametrize(
    ("said", "mib"), [(None, 512), ("256m", 256), ("2g", 2048), ("524288k", 512)]
)
def test_memory_is_the_fleets_or_that_of_the_settings(said: str | None, mib: int) -> None:
    assert qemu_launch._memory_of(_ordered(memory=said), QemuSettings()) == mib


@pytest.mark.parametrize(("cpus", "told"), [(None, "2"), (0.5, "1"), (2.5, "3")])
def test_a_part_of_a_processor_is_a_whole_one(cpus: float | None, told: str) -> None:
    argv = _said(_ordered(cpus=cpus), settings=QemuSettings(cpus=2))

    assert _after(argv, "-smp") == [told]


def test_without_room_on_the_disk_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_launch, "ROOM", 1 << 40)

    with pytest.raises(NoCapacity, match="the disk is full") as refused:
        qemu_launch._require_room(tmp_path, 1, what="Starting it")

    assert refused.value.exit_code == 3
    assert str(tmp_path) in refused.value.remedy

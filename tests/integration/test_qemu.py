"""QEMU where it goes wrong: killed drivers, what this host has not, guests that never come up."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import an_order
from tests.project import until
from tests.qemu import require_qemu, tiny

from ovenbird.provider import qemu_accelerator, qemu_launch, qemu_store
from ovenbird.provider.qemu import QemuProvider
from ovenbird.provider.qemu_machine import Machine
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import Blocked, NoCapacity, OvenbirdError
from ovenbird.values.fleet import LaunchData, Order, VolumeSpec
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import EngineState

SITE = "s1"
SMALL = QemuSettings(accelerator="tcg", memory="128m")
NOW = StopPolicy(timeout=0)
SHARED = ("deciding", "accelerator")
KEPT = ("instances", "volumes")
DATA = (VolumeSpec(name="data", path="/srv/data"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder below which no socket's path would be short enough."""
    require_qemu()
    return tmp_path_factory.mktemp("a-site-whose-folder-has-a-very-long-name" * 2)


@pytest.fixture(scope="module")
def image(folder: Path) -> Artifact:
    return tiny(folder)


@pytest.fixture
def qemu(folder: Path) -> QemuProvider:
    return QemuProvider(folder=folder, site=SITE, settings=SMALL)


@pytest.fixture
def order(qemu: QemuProvider, image: Artifact) -> Iterator[Order]:
    made = an_order()
    fleet = replace(made.fleet, site=SITE)
    launch = LaunchData(secrets=(("token", b"hush"),))
    yield replace(made, artifact=image, fleet=fleet, launch=launch)
    qemu.terminate(made.token, stop=NOW)


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a script in front of one of QEMU's programs."""

    def put(program: str, script: str) -> None:
        file = tmp_path / program
        file.write_text(f'#!/bin/sh\n{script}\nexec /usr/bin/{program} "$@"\n')
        file.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return put


def _machine(folder: Path, order: Order) -> Machine:
    return Machine(folder / "qemu", order.token)


def _left(folder: Path) -> list[str]:
    """Name what there is of instances, volumes and processes of a site."""
    found = [str(path) for path in folder.glob("qemu/*/*") if path.parent.name in KEPT]
    found += [str(path) for path in folder.glob("qemu/locks/*") if path.stem not in SHARED]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ends while we look
            line = path.read_bytes()
            if b"qemu" in line[:20] and os.fsencode(folder) in line:
                found.append(line.decode())
    return found


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from ovenbird import process
from ovenbird.provider import qemu_launch
from ovenbird.provider.qemu_machine import Machine
from tests.integration.test_qemu import SITE, SMALL

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

run, at = process.run, sys.argv[1]
def until_it_comes(argv, **said):
    if at == "its disk is made" and argv[0] == "qemu-img":
        die()
    done = run(argv, **said)
    if at == "its process runs" and argv[0].startswith("qemu-system"):
        die()
    if at == "its disk was made" and argv[0] == "qemu-img":
        die()
    return done
process.run = until_it_comes
if at == "it is intended":
    qemu_launch.start = die
if at == "it is known":
    Machine.mark_as_started = die
from ovenbird.provider.qemu import QemuProvider
QemuProvider(folder=Path(sys.argv[2]), site=SITE, settings=SMALL).launch(
    pickle.load(sys.stdin.buffer)
)
"""


@pytest.mark.parametrize(
    "at",
    [
        *("it is intended", "its disk is made", "its disk was made", "its process runs"),
        "it is known",
    ],
)
def test_what_a_killed_driver_left_is_adopted(
    qemu: QemuProvider, folder: Path, order: Order, at: str
) -> None:
    argv = [sys.executable, "-c", KILLED, at, str(folder)]
    died = subprocess.run(argv, input=pickle.dumps(order), check=False)
    before = _machine(folder, order).pid()

    seen = qemu.launch(order)

    assert died.returncode == -9
    assert seen.state is EngineState.RUNNING
    assert [each.id for each in qemu.instances(order.fleet)] == [seen.id]
    assert before in (None, _machine(folder, order).pid())
    qemu.terminate(order.token, stop=NOW)
    assert _left(folder) == []


def test_a_machine_gets_its_launch_data_and_disks_and_powers_off_when_asked(
    qemu: QemuProvider, folder: Path, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = replace(order, volumes=DATA)
    qemu.launch(order)
    until(lambda: "ready" in qemu.console(order.token, lines=5), seconds=60)
    said = qemu.console(order.token, lines=50)
    monkeypatch.setattr(Machine, "kill", lambda self: pytest.fail("it was ended by force"))

    began = time.monotonic()
    qemu.terminate(order.token, stop=StopPolicy(timeout=30))
    took = time.monotonic() - began

    print(f"powered off in {took:.1f} s")
    assert "400 /run/ovenbird/secrets/token" in said
    assert "disk volume-0" in said
    (volume,) = qemu.volumes(order.fleet)
    qemu.delete_volume(volume.name)
    assert _left(folder) == []


def test_an_image_is_kept_for_as_long_as_a_machine_stands_on_it(
    qemu: QemuProvider, folder: Path, order: Order, tmp_path: Path
) -> None:
    other = tiny(folder, append="console=ttyS0 quiet another")
    order = replace(order, artifact=other)
    qemu.launch(order)

    with pytest.raises(Blocked, match="still runs on the image") as refused:
        qemu.delete(other)
    qemu.terminate(order.token, stop=NOW)
    qemu.delete(other)
    qemu.delete(other)

    assert refused.value.exit_code == 3
    assert not qemu.present(other)
    with pytest.raises(OvenbirdError, match="does not hold the image") as gone:
        qemu.launch(order)
    assert gone.value.exit_code == 1
    assert _left(folder) == []


def test_golden_files_cannot_be_written(folder: Path, image: Artifact) -> None:
    golden = qemu_store.golden(folder, image.id, what="it")

    assert {file.stat().st_mode & 0o222 for file in golden.folder.iterdir()} == {0}


def test_a_port_that_somebody_takes_meanwhile_is_given_up_for_another(
    qemu: QemuProvider, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], taken.getsockname()[1]])
        free = qemu_launch._free_port
        monkeypatch.setattr(qemu_launch, "_free_port", lambda root: next(ports, 0) or free(root))
        seen = qemu.launch(order)

        assert seen.state is EngineState.RUNNING
        assert seen.address != f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_kvm_that_boots_nothing_is_refused_where_it_is_asked_for(
    folder: Path, order: Order, shim: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_accelerator, "DEVICE", Path("/dev/null"))
    shim("qemu-system-x86_64", "case $* in *kvm*) echo it has no MSR >&2; exit 1;; esac")
    settings = replace(SMALL, accelerator="kvm")

    with pytest.raises(Blocked, match="KVM boots no guest on this host: it has no MSR") as refused:
        QemuProvider(folder=folder, site=SITE, settings=settings).launch(order)

    assert refused.value.exit_code == 3
    assert "accelerator: auto or tcg" in refused.value.remedy
    assert _left(folder) == []


def test_by_default_kvm_is_tried_once_and_a_guest_runs_all_the_same(
    folder: Path,
    order: Order,
    shim: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(qemu_accelerator, "DEVICE", Path("/dev/null"))
    tried = tmp_path / "tried"
    shim("qemu-system-x86_64", f"case $* in *kvm*) echo once >> {tried}; exit 1;; esac")
    qemu = QemuProvider(folder=folder, site=SITE, settings=replace(SMALL, accelerator="auto"))

    first = qemu.launch(order)
    qemu.terminate(order.token, stop=NOW)
    again = qemu.launch(order)

    assert first.state is again.state is EngineState.RUNNING
    assert tried.read_text().split() == ["once"]


def test_a_disk_that_is_full_half_way_leaves_nothing(
    qemu: QemuProvider, folder: Path, order: Order, shim: Callable[[str, str], None]
) -> None:
    full = "echo 'qemu-img: overlay: No space left on device' >&2; exit 1"
    shim("qemu-img", f"case $* in *overlay*) {full};; esac")

    with pytest.raises(NoCapacity, match="the disk is full") as refused:
        qemu.launch(replace(order, volumes=DATA))

    assert refused.value.exit_code == 3
    assert "Free some space" in refused.value.remedy
    assert _left(folder) == []


def test_memory_that_this_host_has_not_is_not_promised(folder: Path, order: Order) -> None:
    qemu = QemuProvider(folder=folder, site=SITE, settings=replace(SMALL, memory="9999g"))

    with pytest.raises(NoCapacity, match=r"needs 10238976 MiB of memory") as refused:
        qemu.launch(order)

    assert refused.value.exit_code == 3
    assert "resources.memory" in refused.value.remedy
    assert _left(folder) == []


def test_a_kernel_that_is_none_leaves_nothing(
    qemu: QemuProvider, folder: Path, order: Order, image: Artifact
) -> None:
    made = folder / "damaged"
    made.mkdir()
    (made / "vmlinuz").write_bytes(b"no kernel" * 1000)
    golden = qemu_store.golden(folder, image.id, what="it")
    (made / "disk.qcow2").write_bytes(golden.disk.read_bytes())
    damaged = qemu_store.keep(folder, made, boot=qemu_store.Boot(kernel="vmlinuz"))

    with pytest.raises(OvenbirdError, match="it is damaged") as refused:
        qemu.launch(replace(order, artifact=replace(image, id=damaged)))

    assert refused.value.exit_code == 1
    assert "Bake it again" in refused.value.remedy
    assert _left(folder) == []


def test_a_guest_that_never_boots_ends_and_its_console_says_why(
    qemu: QemuProvider, folder: Path, order: Order
) -> None:
    broken = tiny(folder, append="console=ttyS0 rdinit=/nowhere")
    order = replace(order, artifact=broken)
    qemu.launch(order)

    until(lambda: qemu.launch(order).state is EngineState.EXITED, seconds=60)

    assert "Kernel panic" in qemu.console(order.token, lines=50)
    qemu.terminate(order.token, stop=StopPolicy(timeout=30))
    assert _left(folder) == []

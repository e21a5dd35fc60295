"""Whether KVM boots a guest here: found out by trying once, and remembered.

That /dev/kvm can be opened says little: inside another virtual machine it may be there, start, and
never get through a kernel. So an image's own kernel is booted, with no disk, until it has said who
it is. The answer holds for one host, one kernel and one QEMU.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ovenbird import process
from ovenbird.provider import qemu_machine
from ovenbird.provider.qemu_errors import no_kvm
from ovenbird.provider.qemu_store import Golden
from ovenbird.values.engine import QemuSettings

QEMU = "qemu-system-x86_64"
DEVICE = Path("/dev/kvm")
TRIAL = 15
"""Seconds in which a kernel under KVM has said its version. It takes less than one."""

_BOOTED = re.compile(r"Linux version |systemd\[1\]:|login:")


class Answer(BaseModel, frozen=True):
    """What a trial has shown. ``host`` says for what it holds."""

    host: str
    works: bool
    because: str


def chosen(settings: QemuSettings, folder: Path, golden: Golden) -> str:
    """Name the accelerator for an instance of an image: ``kvm`` or ``tcg``.

    ``folder`` is the site's. Raises `Blocked` where the settings say kvm and it does not work.
    """
    if settings.accelerator == "tcg":
        return "tcg"
    answer = _answer(folder, golden)
    if settings.accelerator == "kvm" and not answer.works:
        raise no_kvm(answer.because)
    return "kvm" if answer.works else "tcg"


def flags(accelerator: str) -> list[str]:
    """What QEMU is told for one. Under KVM the guest has this host's own processor."""
    if accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


def read(text: str | None) -> Answer | None:
    """Read what a trial has shown; None where it was on another host, or there was none yet."""
    try:
        answer = Answer.model_validate_json(text or "")
    except ValidationError:
        return None  # then it is tried again
    return answer if answer.host == _host() else None


def answer_file(folder: Path) -> Path:
    """Say where the answer of this host is remembered; ``folder`` is the site's."""
    return folder / "cache" / "qemu-accelerator.json"


def told(folder: Path, text: str | None, *, opens: bool) -> tuple[str, str]:
    """Tell an operator which accelerator guests get here, and what could be done for a better one.

    ``text`` is what `answer_file` holds, ``opens`` whether the device may be opened.
    """
    slow = "guests are emulated (tcg), about ten times slower"
    if not opens:
        remedy = "Turn virtualisation on in the firmware, or add the user to the group kvm"
        return f"{slow}: {DEVICE} cannot be opened by this user", remedy
    known = read(text)
    if known is None:
        return "whether KVM boots a guest here is tried with the first one", ""
    if known.works:
        return "KVM has booted a guest here", ""
    remedy = f"Once KVM works here, have it tried again: rm {answer_file(folder)}"
    return f"{slow}. KVM was tried: {known.because}", remedy


def obstacle() -> str:
    """Say why a trial would be in vain, or ""."""
    if not DEVICE.exists():
        return f"{DEVICE} is not there."
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} may not be opened by this user."
    return ""


def _answer(folder: Path, golden: Golden) -> Answer:
    if because := obstacle():
        return Answer(host=_host(), works=False, because=because)
    with qemu_machine.held(folder / "qemu" / "locks" / "accelerator.lock"):
        file = answer_file(folder)
        if known := read(file.read_text() if file.exists() else None):
            return known
        answer = _tried(golden)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(answer.model_dump_json())
        new.replace(file)
    return answer


def _tried(golden: Golden) -> Answer:
    doing = "Trying KVM"
    argv = ("timeout", str(TRIAL), QEMU, *_trial(golden))
    done = process.run(argv, doing=doing, timeout=TRIAL + 10, check=False)
    if _BOOTED.search(done.stdout):
        return Answer(host=_host(), works=True, because="a guest has booted.")
    because = f"a guest has not come up in {TRIAL} s."
    if done.code != 124:  # which is how timeout(1) says that it had to end it
        because = (done.stderr.strip().splitlines() or [f"QEMU ended with {done.code}."])[-1]
    return Answer(host=_host(), works=False, because=because)


def _trial(golden: Golden) -> Sequence[str]:
    common = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256"]
    common += [*flags("kvm"), "-serial", "stdio"]
    if golden.boot.kernel:
        kernel = str(golden.folder / golden.boot.kernel)
        return [*common, "-kernel", kernel, "-append", "console=ttyS0 panic=-1"]
    return [*common, "-drive", f"if=virtio,format=qcow2,snapshot=on,file={comma(golden.disk)}"]


def comma(path: Path) -> str:
    """Write a path as a value among QEMU's options, which a comma would end."""
    return str(path).replace(",", ",,")


def _host() -> str:
    path = os.environ.get("PATH", os.defpath)
    program = shutil.which(QEMU, path=f"{path}:/usr/local/bin")
    facts = Path(program).stat() if program else None
    version = f"{facts.st_size}-{int(facts.st_mtime)}" if facts else "none"
    return f"{socket.gethostname()} {platform.release()} {version}"

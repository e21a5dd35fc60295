"""What was done to a layer in podman's store is found, also what podman itself does not see."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.builders import an_artifact
from tests.engine import PrivateEngine

from ovenbird.provider.podman import PodmanProvider
from ovenbird.values.errors import Tampered
from ovenbird.values.image import Artifact

CAPABLE = bytes.fromhex("0100000200200000000000000000000000000000")
"""What ``setcap cap_sys_admin=ep`` writes."""


def relinked(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Artifact, Path]]:
    """An image of two layers with all that a layer may hold: podman's folder, it, and the lower."""
    folder = tmp_path_factory.mktemp("layers")
    tree = folder / "tree"
    for name in ("bin", "etc/old", "var"):
        (tree / name).mkdir(parents=True)
    (tree / "bin/sh").write_bytes(os.urandom(3000))
    (tree / "bin/sh").chmod(0o755)
    os.link(tree / "bin/sh", tree / "bin/bash")
    (tree / "etc/passwd").write_text("root:x:0:0\n")
    (tree / "etc/motd").symlink_to("passwd")
    (tree / "etc/grüße").write_text("with a name that is not ASCII")
    (tree / "etc/old/conf").write_text("to be deleted")
    os.chown(tree / "etc/old/conf", 101, 102)
    with tarfile.open(folder / "lower.tar", "w") as tar:
        tar.add(tree, arcname=".")
        null = tarfile.TarInfo("null")
        null.type, null.devmajor, null.devminor, null.mode = tarfile.CHRTYPE, 1, 3, 0o666
        tar.addfile(null)
        ping = tarfile.TarInfo("bin/ping")
        ping.pax_headers = {
            "SCHILY.xattr.security.capability": CAPABLE.decode("utf-8", "surrogateescape")
        }
        tar.addfile(ping)
    engine = PrivateEngine(folder / "e")
    with engine.used():
        engine.podman("import", "--quiet", str(folder / "lower.tar"), "localhost/lower")
        container = engine.podman("create", "localhost/lower", "true").strip()
        mounted = Path(engine.podman("mount", container).strip())
        shutil.rmtree(mounted / "etc/old")
        (mounted / "etc/old").mkdir()  # opaque: nothing of the lower one shines through
        (mounted / "etc/old/new").write_text("instead")
        (mounted / "etc/motd").unlink()
        engine.podman("umount", container)
        image = engine.podman("commit", "--quiet", container, "localhost/upper").strip()
        engine.podman("rm", container)
        (shell,) = (engine.folder / "root/overlay").glob("*/diff/bin/sh")
        artifact = an_artifact(f"sha256:{image}", provider="podman")
        yield folder, artifact, shell.parent.parent


def verify(kept: tuple[Path, Artifact, Path]) -> None:
    PodmanProvider(folder=kept[0], site="seals").verify(kept[1])


def upper_of(lower: Path) -> Path:
    (new,) = lower.parent.parent.glob("*/diff/etc/old/new")
    return new.parent.parent.parent


def short_name_of(layer: Path) -> Path:
    """By this containers find a layer."""
    return layer.parent.parent / "l" / (layer.parent / "link").read_text()


def lead_astray(layer: Path) -> Path:
    """Put a copy of a layer behind its short name."""
    copy, short = layer.parent / "copy", short_name_of(layer)
    subprocess.run(["cp", "--archive", str(layer), str(copy)], check=True)
    short.unlink()
    short.symlink_to(f"../{layer.parent.name}/copy")
    return copy


def lead_back(layer: Path) -> None:
    shutil.rmtree(layer.parent / "copy")
    short_name_of(layer).unlink()
    short_name_of(layer).symlink_to(f"../{layer.parent.name}/diff")


def moved(path: Path) -> Path:
    return path.with_name(f"{path.name}.moved")


DEEDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], str]] = {
    "a file more": (
        lambda at: (at / "etc/cron.evil").write_text("* * * * * root evil"),
        lambda at: (at / "etc/cron.evil").unlink(),
        "/etc/cron.evil was added",
    ),
    "a folder more": (
        lambda at: (at / "var/more").mkdir(),
        lambda at: (at / "var/more").rmdir(),
        "/var/more was added",
    ),
    "setuid": (
        lambda at: (at / "bin/sh").chmod(0o4755),
        lambda at: (at / "bin/sh").chmod(0o755),
        "/bin/(sh|bash) has another mode",
    ),
    "an owner": (
        lambda at: os.chown(at / "etc/passwd", 1000, 0),
        lambda at: os.chown(at / "etc/passwd", 0, 0),
        "/etc/passwd has another owner",
    ),
    "a capability": (
        lambda at: os.setxattr(at / "bin/sh", "security.capability", CAPABLE),
        lambda at: os.removexattr(at / "bin/sh", "security.capability"),
        "/bin/(sh|bash) has other attributes",
    ),
    "a capability less": (
        lambda at: os.removexattr(at / "bin/ping", "security.capability"),
        lambda at: os.setxattr(at / "bin/ping", "security.capability", CAPABLE),
        "/bin/ping has other attributes",
    ),
    "a link": (
        lambda at: relinked(at / "etc/motd", "/evil"),
        lambda at: relinked(at / "etc/motd", "passwd"),
        "/etc/motd leads somewhere else",
    ),
    "a folder's mode": (
        lambda at: (at / "etc").chmod(0o777),
        lambda at: (at / "etc").chmod(0o755),
        "/etc has another mode",
    ),
    "the mode of the whole": (
        lambda at: upper_of(at).chmod(0o777),
        lambda at: upper_of(at).chmod(0o555),
        "may be written by others",
    ),
    "a file less": (
        lambda at: (at / "etc/passwd").rename(moved(at.parent / "passwd")),
        lambda at: moved(at.parent / "passwd").rename(at / "etc/passwd"),
        "no such file",
    ),
    "something hidden": (
        lambda at: os.mknod(upper_of(at) / "bin", 0o020000, 0),
        lambda at: (upper_of(at) / "bin").unlink(),
        "/bin was added",
    ),
    "something no longer hidden": (
        lambda at: (upper_of(at) / "etc/motd").unlink(),
        lambda at: os.mknod(upper_of(at) / "etc/motd", 0o020000, 0),
        "/etc/.wh.motd is gone",
    ),
    "another lower layer behind its short name": (
        lambda at: (lead_astray(at) / "etc/passwd").write_text("root::0:0\n"),
        lead_back,
        "/etc/passwd has another content",
    ),
    "another upper layer behind its short name": (
        lambda at: lead_astray(upper_of(at)),
        lambda at: lead_back(upper_of(at)),
        "leads somewhere else",
    ),
}


@pytest.mark.parametrize("name", DEEDS)
def test_what_was_done_to_a_layer_is_found(kept: tuple[Path, Artifact, Path], name: str) -> None:
    verify(kept)
    do, undo, said = DEEDS[name]
    do(kept[2])
    try:
        with pytest.raises(Tampered, match=said):
            verify(kept)
    finally:
        undo(kept[2])
    verify(kept)
    assert not list((kept[0] / "cache").iterdir()), "nothing is left of what was read"

"""What a bake is lent and its image never keeps: mirror, proxy, secrets, apt options.

It lies in one folder that is mounted read-only at /run/ovenbird-bake. /run is a tmpfs in the
build instance, so that not even the mount point stays behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovenbird.packages.sources import Source
from ovenbird.values.family import BakeEnvironment

MOUNTED = "/run/ovenbird-bake"


def lend_to(
    folder: Path,
    *,
    sources: Sequence[Source],
    options: Sequence[str],
    environment: BakeEnvironment,
    secrets: Sequence[tuple[str, bytes]],
) -> None:
    """Fill the folder that the build instance is given."""
    folder.mkdir(mode=0o700)
    (folder / "secrets").mkdir(mode=0o700)
    apt = [
        *options,
        'DPkg::Lock::Timeout "120";',
        'DPkg::Options { "--force-unsafe-io"; };',  # a crash throws the whole instance away
        'Acquire::Languages "none";',
    ]
    if sources:
        (folder / "sources.list").write_text("".join(f"{source}\n" for source in sources))
        apt += [f'Dir::Etc::sourcelist "{MOUNTED}/sources.list";', 'Dir::Etc::sourceparts "-";']
    (folder / "apt.conf").write_text("\n".join([*apt, ""]))
    inside = {
        "APT_CONFIG": f"{MOUNTED}/apt.conf",
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }
    if environment.proxy:
        inside |= {"http_proxy": environment.proxy, "https_proxy": environment.proxy}
    (folder / "environment").write_text("".join(f"{k}={v}\n" for k, v in inside.items()))
    for name, value in secrets:
        path = folder / "secrets" / name
        path.touch(mode=0o400)
        path.write_bytes(value)

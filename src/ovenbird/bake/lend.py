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
        lines = [_with_its_key(source, folder / "keys", n) for n, source in enumerate(sources)]
        (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        if (folder / "keys").exists():  # apt's own user does not get into this folder
            apt += ['APT::Sandbox::User "root";']
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


def _with_its_key(source: Source, keys: Path, number: int) -> str:
    """Lend the key that a source is signed by too: its file is this machine's, and apt inside
    would look for it in the image."""
    words = source.options.strip("[]").split()
    named = next((word for word in words if word.startswith("signed-by=/")), "")
    key = Path(named.removeprefix("signed-by="))
    if not named or not key.is_file():
        return str(source)
    keys.mkdir(mode=0o755, exist_ok=True)
    lent = f"{number}{key.suffix}"
    (keys / lent).write_bytes(key.read_bytes())
    (keys / lent).chmod(0o644)
    return str(source).replace(named, f"signed-by={MOUNTED}/keys/{lent}", 1)

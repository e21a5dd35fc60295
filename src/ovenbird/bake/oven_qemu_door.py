"""The one way into a build machine or a proof: an sshd of our own, with keys for this bake alone.

It is opened from outside. QEMU hands a script to the guest as a device, and the kernel is told to
start that before systemd; all that it writes is in /run, which is memory. So no key can stay in an
image, and an image whose sshd is off is entered all the same. What it needs is an sshd to start.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ovenbird import process
from ovenbird.bake.lend import MOUNTED
from ovenbird.provider.qemu import QemuProvider
from ovenbird.provider.qemu_accelerator import comma
from ovenbird.provider.qemu_launch import Extra, a_free_port
from ovenbird.values.engine import QemuSettings
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import EngineState, Seen

PORT = 22022
"""In the guest. Not 22: an image may have an sshd of its own."""

DEVICE = "opt/ovenbird/door"
HOST = "build"
"""The name of the build machine in the ssh configuration of its bake."""

# Words after -- are for the init that the kernel starts. It must go on to the real one whatever
# happens: a guest without the device just stays shut.
APPEND = (
    "init=/bin/sh -- -c "
    f'"modprobe -q qemu_fw_cfg; . /sys/firmware/qemu_fw_cfg/by_name/{DEVICE}/raw; exec /sbin/init"'
)

SCRIPT = f"""\
umask 077
mkdir -p /run/sshd /run/ovenbird-door /run/systemd/system/multi-user.target.wants
chmod 0755 /run/sshd /run/systemd /run/systemd/system /run/systemd/system/multi-user.target.wants
cat > /run/ovenbird-door/host <<'END-OF-FILE'
{{host_key}}
END-OF-FILE
echo {{authorized}} > /run/ovenbird-door/keys
cat > /run/ovenbird-door/config <<'END-OF-FILE'
Port {PORT}
HostKey /run/ovenbird-door/host
AuthorizedKeysFile /run/ovenbird-door/keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
UsePAM yes
UseDNS no
PrintMotd no
PrintLastLog no
PidFile none
END-OF-FILE
cat > /run/systemd/system/ovenbird-door.service <<'END-OF-FILE'
[Unit]
Description=The way in for whoever bakes or proves this image
[Service]
ExecStart=/usr/sbin/sshd -D -f /run/ovenbird-door/config
KillMode=process
END-OF-FILE
chmod 0644 /run/systemd/system/ovenbird-door.service
ln -sf ../ovenbird-door.service /run/systemd/system/multi-user.target.wants/
umask 022
"""

INSIDE = f"""\
[ ! -e {MOUNTED}/environment ] || while IFS= read -r line; do export "$line"; done \
< {MOUNTED}/environment
exec "$@"
"""
"""What runs first in the build machine: it lends the command the environment of the bake."""

# ssh joins its words with spaces and gives them to a shell, so each is quoted here.
WRAPPER = """\
#!/bin/bash
said=
for word in /bin/sh -c {inside} sh "$@"; do said+=" '${{word//\\'/\\'\\\\\\'\\'}}'"; done
cd {folder} && exec ssh -F ssh_config.into {host} "exec$said"
"""

CONFIG = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  HostKeyAlias {host}
  LogLevel ERROR
  ServerAliveInterval 15
  ServerAliveCountMax 8
"""
MULTIPLEXED = """\
  ControlMaster auto
  ControlPath {socket}
  ControlPersist 60
"""
"""One login for all commands: without KVM each login costs seconds."""

LONGEST = 107 - 17
"""Characters of a socket's path, less those that ssh adds while it makes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The keys of one bake, in a folder of its own."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def wrapper(self) -> Path:
        """A program: its words are one command in the build machine, each to arrive as it is."""
        return self.folder / "into"

    @property
    def port(self) -> int:
        """The host's port that leads to the build machine."""
        return int((self.folder / "port").read_text())

    @property
    def device(self) -> str:
        """What QEMU hands to a guest whose kernel is told `APPEND`: an option of ``-fw_cfg``."""
        return f"name={DEVICE},file={comma(self.folder / 'door')}"

    @property
    def config(self) -> Path:
        """What ``ssh -F`` needs to reach the build machine."""
        return self.folder / "ssh_config"

    def config_of(self, token: str) -> Path:
        """What ``ssh -F`` needs to reach an instance of a proof."""
        return self.folder / f"ssh_config.{token}"

    def lead_to(self, token: str) -> int:
        """Choose the host's port that leads to an instance of a proof, and write it down."""
        port = a_free_port()
        text = CONFIG.format(name=token, port=port, folder=self.folder, host=HOST)
        socket = self.folder / f"{port}"
        if len(str(socket)) <= LONGEST:
            text += MULTIPLEXED.format(socket=socket)
        self.config_of(token).write_text(text)
        return port


class Prover(QemuProvider):
    """Starts instances for a proof: what is proven is the image as fleets get it, and whoever
    proves gets in besides. They have ports on loopback, whatever network fleets have.

    One counts as running when it lets us in: its process says nothing of how far it has booted.
    """

    def __init__(self, way: Way, *, folder: Path, site: str, settings: QemuSettings) -> None:
        super().__init__(folder=folder, site=site, settings=replace(settings, bridge=""))
        self._way, self._open = way, set[str]()

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        return [self._told(seen) for seen in super().instances(fleet)]

    def _extra_of(self, order: Order) -> Extra:
        forwards = ((self._way.lead_to(order.token), PORT),)
        argv = ("-fw_cfg", self._way.device)
        return Extra(argv=argv, append=APPEND, forwards=forwards)

    def _told(self, seen: Seen) -> Seen:
        if seen.state is not EngineState.RUNNING or self._lets_in(seen.token):
            return seen
        return replace(seen, state=EngineState.CREATED)

    def _lets_in(self, token: str) -> bool:
        words = ["ssh", "-F", str(self._way.config_of(token)), "-o", "ConnectTimeout=3", token]
        if token not in self._open and not knocked([*words, "true"]):
            return False
        self._open.add(token)
        return True


def knocked(into: Sequence[str]) -> bool:
    """Say whether a command that does nothing can be run in a guest."""
    return process.run(into, doing="Knocking", check=False).code == 0


def way_of(bake: Path) -> Way:
    """Return the way into the machines of a bake; its keys are made once."""
    way = Way(folder=bake / "door")
    if way.wrapper.exists():
        return way
    way.folder.mkdir(mode=0o700)
    for name in ("key", "host"):
        path = str(way.folder / name)
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ovenbird", "-f", path]
        process.run(words, doing="Making a key for this bake")
    public = {name: (way.folder / f"{name}.pub").read_text().strip() for name in ("key", "host")}
    (way.folder / "known_hosts").write_text(f"{HOST} {public['host']}\n")
    secret = (way.folder / "host").read_text().strip()
    door = way.folder / "door"
    door.touch(mode=0o600)
    door.write_text(SCRIPT.format(host_key=secret, authorized=shlex.quote(public["key"])))
    (way.folder / "port").write_text(str(a_free_port()))
    config = CONFIG.format(name=HOST, port=way.port, folder=way.folder, host=HOST)
    way.config.write_text(config)
    # From its own folder, so that the path of the socket is short whatever the site's is.
    (way.folder / "ssh_config.into").write_text(config + MULTIPLEXED.format(socket="./into.socket"))
    inside, folder = shlex.quote(INSIDE), shlex.quote(str(way.folder))
    way.wrapper.write_text(WRAPPER.format(inside=inside, folder=folder, host=HOST))
    way.wrapper.chmod(0o700)
    return way

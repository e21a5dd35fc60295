"""Launch data: what differs between environments, resolved for one rollout, and its hash.

The hash decides whether an instance is current, so it must change with every value and tell
nothing about a secret: each secret enters it as a digest keyed with the site's own key. No
function here ever puts a value into an error, a log or a label.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ovenbird import process
from ovenbird.values.errors import CommandFailed, ConfigurationError, EngineUnreachable, Fault
from ovenbird.values.fleet import LaunchData, LaunchSpec, Resources, SecretRef, VolumeSpec
from ovenbird.values.image import Contract
from ovenbird.values.launch import OWN_KEY

SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""A secret's name is a file name inside the instance, and part of a name at the engine."""

LARGEST_SECRET = 500_000
"""Bytes. podman refuses secrets of 512,000 bytes and more, and empty ones."""

COMMAND_TIMEOUT = 60.0
"""Seconds for one ``command:``. It asks a store for a value and changes nothing."""


def resolve(
    spec: LaunchSpec,
    *,
    contract: Contract,
    site_key: bytes,
    project: Path,
    volumes: Sequence[VolumeSpec] = (),
    fleet: str = "",
    file: str = "",
    line: int = 0,
) -> LaunchData:
    """Turn a fleet's launch spec into the data of one rollout. An instance is stale too where
    the fleet's ``volumes`` are others than those that it was launched with.

    ``file:`` paths are relative to ``project``. ``fleet``, ``file`` and ``line`` only say where a
    fault is. Raises `ConfigurationError` with every fault at once: a key that the image needs and
    nobody gives, a secret's file that is missing, a command that fails.
    """
    told = _Faults(fleet or "the fleet", file, line)
    told.of_needs(spec, contract)
    secrets: list[tuple[str, bytes]] = []
    for ref in sorted(spec.secrets, key=lambda s: s.name):
        value = _secret(ref, project, told)
        if value is not None:
            secrets.append((ref.name, value))
    if told.faults:
        raise ConfigurationError(told.faults)
    config = json.dumps(dict(spec.config), sort_keys=True, ensure_ascii=False)
    return LaunchData(
        config=config,
        secrets=tuple(secrets),
        resources=spec.resources,
        hash=launch_hash(config, secrets, spec.resources, site_key=site_key, volumes=volumes),
    )


def launch_hash(
    config: str,
    secrets: Sequence[tuple[str, bytes]],
    resources: Resources,
    *,
    site_key: bytes,
    volumes: Sequence[VolumeSpec] = (),
) -> str:
    """Return 16 hex digits that change with every value and give no secret away.

    Without the site's key nobody can test a guessed secret against the label of an instance.
    """
    digests = {
        name: hmac.new(site_key, name.encode() + b"\0" + value, hashlib.sha256).hexdigest()
        for name, value in secrets
    }
    everything: dict[str, object] = {
        "config": json.loads(config),
        "secrets": digests,
        "resources": {"memory": resources.memory, "cpus": resources.cpus},
    }
    if volumes:  # no key of its own without them: the hashes of all others stay what they are
        everything["volumes"] = {spec.name: spec.path for spec in volumes}
    text = json.dumps(everything, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Faults:
    """Collects what is wrong with one fleet's launch data, and where it stands."""

    def __init__(self, fleet: str, file: str, line: int) -> None:
        self.fleet, self._file, self._line = fleet, file, line
        self.faults: list[Fault] = []

    def add(self, problem: str, *, remedy: str) -> None:
        self.faults.append(Fault(file=self._file, line=self._line, problem=problem, remedy=remedy))

    def of_needs(self, spec: LaunchSpec, contract: Contract) -> None:
        """Compare what the image asks for with what the fleet gives."""
        given = {"config": {k for k, _ in spec.config}, "secrets": {s.name for s in spec.secrets}}
        needed = {"config": contract.config, "secrets": contract.secrets}
        for kind, names in needed.items():
            for name in names:
                if name not in given[kind]:
                    self.add(
                        f"{self.fleet} gives no launch.{kind}.{name}, and its image needs it.",
                        remedy=f"Add {name} below launch: {kind}: of {self.fleet}.",
                    )
        if OWN_KEY in given["config"]:
            self.add(
                f"launch.config.{OWN_KEY} of {self.fleet} is Ovenbird's own key.",
                remedy="Choose another name for it.",
            )


def _secret(ref: SecretRef, project: Path, told: _Faults) -> bytes | None:
    """Return a secret's value without its last newline, or tell a fault and return None."""
    if not SECRET_NAME.fullmatch(ref.name):
        told.add(
            f"{ref.name!r} cannot be the name of a secret.",
            remedy="Use letters, digits, dots, dashes and underscores, at most 100.",
        )
        return None
    kind, _, rest = ref.reference.partition(":")
    if kind == "file" and rest.strip():
        value = _from_file(ref, (project / Path(rest).expanduser()), told)
    elif kind == "command" and rest.strip():
        value = _from_command(ref, rest, project, told)
    else:
        # What stands there may be the secret itself, so it is not repeated.
        told.add(
            f"The secret {ref.name} of {told.fleet} is not a reference.",
            remedy="Write file:PATH or command:PROGRAM ARGUMENTS.",
        )
        return None
    return value if value is None else _fitting(ref, value.removesuffix(b"\n"), told)


def _fitting(ref: SecretRef, value: bytes, told: _Faults) -> bytes | None:
    if 0 < len(value) <= LARGEST_SECRET:
        return value
    told.add(
        f"The secret {ref.name} of {told.fleet} is {'empty' if not value else 'too large'}.",
        remedy=f"Give it 1 to {LARGEST_SECRET} bytes.",
    )
    return None


def _from_file(ref: SecretRef, path: Path, told: _Faults) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        told.add(
            f"The secret {ref.name} of {told.fleet} cannot be read from {path}: {error.strerror}.",
            remedy=f"Put the secret there, readable for you only: install -m 600 /dev/null {path}",
        )
        return None


def _from_command(ref: SecretRef, argv: str, project: Path, told: _Faults) -> bytes | None:
    """Ask a program. What it wrote is kept out of the fault: it may hold half a secret."""
    try:
        words = shlex.split(argv)
        done = process.run(
            words,
            doing=f"Asking {words[0]} for the secret {ref.name}",
            timeout=COMMAND_TIMEOUT,
            cwd=project,
        )
    except CommandFailed as error:
        how = f"it ended with exit code {error.code}"
    except ConfigurationError:
        how = "it is not installed"
    except EngineUnreachable:
        how = f"it has not answered for {COMMAND_TIMEOUT:g} s"
    except ValueError:
        how = "its quotes are not balanced"
    else:
        if "\N{REPLACEMENT CHARACTER}" not in done.stdout:
            return done.stdout.encode()
        how = "what it wrote is not text in UTF-8"
    told.add(
        f"The command for the secret {ref.name} of {told.fleet} gave no secret: {how}.",
        remedy=f"Run it by hand: {argv.strip()}",
    )
    return None

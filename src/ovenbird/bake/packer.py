"""Drive Packer: write its folder, validate, build, and read the manifest, never the log."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ovenbird import process
from ovenbird.bake import provision
from ovenbird.bake.template import IMAGE, Rendered
from ovenbird.values.errors import BakeFailed, ConfigurationError

PLUGINS_SINCE = (1, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kitchen:
    """The folder of one bake and what Packer is told about it."""

    folder: Path
    token: str
    environment: Mapping[str, str]
    of_source: Mapping[str, str] = field(default_factory=dict)  # variables of the engine's source
    secrets: tuple[str, ...] = field(default=(), repr=False)  # never in a log

    @property
    def build(self) -> Path:
        return self.folder / "packer"

    @property
    def lent(self) -> Path:
        return self.folder / "lent"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def variables(self) -> list[str]:
        """What is volatile comes as variables, so that the rendered text can be compared."""
        said = {
            "token": self.token,
            "lent": str(self.lent),
            "provision": shlex.join([sys.executable, "-P", provision.__file__]),
            "manifest": str(self.manifest),
            **self.of_source,
        }
        return [word for name, value in said.items() for word in ("-var", f"{name}={value}")]


def lay_out(
    kitchen: Kitchen, rendered: Rendered, *, plugins: str, version: tuple[int, ...]
) -> None:
    """Write what was rendered into the folder that Packer is given."""
    kitchen.build.mkdir()
    (kitchen.build / IMAGE).write_text(rendered.text)
    if version >= PLUGINS_SINCE:
        (kitchen.build / "plugins.pkr.hcl").write_text(plugins)
        process.run(
            ["packer", "init", str(kitchen.build)],
            doing="Installing Packer's plug-ins",
            env=kitchen.environment,
        )


def validate(kitchen: Kitchen, rendered: Rendered) -> None:
    """Let Packer say whether it is valid; raise `ConfigurationError` where it is not."""
    said = process.run(
        ["packer", "validate", *kitchen.variables, str(kitchen.build)],
        doing="Validating the rendered template",
        env=kitchen.environment,
        check=False,
    )
    if said.code:
        raise _refused(rendered, said.stdout + said.stderr)


def _refused(rendered: Rendered, said: str) -> ConfigurationError:
    """Tell the first thing that Packer minds, with the line of the template that it means."""
    first = re.search(r"^Error: (.*)", said, re.MULTILINE)
    place = re.search(rf"on \S*{re.escape(IMAGE)} line (\d+)", said)
    path, line = rendered.place_of_line(int(place[1]) if place else 0)
    return ConfigurationError.of(
        f"Packer does not accept what it renders: {first[1] if first else said.strip()}",
        remedy="Correct the template; see the whole text with: invoke image.render FAMILY\n"
        + said.strip(),
        file=f"packer/{path.name}",
        line=line,
    )


def build(kitchen: Kitchen, *, keep: bool, line: Callable[[str], None]) -> Mapping[str, object]:
    """Run the build and return the entry that the manifest has for our token.

    With ``keep`` a failed build instance is left as it was when it failed.
    """
    code = process.stream(
        [
            "packer",
            "build",
            "-color=false",
            f"-on-error={'abort' if keep else 'cleanup'}",
            *kitchen.variables,
            str(kitchen.build),
        ],
        doing="Building with Packer",
        env={
            **kitchen.environment,
            "PACKER_CACHE_DIR": str(kitchen.folder / "cache"),
            "CHECKPOINT_DISABLE": "1",
        },
        cwd=kitchen.folder,
        line=line,
        scrub=kitchen.secrets,
    )
    if code:
        raise BakeFailed(
            f"packer build ended with exit code {code}.",
            remedy="Read the log, correct the role or playbook, and bake again; with --keep the "
            "failed build instance stays for a look.",
        )
    for made in json.loads(kitchen.manifest.read_text())["builds"]:
        if made["custom_data"]["token"] == kitchen.token:
            return dict(made)
    raise BakeFailed(
        "Packer's manifest does not name this bake.",
        remedy="Keep the manifest post-processor in packer/image.pkr.hcl.j2 as it is shipped.",
    )

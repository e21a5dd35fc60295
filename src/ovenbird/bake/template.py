"""Render what Packer is given, and refuse what this project does not allow in it.

Every fault is told with the file and line of the template that it comes from. python-hcl2 reads
more than HCL allows, so `packer validate` has the last word.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovenbird.bake.policy import broken_rules
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.family import Family

IMAGE = "image.pkr.hcl"
PLUGINS = {
    "docker": {"name": "docker", "source": "github.com/hashicorp/docker", "version": ">= 1.0.8"},
    "lxd": {"name": "lxd", "source": "github.com/hashicorp/lxd", "version": ">= 1.0.0"},
    "qemu": {"name": "qemu", "source": "github.com/hashicorp/qemu", "version": ">= 1.1.0"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The text of ``image.pkr.hcl``, without anything volatile, and where it came from."""

    text: str
    template: Path
    source: Path
    source_type: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def place_of_line(self, number: int) -> tuple[Path, int]:
        """Say which template, and which line of it, a rendered line comes from.

        A line with an expression in it looks different there; it is counted from the nearest
        line above that does not.
        """
        lines = self.text.splitlines()
        for above in range(min(number, len(lines)), 0, -1):
            for path in (self.template, self.source):
                same = [n for n, t in _numbered(path) if t.strip() == lines[above - 1].strip()]
                if lines[above - 1].strip() and len(same) == 1:
                    return path, same[0] + number - above
        return self.template, 1

    def place_of_word(self, word: str) -> tuple[Path, int]:
        """Find the first line of a template that says ``word``, comments left out."""
        for path in (self.template, self.source):
            for number, line in _numbered(path):
                if word in line.partition("#")[0]:
                    return path, number
        return self.template, 1


def source_file(provider: str) -> str:
    """Name the template in ``packer/`` that says what Packer builds with on an engine."""
    return f"source.{provider}.pkr.hcl.j2"


def render(family: Family, *, project: Path, provider: str, parent_artifact: str) -> Rendered:
    """Render ``packer/image.pkr.hcl.j2`` for one family on one provider.

    Raises `ConfigurationError` with the template's file and line for an undefined variable.
    """
    source = source_file(provider)
    source_text = _read(project / "packer" / source)
    match = re.search(r'^source "([a-z0-9-]+)"', source_text, re.MULTILINE)
    if match is None:
        raise ConfigurationError.of(
            'There is no line that begins with source "TYPE".',
            remedy='Begin the source as Packer\'s documentation does: source "docker" …',
            file=f"packer/{source}",
            line=1,
        )
    text = _rendered(
        project / "packer",
        f"{IMAGE}.j2",
        family=family,
        source_template=source,
        source_type=match[1],
        parent_artifact=parent_artifact,
        variables={name: json.loads(value) for name, value in family.variables},
    )
    return Rendered(
        text=text,
        template=project / "packer" / f"{IMAGE}.j2",
        source=project / "packer" / source,
        source_type=match[1],
    )


def render_plugins(source_type: str, *, project: Path) -> str:
    """Render ``required_plugins``, which Packer wants from 1.7 on and 1.6 rejects."""
    plugin = PLUGINS.get(source_type)
    plugins = [plugin] if plugin else []
    return _rendered(project / "packer", "plugins.pkr.hcl.j2", plugins=plugins)


def check(rendered: Rendered, *, project: Path) -> None:
    """Raise `ConfigurationError` with every fault of a rendered template."""
    import hcl2
    from lark.exceptions import LarkError

    try:
        data: dict[str, Any] = hcl2.loads(rendered.text)
    except LarkError as error:
        number = max(getattr(error, "line", 1), 1)
        path, line = rendered.place_of_line(number)
        raise ConfigurationError.of(
            f"What it renders is not HCL (rendered line {number}): {str(error).splitlines()[0]}",
            remedy="See the rendered text: invoke image.render FAMILY",
            file=str(path.relative_to(project)),
            line=line,
        ) from error
    faults = []
    for broken in broken_rules(data, rendered.text):
        path, line = rendered.place_of_word(broken.word)
        where = str(path.relative_to(project))
        faults.append(Fault(file=where, line=line, problem=broken.problem, remedy=broken.remedy))
    if faults:
        raise ConfigurationError(faults)


def _numbered(path: Path) -> Iterable[tuple[int, str]]:
    return enumerate(path.read_text().splitlines(), start=1)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError as missing:
        raise ConfigurationError.of(
            "This file is missing.",
            remedy="Restore it from the repository, or write a source for this provider.",
            file=f"packer/{path.name}",
            line=1,
        ) from missing


def _rendered(folder: Path, name: str, **words: object) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from jinja2.exceptions import TemplateError, TemplateSyntaxError

    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=False,
        autoescape=False,
    )
    environment.filters["hcl"] = _hcl
    try:
        return environment.get_template(name).render(**words)
    except TemplateError as error:
        file, line = name, 0
        if isinstance(error, TemplateSyntaxError):
            file, line = error.name or name, error.lineno
        else:
            frame = error.__traceback__
            while frame is not None:  # the innermost frame of a template has its own line
                if frame.tb_frame.f_code.co_filename.endswith(".j2"):
                    file = Path(frame.tb_frame.f_code.co_filename).name
                    line = frame.tb_lineno
                frame = frame.tb_next
        raise ConfigurationError.of(
            f"It cannot be rendered: {error.message or error}.",
            remedy="Define it under variables: of the family in packer/images.yml (here it is "
            "variables.NAME), or correct its name.",
            file=f"packer/{file}",
            line=line,
        ) from error


def _hcl(value: object) -> str:
    """Quote a value for HCL, whose ``${`` and ``%{`` would begin an expression."""
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")

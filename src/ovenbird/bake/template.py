"""Render what Packer is given, and refuse what this project does not allow in it.

The policy: one build, provisioned through Ovenbird's own door and nothing else, no secret in the
text. python-hcl2 reads more than HCL allows, so `packer validate` has the last word.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.family import Family

IMAGE = "image.pkr.hcl"
DOOR = "shell-local"
PLUGINS = {
    "docker": {"name": "docker", "source": "github.com/hashicorp/docker", "version": ">= 1.0.8"}
}
SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key)\w*\s*=\s*\"(?!\$\{)[^\"]+\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The text of ``image.pkr.hcl``, without anything volatile, and where it came from."""

    text: str
    template: Path
    source_type: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def render(family: Family, *, project: Path, provider: str, parent_artifact: str) -> Rendered:
    """Render ``packer/image.pkr.hcl.j2`` for one family on one provider.

    Raises `ConfigurationError` with the template's file and line for an undefined variable.
    """
    source = f"source.{provider}.pkr.hcl.j2"
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
    template = project / "packer" / f"{IMAGE}.j2"
    return Rendered(text=text, template=template, source_type=match[1])


def render_plugins(source_type: str, *, project: Path) -> str:
    """Render ``required_plugins``, which Packer wants from 1.7 on and 1.6 rejects."""
    plugin = PLUGINS.get(source_type)
    plugins = [plugin] if plugin else []
    return _rendered(project / "packer", "plugins.pkr.hcl.j2", plugins=plugins)


def check(rendered: Rendered, *, project: Path) -> None:
    """Raise `ConfigurationError` with every fault of a rendered template."""
    where = str(rendered.template.relative_to(project))
    try:
        import hcl2

        data: dict[str, Any] = hcl2.loads(rendered.text)
    except Exception as error:
        line = getattr(error, "line", 0)
        problem = str(error).splitlines()[0]
        raise ConfigurationError.of(
            f"What it renders is not HCL (rendered line {line}): {problem}",
            remedy="See the rendered text: invoke image.render FAMILY",
            file=where,
        ) from error
    if faults := [
        Fault(file=where, line=_line(rendered, token), problem=problem, remedy=remedy)
        for token, problem, remedy in _broken_rules(data, rendered.text)
    ]:
        raise ConfigurationError(faults)


def _broken_rules(data: Mapping[str, Any], text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (a word to find the line by, the problem, the remedy) for each broken rule."""
    builds = data.get("build", [])
    if len(builds) != 1:
        yield (
            "build",
            f"It has {len(builds)} build blocks; an image is one build.",
            "Keep exactly one build block.",
        )
    for build in builds:
        doors = [_bare(kind) for block in build.get("provisioner", []) for kind in block]
        for kind in doors:
            if kind != DOOR:
                yield (
                    f'"{kind}"',
                    f"It provisions with {kind!r}; an image is provisioned by Ansible through "
                    "Ovenbird alone.",
                    "Put the work into a role, and remove this provisioner.",
                )
        for block in build.get("provisioner", []):
            for kind, body in block.items():
                inline = body.get("inline", [])
                if _bare(kind) == DOOR and [_bare(word) for word in inline] not in (
                    ["${var.provision}"],
                    ["var.provision"],
                ):
                    yield (
                        "inline",
                        "Its shell-local provisioner runs something other than var.provision.",
                        "Put the work into a role, and leave inline = [var.provision].",
                    )
        if len(doors) != 1:
            yield (
                "build",
                f"It has {len(doors)} provisioners; Ovenbird's door is one.",
                'Keep the one provisioner "shell-local" with inline = [var.provision].',
            )
    if _has_dynamic(data):
        yield (
            "dynamic",
            "It has a dynamic block, which no check can see through.",
            "Write the blocks out; Jinja2 can repeat them.",
        )
    if found := SECRET.search(text):
        yield (
            found[0].split("=")[0].strip(),
            f"It holds a secret in clear ({found[0].split('=')[0].strip()}).",
            "Name it under secrets: in inventories/bake/environment.yml; it is mounted at "
            "/run/ovenbird-bake/secrets/NAME while baking.",
        )


def _has_dynamic(node: object) -> bool:
    if isinstance(node, dict):
        return "dynamic" in node or any(_has_dynamic(value) for value in node.values())
    return isinstance(node, list) and any(_has_dynamic(item) for item in node)


def _bare(word: object) -> str:
    return str(word).strip('"')


def _line(rendered: Rendered, token: str) -> int:
    """Find the line of the *template* that says ``token``; 0 where another file brought it."""
    lines = rendered.template.read_text().splitlines()
    return next((n for n, line in enumerate(lines, 1) if token in line), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError as missing:
        raise ConfigurationError.of(
            "This file is missing.",
            remedy="Restore it from the repository, or write a source for this provider.",
            file=f"packer/{path.name}",
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

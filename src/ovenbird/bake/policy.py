"""What this project allows in a rendered template: one build, Ovenbird's own door, no secret.

What stands here is judged by its text alone. It runs nothing and knows no file: a broken rule
comes with a word of the line that breaks it, and the template finds the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DOOR = "shell-local"
HARMLESS = {"inline", "only", "except", "timeout", "max_retries", "pause_before", "__is_block__"}
"""What may stand in the door: nothing that runs, and nothing that changes what it runs."""

SECRET = re.compile(
    r"(?i)\b(\w*(?:password|passwd|secret|token|api_?key)\w*\"?)\s*[=:]\s*\"(?!\$\{)[^\"]+\""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule that is broken. ``word`` stands in the line that breaks it."""

    word: str
    problem: str
    remedy: str


def broken_rules(data: Mapping[str, Any], text: str) -> Iterator[Broken]:
    """Yield each rule that a template breaks: ``data`` is what python-hcl2 read in ``text``."""
    builds = data.get("build", [])
    if len(builds) != 1:
        yield Broken(
            word="build {",
            problem=f"It has {len(builds)} build blocks; an image is one build.",
            remedy="Keep exactly one build block.",
        )
    for build in builds:
        yield from _of_provisioners(build)
        yield from _of_post_processors(build)
    if _has_dynamic(data):
        yield Broken(
            word="dynamic",
            problem="It has a dynamic block, which no check can see through.",
            remedy="Write the blocks out; Jinja2 can repeat them.",
        )
    if found := SECRET.search(text):
        name = found[1].strip('"')
        yield Broken(
            word=name,
            problem=f"It holds a secret in clear ({name}).",
            remedy="Name it under secrets: in inventories/bake/environment.yml; it is mounted at "
            "/run/ovenbird-bake/secrets/NAME while baking.",
        )


def _of_provisioners(build: Mapping[str, Any]) -> Iterator[Broken]:
    doors = list(_blocks(build, "provisioner"))
    others = [kind for kind, _ in doors if kind != DOOR]
    others += [kind for kind, _ in _blocks(build, "error-cleanup-provisioner")]
    for kind in others:
        yield Broken(
            word=f'provisioner "{kind}"',
            problem=f"It provisions with {kind!r}; an image is provisioned by Ansible through "
            "Ovenbird alone.",
            remedy="Put the work into a role, and remove this provisioner.",
        )
    for kind, body in doors:
        if kind != DOOR:
            continue
        if [_bare(word) for word in body.get("inline", [])] != ["${var.provision}"]:
            yield Broken(
                word="inline",
                problem="Its shell-local provisioner runs something other than var.provision.",
                remedy="Put the work into a role, and leave inline = [var.provision].",
            )
        for key in sorted(body.keys() - HARMLESS):
            yield Broken(
                word=key,
                problem=f"Its shell-local provisioner has {key}, which changes what it runs.",
                remedy="Leave inline = [var.provision]. What the bake needs is lent by "
                "inventories/bake/environment.yml.",
            )
    if len(doors) != 1:
        yield Broken(
            word="provisioner" if doors else "build {",
            problem=f"It has {len(doors)} provisioners; Ovenbird's door is one.",
            remedy='Keep the one provisioner "shell-local" with inline = [var.provision].',
        )


def _of_post_processors(build: Mapping[str, Any]) -> Iterator[Broken]:
    chains = build.get("post-processors", [])
    for part in (build, *chains):
        for kind, _ in _blocks(part, "post-processor"):
            if kind != "manifest":
                yield Broken(
                    word=f'post-processor "{kind}"',
                    problem=f"It post-processes with {kind!r}; after the seal nothing changes an "
                    "image.",
                    remedy="Put the work into a role, and keep only the manifest.",
                )


def _blocks(part: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield label and body of each block called ``name``."""
    for block in part.get(name, []):
        yield from ((_bare(kind), body) for kind, body in block.items() if kind != "__is_block__")


def _has_dynamic(node: object) -> bool:
    if isinstance(node, dict):
        return "dynamic" in node or any(_has_dynamic(value) for value in node.values())
    return isinstance(node, list) and any(_has_dynamic(item) for item in node)


def _bare(word: object) -> str:
    return str(word).strip('"')

"""``packer/``: what the templates render, and the doors that they or the playbooks would open."""

from __future__ import annotations

from tests.broken.mutation import Kind, playbook, remove, replace, write

TEMPLATE, SOURCE = "packer/image.pkr.hcl.j2", "packer/source.podman.pkr.hcl.j2"
BUILD = "build {\n"
DOOR = '  provisioner "shell-local" {\n    inline = [var.provision]\n  }\n'


def template(name: str, old: str, new: str, *, line: str, says: str, allowed: str) -> Kind:
    """A row that breaks the template of every image."""
    breaks = replace(TEMPLATE, old, new)
    return Kind(name=name, breaks=breaks, file=TEMPLATE, line=line, says=says, allowed=allowed)


TEMPLATE_KINDS = (
    Kind(
        name="no source for the engine",
        breaks=remove(SOURCE),
        file=SOURCE,
        line="",
        says="This file is missing",
        allowed="Restore it from the repository",
    ),
    template(
        "an undefined variable in a template",
        "family.name }}",
        "family.nam }}",
        line="family.nam }}",
        says="has no attribute 'nam'",
        allowed="correct its name",
    ),
    template(
        "a tag that ends nothing",
        BUILD,
        "{% endif %}build {\n",
        line="{% endif %}",
        says="It cannot be rendered",
        allowed="correct its name",
    ),
    template(
        "bad HCL",
        "sources = [",
        "sources = = [",
        line="sources = = [",
        says="What it renders is not HCL",
        allowed="invoke image.render",
    ),
    Kind(
        name="bad HCL in the engine's source",
        breaks=replace(SOURCE, "commit = true", "commit = = true"),
        file=SOURCE,
        line="commit = = true",
        says="What it renders is not HCL",
        allowed="invoke image.render",
    ),
    template(
        "two builds",
        BUILD,
        f"build {{\n{DOOR}}}\n\n{BUILD}",
        line="build {",
        says="It has 2 build blocks",
        allowed="exactly one build block",
    ),
    template(
        "another provisioner",
        '"shell-local"',
        '"shell"',
        line='provisioner "shell"',
        says="It provisions with 'shell'",
        allowed="Put the work into a role",
    ),
    template(
        "inline shell",
        "[var.provision]",
        '["apt-get install nginx"]',
        line="apt-get install nginx",
        says="something other than var.provision",
        allowed="leave inline = [var.provision]",
    ),
    template(
        "a dynamic block",
        BUILD,
        'build {\n  dynamic "provisioner" {\n    for_each = []\n    content {}\n  }\n',
        line="dynamic",
        says="a dynamic block",
        allowed="Write the blocks out",
    ),
    template(
        "a secret in a template",
        BUILD,
        f'locals {{\n  registry_password = "hunter2"\n}}\n\n{BUILD}',
        line="registry_password",
        says="a secret in clear (registry_password)",
        allowed="inventories/bake/environment.yml",
    ),
)

GUARD_KINDS = (
    playbook(
        "a playbook for other hosts",
        "- hosts: all\n  roles: [web]\n",
        line="hosts: all",
        says="hosts",
        allowed="bake",
    ),
    Kind(
        name="an inventory that lists hosts",
        breaks=write("inventories/dev/hosts.yml", "all:\n  hosts:\n    web1.example.org:\n"),
        file="inventories/dev/hosts.yml",
        line="",
        says="this lists hosts",
        allowed="fleets.yml",
    ),
)

"""What Packer is given: rendered from the project's templates, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.broken.mutation import Break, copy_of_this_project, replace

from ovenbird.bake.template import Rendered, check, render, render_plugins
from ovenbird.config import load_families
from ovenbird.values.errors import ConfigurationError, Fault

IMAGE, SOURCE = "packer/image.pkr.hcl.j2", "packer/source.podman.pkr.hcl.j2"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_this_project(tmp_path)


def rendered(project: Path, *, parent: str = "sha256:9f3c") -> Rendered:
    family = load_families(project)["web"]
    return render(family, project=project, provider="podman", parent_artifact=parent)


def only_fault(project: Path) -> Fault:
    with pytest.raises(ConfigurationError) as refused:
        check(rendered(project), project=project)
    (fault,) = refused.value.faults
    return fault


def line_of(project: Path, file: str, text: str) -> int:
    lines = (project / file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_what_is_shipped_keeps_the_policy(project: Path) -> None:
    check(rendered(project), project=project)


def test_the_same_recipe_renders_the_same_text(project: Path) -> None:
    assert rendered(project).hash == rendered(project).hash


def test_another_parent_renders_another_text(project: Path) -> None:
    assert rendered(project).hash != rendered(project, parent="sha256:0").hash


def test_nothing_of_one_bake_is_in_the_text(project: Path, tmp_path: Path) -> None:
    text = rendered(project).text

    assert str(tmp_path) not in text
    assert "${var.token}" in text


def test_a_value_cannot_become_an_expression(project: Path) -> None:
    text = rendered(project, parent='x"\n${file("/etc/passwd")}%{ if true }').text

    assert r'image  = "x\"\n$${file(\"/etc/passwd\")}%%{ if true }"' in text


def test_packer_finds_its_plugin_from_1_7_on(project: Path) -> None:
    text = render_plugins("docker", project=project)

    assert 'source  = "github.com/hashicorp/docker"' in text
    assert "required_plugins" not in rendered(project).text


@pytest.mark.parametrize("file", [IMAGE, SOURCE])
def test_an_undefined_variable_is_told_with_the_file_and_line_that_names_it(
    file: str, project: Path
) -> None:
    path = project / file
    path.write_text(f"{path.read_text()}# {{{{ variables.colour }}}}\n")

    with pytest.raises(ConfigurationError) as refused:
        rendered(project)

    (fault,) = refused.value.faults
    assert (fault.file, fault.line) == (file, len(path.read_text().splitlines()))
    assert "'colour'" in fault.problem


def test_a_template_that_is_not_closed_is_told_with_its_line(project: Path) -> None:
    path = project / IMAGE
    path.write_text(f"{path.read_text()}{{% if family %}}\n")

    with pytest.raises(ConfigurationError) as refused:
        rendered(project)

    (fault,) = refused.value.faults
    assert fault.file == IMAGE
    assert fault.line >= len(path.read_text().splitlines())


def test_a_missing_source_is_named(project: Path) -> None:
    (project / SOURCE).unlink()

    with pytest.raises(ConfigurationError, match=SOURCE):
        rendered(project)


def test_a_source_without_a_type_is_refused(project: Path) -> None:
    (project / SOURCE).write_text("# nothing\n")

    with pytest.raises(ConfigurationError, match=f"{SOURCE}:1"):
        rendered(project)


@pytest.mark.parametrize(
    ("broken", "file", "line"),
    [
        (replace(IMAGE, "sources = [", "sources = [1 2"), IMAGE, "sources = [1 2"),
        (replace(SOURCE, "commit = true", "commit = = true"), SOURCE, "commit = = true"),
    ],
    ids=["in the image's own text", "in the source that it includes"],
)
def test_what_is_not_hcl_is_told_with_the_line_of_the_template(
    broken: Break, file: str, line: str, project: Path
) -> None:
    broken(project)

    fault = only_fault(project)

    assert (fault.file, fault.line) == (file, line_of(project, file, line))
    assert "not HCL" in fault.problem


BUILD = "build {\n"
DOOR = "    inline = [var.provision]\n"

RULES = {
    "two builds": (
        replace(
            IMAGE, BUILD, f'build {{\n  provisioner "shell-local" {{\n{DOOR}  }}\n}}\n\n{BUILD}'
        ),
        "build {",
        "2 build blocks",
    ),
    "another provisioner": (
        replace(IMAGE, '"shell-local"', '"shell"'),
        'provisioner "shell"',
        "provisions with 'shell'",
    ),
    "a provisioner for clean-up": (
        replace(IMAGE, BUILD, 'build {\n  error-cleanup-provisioner "shell" {}\n'),
        "error-cleanup",
        "provisions with 'shell'",
    ),
    "inline shell": (
        replace(IMAGE, "[var.provision]", '["apt-get install nginx"]'),
        "apt-get",
        "something other than var.provision",
    ),
    "more inline shell": (
        replace(IMAGE, "[var.provision]", '[var.provision, "true"]'),
        "[var.provision, ",
        "something other than var.provision",
    ),
    "a script in the door": (
        replace(IMAGE, DOOR, f'{DOOR}    scripts = ["x.sh"]\n'),
        "scripts",
        "has scripts",
    ),
    "another way to run the door": (
        replace(IMAGE, DOOR, f'{DOOR}    execute_command = ["sh"]\n'),
        "execute_command",
        "has execute_command",
    ),
    "a post-processor": (
        replace(IMAGE, 'post-processor "manifest"', 'post-processor "shell-local"'),
        'post-processor "shell-local"',
        "post-processes with 'shell-local'",
    ),
    "a chain of post-processors": (
        replace(
            IMAGE,
            BUILD,
            'build {\n  post-processors {\n    post-processor "docker-tag" {}\n  }\n',
        ),
        'post-processor "docker-tag"',
        "post-processes with 'docker-tag'",
    ),
    "a dynamic block": (
        replace(
            IMAGE,
            BUILD,
            'build {\n  dynamic "provisioner" {\n    for_each = []\n    content {}\n  }\n',
        ),
        "dynamic",
        "dynamic block",
    ),
    "a secret": (
        replace(IMAGE, BUILD, 'locals {\n  registry_password = "hunter2"\n}\n\nbuild {\n'),
        "registry_password",
        "a secret in clear (registry_password)",
    ),
    "a secret in an object": (
        replace(IMAGE, "token = var.token", '"api_key" : "hunter2"'),
        "api_key",
        "a secret in clear (api_key)",
    ),
}


@pytest.mark.parametrize(("broken", "line", "says"), RULES.values(), ids=RULES)
def test_a_template_that_breaks_a_rule_is_refused_with_its_line(
    broken: Break, line: str, says: str, project: Path
) -> None:
    broken(project)

    fault = only_fault(project)

    assert says in fault.problem
    assert (fault.file, fault.line) == (IMAGE, line_of(project, IMAGE, line))
    assert "hunter2" not in str(fault)


def test_an_image_that_nothing_provisions_is_refused(project: Path) -> None:
    replace(IMAGE, f'  provisioner "shell-local" {{\n{DOOR}  }}\n', "")(project)

    assert "has 0 provisioners" in only_fault(project).problem


def test_a_rule_that_an_included_source_breaks_is_told_with_its_own_line(project: Path) -> None:
    replace(SOURCE, "commit = true", 'commit = true\n  login_password = "hunter2"')(project)

    fault = only_fault(project)

    assert (fault.file, fault.line) == (SOURCE, line_of(project, SOURCE, "login_password"))


def test_a_comment_breaks_no_rule_and_hides_no_line(project: Path) -> None:
    path = project / IMAGE
    path.write_text('# never: provisioner "shell" or dynamic\n' + path.read_text())
    check(rendered(project), project=project)
    replace(IMAGE, '"shell-local"', '"shell"')(project)

    assert only_fault(project).line == line_of(project, IMAGE, '  provisioner "shell"')

"""Configuration that is right becomes values; what is wrong in small is said in the right place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ovenbird import config
from ovenbird.config.environment import BakeEntry
from ovenbird.config.family_entry import FamilyEntry
from ovenbird.config.fleet_entry import FleetEntry
from ovenbird.config.schema import Entry, _entries, seconds
from ovenbird.config.yaml import Opaque, read
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.family import BakeEnvironment, Definition, DiskImage
from ovenbird.values.fleet import BalancerSpec, HealthCheck, Resources, SecretRef
from ovenbird.values.image import Contract, ImageRef, StopPolicy
from ovenbird.values.limits import Limits

BASE = """families:
  base:
    from: {oci: debian:12}
    sources: ["deb http://deb.debian.org/debian bookworm main"]
    playbook: playbooks/base.yml
"""
WEB = """  web:
    parent: base
    playbook: playbooks/base.yml
    variables: {title: Ovenbird, ports: [80, 443], tls: false, none: null}
    launch:
      port: 80
      needs: {config: [greeting], secrets: [token]}
      stop: {signal: SIGQUIT, timeout: 1500ms}
      writable: [/var/log/nginx]
    prove:
      config: {greeting: hello}
      secrets: {token: not-a-secret}
      smoke: {tcp: true}
"""
FLEET = """fleets:
  web:
    image: web/2
    size: 4
    launch:
      config: {greeting: hello}
      secrets: {token: "file:~/token"}
"""


def a_project(folder: Path, **files: str) -> Path:
    """A project in ``folder``. Keyword ``fleets`` is what the fleets of dev are, and so on."""
    written = {
        "packer/images.yml": files.get("images", BASE + WEB),
        "playbooks/base.yml": files.get("playbook", "- hosts: bake\n  roles: [base]\n"),
        "roles/base/tasks/main.yml": files.get("tasks", "- ping:\n"),
        "inventories/dev/fleets.yml": files.get("fleets", FLEET),
    }
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def a_role(
    project: Path, name: str, *, tasks: str = "", meta: str = "", handlers: str = ""
) -> None:
    for part, text in (("tasks", tasks), ("meta", meta), ("handlers", handlers)):
        if text:
            path = project / "roles" / name / part / "main.yml"
            path.parent.mkdir(parents=True)
            path.write_text(text)


def faults_of_fleets(project: Path) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as told:
        config.load_fleets(project, "dev")
    return told.value.faults


def test_a_family_is_read_as_it_is_written(tmp_path: Path) -> None:
    families = config.load_families(a_project(tmp_path))
    assert list(families) == ["base", "web"]
    base, web = families.values()
    assert (base.parent, base.definition) == (None, Definition(oci="debian:12"))
    assert (base.file, base.line, web.line) == ("packer/images.yml", 2, 6)
    assert (web.parent, web.definition) == ("base", None)
    assert web.contract == Contract(
        port=80,
        config=("greeting",),
        secrets=("token",),
        stop=StopPolicy(signal="SIGQUIT", timeout=2),
        writable=("/var/log/nginx",),
    )
    assert web.proof.smoke == HealthCheck(kind="tcp")
    assert web.proof.secrets == (("token", "not-a-secret"),)
    assert "not-a-secret" not in repr(web)


def test_a_family_may_begin_with_a_disk_and_end_at_a_size(tmp_path: Path) -> None:
    disk = f"{{qcow2: {{path: base.qcow2, sha256: {'a' * 64}}}}}"
    images = BASE.replace("{oci: debian:12}", disk) + "    max_size: 512m\n"
    base = config.load_families(a_project(tmp_path, images=images + WEB))["base"]
    image = DiskImage(origin="base.qcow2", sha256="a" * 64)
    assert (base.definition, base.max_size) == (Definition(disk=image), 512 * 2**20)


def test_variables_are_json_texts_by_name(tmp_path: Path) -> None:
    web = config.load_families(a_project(tmp_path))["web"]
    assert web.variables == (
        ("none", "null"),
        ("ports", "[80, 443]"),
        ("title", '"Ovenbird"'),
        ("tls", "false"),
    )


def test_a_child_keeps_the_sources_of_its_nearest_ancestor(tmp_path: Path) -> None:
    shop = "  shop: {parent: web, playbook: playbooks/base.yml, sources: [deb http://x y z]}\n"
    shed = "  shed: {parent: shop, playbook: playbooks/base.yml}\n"
    families = config.load_families(a_project(tmp_path, images=BASE + WEB + shop + shed))
    assert families["web"].sources == families["base"].sources != ()
    assert families["shed"].sources == families["shop"].sources == ("deb http://x y z",)


def test_a_fleet_is_read_as_it_is_written(tmp_path: Path) -> None:
    more = """    stage: 2
    provider: memory
    limits: {max_surge: "25%", max_unavailable: 1}
    health: {engine: {ready_line: listening}, interval: 250ms, healthy_deadline: 1m}
    balancer:
      - haproxy: {bind: "*:80", socket: /run/haproxy.sock, drain_timeout: 5}
      - command: [/usr/local/bin/f5, --pool, web]
      - file: /run/web.json
"""
    fleet = config.load_fleets(
        a_project(
            tmp_path,
            fleets=FLEET + "      resources: {memory: 1g, cpus: 2}\n" + more,
        ),
        "dev",
    )["web"]
    assert (fleet.env, fleet.name, fleet.size, fleet.stage) == ("dev", "web", 4, 2)
    assert (fleet.image, fleet.provider) == (ImageRef(family="web", version=2), "memory")
    assert fleet.limits == Limits(max_surge="25%", max_unavailable=1)
    assert fleet.launch.config == (("greeting", "hello"),)
    assert fleet.launch.secrets == (SecretRef(name="token", reference="file:~/token"),)
    assert fleet.launch.resources == Resources(memory="1g", cpus=2.0)
    assert fleet.health == HealthCheck(
        kind="engine", ready_line="listening", interval=0.25, healthy_deadline=60.0
    )
    assert fleet.balancers == (
        BalancerSpec(kind="haproxy", bind="*:80", socket="/run/haproxy.sock", drain_timeout=5.0),
        BalancerSpec(kind="command", argv=("/usr/local/bin/f5", "--pool", "web")),
        BalancerSpec(kind="file", path="/run/web.json"),
    )
    assert (fleet.file, fleet.line) == ("inventories/dev/fleets.yml", 2)


def test_a_fleet_without_more_has_the_defaults_of_its_values(tmp_path: Path) -> None:
    fleet = config.load_fleets(a_project(tmp_path), "dev")["web"]
    assert (fleet.health, fleet.limits, fleet.balancers) == (HealthCheck(), Limits(), ())
    assert (fleet.provider, fleet.stage) == ("podman", 0)


def test_fleets_of_an_environment_may_be_none(tmp_path: Path) -> None:
    assert config.load_fleets(a_project(tmp_path, fleets="fleets: {}\n"), "dev") == {}


def test_an_anchor_gives_two_fleets_the_same_health(tmp_path: Path) -> None:
    one = FLEET + "    health: &health {tcp: true, passes: 5}\n"
    two = (
        "  shop:\n    image: web@stable\n    size: 1\n    health: {<<: *health, interval: 2}\n"
        "    launch: {config: {greeting: x}, secrets: {token: 'command:pass show token'}}\n"
    )
    fleets = config.load_fleets(a_project(tmp_path, fleets=one + two), "dev")
    assert (fleets["shop"].health.passes, fleets["shop"].health.interval) == (5, 2.0)


def test_an_environment_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean dev") as told:
        config.load_fleets(a_project(tmp_path), "deb")
    assert told.value.remedy == "Environments: dev."


def test_a_broken_family_stands_only_in_the_way_of_its_own_fleets(tmp_path: Path) -> None:
    shed = "  shed: {parent: base, playbok: x}\n"
    project = a_project(tmp_path, images=BASE + WEB + shed)
    assert list(config.load_fleets(project, "dev")) == ["web"]
    fleets = FLEET + "  shed: {image: shed@stable, size: 1}\n"
    a_project(tmp_path, images=BASE + WEB + shed, fleets=fleets)
    assert {fault.file for fault in faults_of_fleets(project)} == {"packer/images.yml"}


@pytest.mark.parametrize(
    ("second", "clash"),
    [
        ("bind: 127.0.0.1:80", True),
        ("bind: '*:80'", True),
        ("bind: 127.0.0.2:80", False),
        ("bind: 127.0.0.1:81", False),
        ("{bind: 127.0.0.1:80, socket: /run/other.sock}", True),
        ("{bind: 127.0.0.1:80, socket: 'ipv4@10.0.0.9:9999'}", False),
    ],
)
def test_an_address_is_bound_once_on_a_host(second: str, clash: bool, tmp_path: Path) -> None:
    written = second if second.startswith("{") else f"{{{second}}}"
    balancers = (
        f"    balancer:\n      - haproxy: {{bind: 127.0.0.1:80}}\n      - haproxy: {written}\n"
    )
    project = a_project(tmp_path, fleets=FLEET + balancers)
    if clash:
        (fault,) = faults_of_fleets(project)
        assert (fault.line, "(line 9)" in fault.problem) == (10, True)
    else:
        assert len(config.load_fleets(project, "dev")["web"].balancers) == 2


def test_a_default_that_makes_times_impossible_is_named_as_a_default(tmp_path: Path) -> None:
    project = a_project(tmp_path, fleets=FLEET + "    health: {healthy_deadline: 15m}\n")
    (fault,) = faults_of_fleets(project)
    assert "healthy_deadline 900s (line 8)" in fault.problem
    assert "progress_deadline 600s (its default)" in fault.problem


@pytest.mark.parametrize("value", ["hunter2", 12345, ["hunter2"], "file:", "env:hunter2"])
def test_a_secret_in_the_wrong_place_is_never_repeated(value: object, tmp_path: Path) -> None:
    project = a_project(tmp_path, fleets=FLEET.replace('"file:~/token"', repr(value)))
    (fault,) = faults_of_fleets(project)
    assert fault.line == 7
    assert not {"hunter2", "12345"} & set(str(fault).replace("'", " ").split())


def test_a_key_that_stands_twice_does_not_tell_its_values(tmp_path: Path) -> None:
    project = a_project(tmp_path, fleets="fleets: {web: {a: hunter2, a: hunter3}}\n")
    (fault,) = faults_of_fleets(project)
    assert "hunter" not in str(fault)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("500ms", 0.5), ("3s", 3.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0), (2, 2.0)],
)
def test_a_duration_is_seconds(written: object, expected: float) -> None:
    assert seconds(written) == expected


def test_roles_are_followed_through_dependencies_includes_and_handlers(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        playbook="- hosts: bake\n  pre_tasks:\n    - include_role: {name: early}\n"
        "  roles: [{role: base}]\n",
    )
    a_role(project, "early", meta="dependencies: [deep]\n")
    a_role(project, "deep", handlers="- ansible.builtin.import_role:\n    name: restart\n")
    a_role(project, "restart", meta="dependencies: [{role: early}]\n")  # a circle is no fault
    a_role(project, "unreached", tasks="- ping:\n")
    reached = config.roles_reached(project, "playbooks/base.yml")
    assert reached == ("base", "deep", "early", "restart")


def test_values_that_only_ansible_understands_do_not_stop_the_search(tmp_path: Path) -> None:
    tasks = "- debug: {msg: !unsafe '{{ x }}'}\n- block:\n    - include_role: name=tls\n"
    project = a_project(tmp_path, tasks=tasks)
    a_role(project, "tls", tasks="- ping:\n")
    assert config.roles_reached(project, "playbooks/base.yml") == ("base", "tls")


def test_a_bake_is_lent_the_defaults_where_no_file_says_more(tmp_path: Path) -> None:
    assert config.load_bake_environment(tmp_path) == BakeEnvironment()
    assert config.load_bake_variables(tmp_path) == {}


def test_a_bake_is_lent_what_its_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "inventories" / "bake"
    folder.mkdir(parents=True)
    lent = "mirror: ''\nproxy: http://me:pw@proxy:3142\nsecrets: {key: 'file:/k'}\n"
    (folder / "environment.yml").write_text(lent)
    (folder / "variables.yml").write_text("a: {b: [1, 2.5, null]}\n")
    environment = config.load_bake_environment(tmp_path)
    assert (environment.mirror, environment.proxy) == ("", "http://me:pw@proxy:3142")
    assert environment.secrets == (SecretRef(name="key", reference="file:/k"),)
    assert config.load_bake_variables(tmp_path) == {"a": {"b": [1, 2.5, None]}}


def test_a_document_knows_the_line_of_everything_in_it(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("# top\na:\n  b:\n    - 1\n    - c: 2\nd: 2026-11-22\n")
    document = read(tmp_path, "x.yml")
    assert document.data == {"a": {"b": [1, {"c": 2}]}, "d": Opaque("a date")}
    assert [document.line(loc) for loc in (("a", "b"), ("a", "b", 1, "c"), ("d",))] == [4, 5, 6]
    assert document.key_line(("a", "b")) == 3
    assert document.line(("a", "b", 7)) == 3  # as far as the way goes


def entries(entry: type[Entry]) -> Iterator[type[Entry]]:
    yield entry
    for field in entry.model_fields.values():
        for inner in _entries(field.annotation):
            yield from entries(inner)


@pytest.mark.parametrize("entry", [FamilyEntry, FleetEntry, BakeEntry])
def test_every_key_says_what_is_allowed(entry: type[Entry]) -> None:
    for inner in entries(entry):
        for name, field in inner.model_fields.items():
            assert field.description, f"{inner.__name__}.{name}"

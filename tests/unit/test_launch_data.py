from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ovenbird import process
from ovenbird.fleet.launch import resolve
from ovenbird.values.errors import CommandFailed, ConfigurationError
from ovenbird.values.fleet import (
    FleetKey,
    LaunchData,
    LaunchSpec,
    Order,
    Resources,
    SecretRef,
)
from ovenbird.values.image import Artifact, Contract
from ovenbird.values.launch import instance_config

KEY = b"the site's own key"
NEEDS = Contract(config=("greeting",), secrets=("token",))


def a_spec(project: Path, *, greeting: str = "hello", secret: bytes = b"hush\n") -> LaunchSpec:
    (project / "token").write_bytes(secret)
    return LaunchSpec(
        config=(("greeting", greeting),), secrets=(SecretRef(name="token", reference="file:token"),)
    )


def resolved(project: Path, spec: LaunchSpec, *, key: bytes = KEY) -> LaunchData:
    return resolve(spec, contract=NEEDS, site_key=key, project=project, fleet="dev/web")


def refusal(project: Path, spec: LaunchSpec) -> str:
    with pytest.raises(ConfigurationError) as refused:
        resolved(project, spec)
    return "\n".join(str(fault) for fault in refused.value.faults)


def test_a_secret_loses_exactly_one_newline(tmp_path: Path) -> None:
    data = resolved(tmp_path, a_spec(tmp_path, secret=b"line\n\n"))

    assert data.secrets == (("token", b"line\n"),)


def test_the_hash_changes_with_every_value_and_with_nothing_else(tmp_path: Path) -> None:
    spec = a_spec(tmp_path)
    first = resolved(tmp_path, spec).hash

    assert resolved(tmp_path, spec).hash == first
    assert resolved(tmp_path, a_spec(tmp_path, greeting="good day")).hash != first
    assert resolved(tmp_path, a_spec(tmp_path, secret=b"other")).hash != first
    small = replace(a_spec(tmp_path), resources=Resources(memory="64m"))
    assert resolved(tmp_path, small).hash != first
    assert resolved(tmp_path, a_spec(tmp_path), key=b"another site").hash != first
    assert len(first) == 16


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    spec = replace(a_spec(tmp_path), config=(("greeting", "hello"), ("colour", "red")))
    turned = replace(spec, config=tuple(reversed(spec.config)))

    assert resolved(tmp_path, spec) == resolved(tmp_path, turned)


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    assert "hush" not in repr(resolved(tmp_path, a_spec(tmp_path)))


def test_all_that_an_image_needs_and_nobody_gives_is_told_at_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, LaunchSpec())

    assert "dev/web gives no launch.config.greeting" in told
    assert "dev/web gives no launch.secrets.token" in told


def test_a_missing_file_is_named_with_a_way_out(tmp_path: Path) -> None:
    spec = a_spec(tmp_path)
    (tmp_path / "token").unlink()

    told = refusal(tmp_path, spec)

    assert f"cannot be read from {tmp_path}/token: No such file or directory" in told
    assert "install -m 600" in told


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = a_spec(tmp_path)

    spec = replace(spec, secrets=(SecretRef(name="token", reference="file:~/token"),))

    assert resolved(Path("/nowhere"), spec).secrets == (("token", b"hush"),)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    assert "is empty" in refusal(tmp_path, a_spec(tmp_path, secret=b"\n"))


@pytest.mark.parametrize("reference", ["hunter2", "vault:hunter2", "file:", "command: "])
def test_what_is_no_reference_is_refused_and_not_repeated(tmp_path: Path, reference: str) -> None:
    spec = replace(a_spec(tmp_path), secrets=(SecretRef(name="token", reference=reference),))

    told = refusal(tmp_path, spec)

    assert "is not a reference" in told
    assert "hunter2" not in told


def test_a_secrets_name_must_be_a_file_name(tmp_path: Path) -> None:
    spec = a_spec(tmp_path)
    odd = SecretRef(name="../shadow", reference="file:token")

    assert "'../shadow' cannot be" in refusal(tmp_path, replace(spec, secrets=(*spec.secrets, odd)))


def test_a_command_gives_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def answer(argv: list[str], **_: object) -> process.Finished:
        asked.append(argv)
        return process.Finished(code=0, stdout="hush\n", stderr="")

    monkeypatch.setattr("ovenbird.process.run", answer)
    ref = SecretRef(name="token", reference="command:pass show 'web token'")

    data = resolved(tmp_path, replace(a_spec(tmp_path), secrets=(ref,)))

    assert asked == [["pass", "show", "web token"]]
    assert data.secrets == (("token", b"hush"),)


def test_a_failed_command_tells_its_code_and_none_of_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(argv: list[str], *, doing: str, **_: object) -> process.Finished:
        raise CommandFailed(doing=doing, command="pass", code=7, output="half of hunter2")

    monkeypatch.setattr("ovenbird.process.run", refuse)
    ref = SecretRef(name="token", reference="command:pass show token")

    told = refusal(tmp_path, replace(a_spec(tmp_path), secrets=(ref,)))

    assert "ended with exit code 7" in told
    assert "hunter2" not in told


def test_a_fleet_cannot_set_what_an_instance_is_told_of_itself(tmp_path: Path) -> None:
    spec = a_spec(tmp_path)

    told = refusal(tmp_path, replace(spec, config=(*spec.config, ("ovenbird", "mine"))))

    assert "Ovenbird's own key" in told


def test_every_instance_reads_its_fleets_configuration_and_who_it_is(tmp_path: Path) -> None:
    data = resolved(tmp_path, a_spec(tmp_path))
    order = Order(
        token="dev-web-k3",
        fleet=FleetKey(site="s", env="dev", name="web"),
        version="web/2",
        artifact=Artifact(
            provider="memory",
            id="a",
            template="",
            parent="",
            token="",
            location="",
            size=0,
            baked_at=datetime(2026, 11, 22, tzinfo=UTC),
        ),
        contract=NEEDS,
        launch=data,
        slot=0,
    )

    assert json.loads(instance_config(order)) == {
        "greeting": "hello",
        "ovenbird": {"version": "web/2", "fleet": "dev/web", "instance": "dev-web-k3"},
    }
    assert "ovenbird" not in data.config

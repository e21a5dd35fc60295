from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import pytest
from tests.builders import an_order

from ovenbird.provider.seed import program, seed
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import LaunchData, Order
from ovenbird.values.launch import instance_config


def _with_secrets(order: Order) -> Order:
    secrets = (("token", b"hush"), ("api-key", b"\x00\xff"))
    return replace(order, launch=LaunchData(config='{"a": 1}', secrets=secrets))


def _with_a_job(order: Order) -> Order:
    contract = replace(order.contract, jobs=(("migrate", ("/usr/bin/migrate", "--all")),))
    return replace(order, contract=contract, job="migrate")


def _unpacked(content: bytes) -> dict[str, tuple[int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [(member, tar.extractfile(member)) for member in tar]
        assert all((m.uid, m.gid, m.isfile()) == (0, 0, True) for m, _ in members)
        return {m.name: (m.mode, file.read()) for m, file in members if file is not None}


def test_a_seed_holds_what_the_instance_reads_with_the_modes_of_a_secret() -> None:
    order = _with_secrets(an_order())

    assert _unpacked(seed(order)) == {
        "config.json": (0o444, instance_config(order).encode()),
        "secrets/api-key": (0o400, b"\x00\xff"),
        "secrets/token": (0o400, b"hush"),
    }


def test_the_same_order_gives_the_same_bytes() -> None:
    order = _with_secrets(an_order())
    turned = replace(order.launch, secrets=tuple(reversed(order.launch.secrets)))

    assert seed(order) == seed(replace(order, launch=turned))


def test_the_program_of_a_job_is_the_one_of_the_contract() -> None:
    told = _unpacked(seed(_with_a_job(an_order())))

    assert told["job.json"][0] == 0o444
    assert json.loads(told["job.json"][1]) == ["/usr/bin/migrate", "--all"]
    assert "job.json" not in _unpacked(seed(an_order()))


def test_a_job_that_the_image_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ConfigurationError) as refused:
        program(replace(_with_a_job(an_order()), job="backup"))

    assert "migrate" in str(refused.value)

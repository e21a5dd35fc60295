"""What an operator is told when LXD cannot do it, and what is left behind then: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import an_order
from tests.lxd import OneLxd, a_client, lxd

from ovenbird.provider import lxd_launch
from ovenbird.provider.lxd import LxdProvider
from ovenbird.values.engine import LxdSettings
from ovenbird.values.errors import Blocked, ConfigurationError, EngineUnreachable, NoCapacity
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, StopPolicy
from ovenbird.values.instance import EngineState

__all__ = ["lxd"]

pytestmark = pytest.mark.xdist_group("lxd")

KEY = FleetKey(site="here", env="dev", name="web")
AT_ONCE = StopPolicy(timeout=0)


@pytest.fixture(scope="module")
def small(lxd: OneLxd) -> Artifact:
    return lxd.import_image("for errors")


@pytest.fixture
def order(small: Artifact, provider: LxdProvider) -> Iterator[Order]:
    order = replace(an_order("dev-web-1"), fleet=KEY, artifact=small, contract=Contract(port=80))
    yield replace(order, launch=LaunchData(secrets=(("token", b"hush"),)))
    provider.terminate("dev-web-1", stop=AT_ONCE)


@pytest.fixture
def provider(lxd: OneLxd, tmp_path: Path) -> LxdProvider:
    return LxdProvider(folder=tmp_path, site="here", settings=lxd.local)


@pytest.fixture(scope="module")
def client(lxd: OneLxd, tmp_path_factory: pytest.TempPathFactory) -> LxdSettings:
    certificate, key = a_client(tmp_path_factory.mktemp("client"))
    lxd.run("lxc", "config", "trust", "add", str(certificate))
    return lxd.remote(certificate=certificate, key=key)


def _with(settings: LxdSettings, tmp_path: Path) -> LxdProvider:
    return LxdProvider(folder=tmp_path, site="here", settings=settings)


def test_over_https_the_pinned_server_is_trusted_and_is_the_same_place(
    client: LxdSettings, provider: LxdProvider, order: Order, tmp_path: Path
) -> None:
    remote = _with(client, tmp_path)

    assert remote.place == provider.place
    assert remote.launch(order).state is EngineState.RUNNING
    assert list(remote.changes(order.token)) == list(provider.changes(order.token))


def test_another_certificate_than_the_pinned_one_is_refused_with_a_remedy(
    client: LxdSettings, order: Order, tmp_path: Path
) -> None:
    wrong = _with(replace(client, pin="ab" * 32), tmp_path)

    with pytest.raises(EngineUnreachable, match="another certificate") as refused:
        wrong.launch(order)

    assert refused.value.exit_code == 3
    assert "pin:" in refused.value.remedy
    assert client.pin in refused.value.evidence.replace(":", "").lower()


def test_a_client_that_the_server_does_not_trust_is_told_how_it_becomes_so(
    client: LxdSettings, tmp_path: Path
) -> None:
    certificate, key = a_client(tmp_path)
    stranger = _with(replace(client, certificate=str(certificate), key=str(key)), tmp_path)

    with pytest.raises(EngineUnreachable, match="does not trust") as refused:
        stranger.instances(KEY)

    assert "lxc config trust add" in refused.value.remedy


def test_a_missing_file_of_the_client_is_a_fault_of_the_configuration(
    client: LxdSettings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.crt") as refused:
        _with(replace(client, certificate=str(tmp_path / "no.crt")), tmp_path).instances(KEY)

    assert refused.value.exit_code == 2


def test_a_missing_socket_is_named_and_the_next_endpoint_is_tried(
    lxd: OneLxd, tmp_path: Path
) -> None:
    missing = f"unix:{tmp_path}/no.socket"

    with pytest.raises(EngineUnreachable) as refused:
        _with(LxdSettings(endpoints=(missing,)), tmp_path).instances(KEY)
    both = LxdSettings(endpoints=(missing, *lxd.local.endpoints))

    assert refused.value.exit_code == 3
    assert "there is no socket" in refused.value.evidence
    assert list(_with(both, tmp_path).instances(KEY)) == []


def test_in_a_full_pool_nothing_is_left_of_a_launch(
    lxd: OneLxd, provider: LxdProvider, order: Order
) -> None:
    with lxd.full(), pytest.raises(NoCapacity, match="pool is full") as refused:
        provider.launch(order)

    assert refused.value.exit_code == 3
    assert lxd.run("lxc", "list", "--format=csv") == ""


@pytest.mark.parametrize("what", ["pool", "profile"])
def test_a_pool_or_a_profile_that_is_not_there_is_named(
    lxd: OneLxd, order: Order, tmp_path: Path, what: str
) -> None:
    settings = LxdSettings(endpoints=lxd.local.endpoints, **{what: "none-such"})

    with pytest.raises(ConfigurationError, match=f"no {what} 'none-such'"):
        _with(settings, tmp_path).launch(order)

    assert lxd.run("lxc", "list", "--format=csv") == ""


@pytest.mark.parametrize("handed", [False, True])
def test_what_a_killed_driver_left_half_made_is_started_by_the_next(
    provider: LxdProvider, order: Order, handed: bool
) -> None:
    door = vars(provider)["_lxd"]
    lxd_launch.create(door, order, site="here", volumes={}, member=None)
    if handed:
        lxd_launch.hand_over(door, order)
    (left,) = provider.instances(KEY)

    started = provider.launch(order)

    assert (left.state, started.state) == (EngineState.CREATED, EngineState.RUNNING)
    assert left.id in ("", started.id, order.token)


def test_an_image_that_an_instance_runs_is_not_deleted(
    provider: LxdProvider, order: Order, small: Artifact
) -> None:
    provider.launch(order)

    with pytest.raises(Blocked, match="still runs"):
        provider.delete(small)

    assert provider.present(small)
    assert not provider.present(replace(small, id="ab" * 32))


def test_an_image_that_is_gone_is_said_to_be_gone(
    lxd: OneLxd, provider: LxdProvider, order: Order
) -> None:
    gone = lxd.import_image("soon gone")
    provider.delete(gone)
    provider.delete(gone)

    with pytest.raises(Exception, match="does not hold the image"):
        provider.launch(replace(order, artifact=gone))

    assert list(provider.instances(KEY)) == []

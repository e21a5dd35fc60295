"""How one instance of an image is started with podman: its flags, its launch data, its program."""

from __future__ import annotations

from collections.abc import Mapping

from ovenbird.provider import podman_store
from ovenbird.provider.podman_cli import Podman
from ovenbird.provider.podman_seen import label, labels_of
from ovenbird.provider.seed import program
from ovenbird.values.fleet import Order
from ovenbird.values.launch import CONFIG_PATH, SECRETS_PATH, instance_config

CONSOLE_SIZE = "2mb"
"""What podman keeps of one console before it starts over."""

_INIT = (
    "/sbin/init",
    # Without these the console stays empty, and a bad image would die without a word.
    "systemd.journald.forward_to_console=1",
    "systemd.journald.max_level_console=info",
)


def run(
    podman: Podman, order: Order, *, site: str, volumes: Mapping[str, str], attempt: str
) -> None:
    """Start a container; ``volumes`` maps podman's names to the paths in it, and ``attempt`` is
    written on it, so that whoever fails knows what is left of this very call.

    A job runs its program instead of an init, is reached by nobody, and is never started again.
    """
    mounts = _hand_over_launch_data(podman, order)
    mounts += [f"--volume={name}:{path}" for name, path in volumes.items()]
    podman.change(
        *("run", "--detach", "--pull=never"),
        *("--name", order.token, "--hostname", order.token),
        *_flags(order, {**labels_of(order, site=site), label("attempt"): attempt}),
        *(_job_flags() if order.job else _instance_flags(order)),
        *mounts,
        podman_store.hex_id(order.artifact),
        *(program(order) if order.job else _INIT),
        doing=f"Starting {order.token}",
        scrub=[value.decode(errors="replace") for _, value in order.launch.secrets],
    )


def forget_launch_data(podman: Podman, token: str) -> None:
    """Remove what podman still has of an instance's launch data."""
    done = podman.ask("secret", "ls", "--format", "{{.Name}}", doing="Listing podman's secrets")
    mine = [name for name in done.stdout.split() if name.startswith(f"{token}.")]
    if mine:
        podman.change("secret", "rm", *mine, doing=f"Removing the launch data of {token}")


def _hand_over_launch_data(podman: Podman, order: Order) -> list[str]:
    """Give podman the launch data on stdin; return the flags that mount it read-only."""
    items = [("config.json", CONFIG_PATH, "0444", instance_config(order).encode())]
    items += [
        (f"secrets.{name}", f"{SECRETS_PATH}/{name}", "0400", value)
        for name, value in order.launch.secrets
    ]
    flags = []
    for name, target, mode, content in items:
        handle = f"{order.token}.{name}"
        podman.change(
            *("secret", "create", handle, "-"),
            doing=f"Handing {name} to {order.token}",
            stdin=content,
        )
        flags += ["--secret", f"{handle},target={target},mode={mode}"]
    return flags


def _flags(order: Order, labels: Mapping[str, str]) -> list[str]:
    """What ``podman run`` is told of every order."""
    flags = [f"--label={key}={value}" for key, value in labels.items()]
    # k8s-file works with and without a journal on the host, and can be capped.
    flags += ["--log-driver=k8s-file", f"--log-opt=max-size={CONSOLE_SIZE}"]
    if order.launch.resources.memory is not None:
        flags += ["--memory", order.launch.resources.memory]
    if order.launch.resources.cpus is not None:
        flags += ["--cpus", f"{order.launch.resources.cpus:g}"]
    return flags


def _instance_flags(order: Order) -> list[str]:
    flags = ["--tty", "--systemd=always", "--restart=always"]
    flags += ["--stop-signal", order.contract.stop.signal]
    if order.contract.port is not None:
        flags += ["--publish", f"127.0.0.1::{order.contract.port}"]
    return flags


def _job_flags() -> list[str]:
    # With a terminal podman keeps what goes to stderr in its place among the rest.
    flags = ["--tty", "--systemd=false", "--restart=no"]
    return [*flags, "--stop-signal=SIGTERM", "--entrypoint="]

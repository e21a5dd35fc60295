"""What one instance reads about itself and its fleet when it starts."""

from __future__ import annotations

import json

from ovenbird.values.fleet import Order

CONFIG_PATH = "/run/ovenbird/config.json"
SECRETS_PATH = "/run/ovenbird/secrets"
OWN_KEY = "ovenbird"
"""The one key of ``config.json`` that a fleet cannot set: what the instance is."""


def instance_config(order: Order) -> str:
    """Return the text of ``/run/ovenbird/config.json`` for one instance.

    It is the fleet's configuration plus ``"ovenbird": {"version", "fleet", "instance"}``. That
    block differs for each instance, so it is no part of the launch hash.
    """
    config: dict[str, object] = json.loads(order.launch.config)
    own = {"version": order.version, "fleet": str(order.fleet), "instance": order.token}
    return json.dumps({**config, OWN_KEY: own}, indent=2, ensure_ascii=False) + "\n"

"""``inventories/<env>/fleets.yml``."""

from __future__ import annotations

from tests.broken.mutation import DEV, IMAGES, Kind, all_of, fleet, replace

SECOND = """fleets:
  shop:
    image: web@stable
    size: 1
    launch: {config: {greeting: hello}}
    health: {http: /healthz}
    balancer:
      - haproxy: {bind: "*:8080"}
"""
WORKER = """families:
  worker:
    parent: base
    playbook: playbooks/base.yml
"""
WORKER_FLEET = """fleets:
  worker:
    image: worker@stable
    size: 1
    health: {HEALTH}
    balancer: BALANCER
"""


def worker(name: str, *, health: str, balancer: str, line: str, says: str, allowed: str) -> Kind:
    """A row with a fleet of a family without a port."""
    entry = WORKER_FLEET.replace("HEALTH", health).replace("BALANCER", balancer)
    breaks = all_of(replace(IMAGES, "families:\n", WORKER), replace(DEV, "fleets:\n", entry))
    return Kind(name=name, breaks=breaks, file=DEV, line=line, says=says, allowed=allowed)


FLEET_KINDS = (
    fleet(
        "a size of the wrong type",
        "size: 3",
        "size: three",
        line="size: three",
        says="size must be a whole number, not text",
        allowed="a number of instances, 0 or more",
    ),
    fleet(
        "a negative size",
        "size: 3",
        "size: -1",
        line="size: -1",
        says="size is out of range: -1",
        allowed="0 or more",
    ),
    fleet(
        "an unknown provider",
        "provider: podman",
        "provider: podmn",
        line="provider: podmn",
        says="provider cannot be 'podmn': no such provider is installed. Did you mean podman?",
        allowed="Providers: ",
    ),
    fleet(
        "an image that names none",
        "image: web@stable",
        "image: web:latest",
        line="web:latest",
        says="image does not name an image: 'web:latest'",
        allowed="FAMILY@CHANNEL",
    ),
    fleet(
        "an image of no family",
        "image: web@stable",
        "image: wbe@stable",
        line="wbe@stable",
        says="there is no family 'wbe'. Did you mean web?",
        allowed="Families in packer/images.yml: base, web",
    ),
    fleet(
        "a fleet's name",
        "  web:\n",
        "  Web_1:\n",
        line="  Web_1:",
        says="'Web_1' cannot be the name of a fleet",
        allowed="small letters, digits and -",
    ),
    fleet(
        "limits that leave no room",
        "max_surge: 1",
        "max_surge: 0",
        line="    limits:",
        says="leave a fleet of 3 no room to replace anything",
        allowed="Set max_surge to 1 or more",
    ),
    fleet(
        "a limit that is no share",
        "max_surge: 1",
        "max_surge: a few",
        line="a few",
        says="limits.max_surge cannot be 'a few'",
        allowed='a share such as "25%"',
    ),
    fleet(
        "a healthy time beyond its deadline",
        "min_healthy_time: 1s",
        "min_healthy_time: 90s",
        line="min_healthy_time: 90s",
        says="min_healthy_time 90s (line <min_healthy_time:>) "
        "must be less than healthy_deadline 60s (line <healthy_deadline:>)",
        allowed="min_healthy_time < healthy_deadline < progress_deadline",
    ),
    fleet(
        "a healthy deadline beyond the progress deadline",
        "healthy_deadline: 60s",
        "healthy_deadline: 1h",
        line="healthy_deadline: 1h",
        says="healthy_deadline 3600s (line <healthy_deadline:>) "
        "must be less than progress_deadline 300s (line <progress_deadline:>)",
        allowed="min_healthy_time < healthy_deadline < progress_deadline",
    ),
    fleet(
        "a duration that is none",
        "interval: 0.5s",
        "interval: often",
        line="often",
        says="health.interval must be a duration, not 'often'",
        allowed="500ms, 3s, 5m, 1h",
    ),
    fleet(
        "two kinds of health",
        "http: /healthz\n",
        "http: /healthz\n      tcp: true\n",
        line="tcp: true",
        says="not by http and tcp",
        allowed="Keep one of http, tcp, engine",
    ),
    fleet(
        "an unknown balancer",
        "haproxy:",
        "haprxy:",
        line="haprxy:",
        says="there is no balancer 'haprxy'. Did you mean haproxy?",
        allowed="Balancers: command, file, haproxy, none",
    ),
    fleet(
        "a balancer without an address",
        "        bind: 127.0.0.1:8080\n",
        "",
        line="      haproxy:",
        says="haproxy.bind is missing",
        allowed="HOST:PORT",
    ),
    fleet(
        "a folder of nobody's HAProxy",
        "        drain_timeout: 30s",
        "        folder: /etc/haproxy/ovenbird",
        line="        folder:",
        says="folder belongs to an HAProxy that you run, and no socket names one",
        allowed="Add socket: PATH",
    ),
    fleet(
        "a configuration value with Ovenbird's own name",
        "{greeting: hello from dev}",
        "{greeting: hello from dev, ovenbird: mine}",
        line="ovenbird: mine",
        says="launch.config.ovenbird cannot be a name here",
        allowed="Any name but ovenbird",
    ),
    fleet(
        "an address without a port",
        "127.0.0.1:8080",
        "localhost",
        line="bind: localhost",
        says="is not an address: 'localhost'",
        allowed="HOST:PORT",
    ),
    fleet(
        "one address for two fleets",
        "fleets:\n",
        SECOND,
        line="bind: 127.0.0.1:8080",
        says="fleet web binds 127.0.0.1:8080 (line <bind: 127>), which fleet shop binds as "
        "*:8080 (line <*:8080>)",
        allowed="an address of its own",
    ),
    fleet(
        "a need that launch does not give",
        "greeting: hello from dev",
        "greting: hello from dev",
        line="      config:",
        says="family web needs greeting at launch, and launch.config does not give it. "
        "Is it greting?",
        allowed="launch: {config: {greeting: TEXT}}",
    ),
    fleet(
        "a configuration value that is no text",
        "greeting: hello from dev",
        "greeting: 1.10",
        line="greeting: 1.10",
        says="launch.config.greeting must be text, not a number",
        allowed="quotes",
    ),
    fleet(
        "a secret that stands in the file",
        "config: {greeting: hello from dev}",
        "config: {greeting: hello from dev}\n      secrets: {token: hunter2}",
        line="token: hunter2",
        says="launch.secrets.token is not a reference; a secret itself must not stand in this file",
        allowed="file:PATH or command:PROGRAM",
    ),
    fleet(
        "memory without a unit",
        "memory: 256m",
        "memory: 256 megabytes",
        line="256 megabytes",
        says="launch.resources.memory cannot be '256 megabytes'",
        allowed="such as 256m",
    ),
    worker(
        "http health without a port",
        health="http: /healthz",
        balancer="none",
        line="health: {http: /healthz}",
        says="http health needs a port, and the image's family has none",
        allowed="engine: true",
    ),
    worker(
        "haproxy without a port",
        health="engine: true",
        balancer="{haproxy: {bind: 127.0.0.1:9090}}",
        line="balancer: {haproxy",
        says="haproxy needs a port, and family worker has none",
        allowed="launch: {port: NUMBER}",
    ),
)

"""``volumes:``, ``order:``, ``kind:`` and jobs of ``inventories/<env>/fleets.yml``."""

from __future__ import annotations

from tests.broken.mutation import DEV, Kind, all_of, replace

BEFORE = "    balancer:\n"
SIZE = "    size: 3\n"
LIMITS = "    limits:\n      max_surge: 1\n      max_unavailable: 0\n"
DATA = "volumes: [{name: data, path: /var/lib/app}]"
JOB_FLEET = """fleets:
  nightly:
    image: web@stable
    kind: job
    launch: {config: {greeting: hello}}
"""


def kept(
    name: str, *written: str, line: str, says: str, allowed: str, limits: bool = False
) -> Kind:
    """A row whose fleet of 3 has these lines, and no limits unless they are wanted."""
    block = "".join(f"    {each}\n" for each in written)
    breaks = replace(DEV, BEFORE, f"{block}{BEFORE}")
    if not limits:
        breaks = all_of(breaks, replace(DEV, LIMITS, ""))
    return Kind(name=name, breaks=breaks, file=DEV, line=line, says=says, allowed=allowed)


def of_jobs(name: str, *written: str, line: str, says: str, allowed: str) -> Kind:
    """A row with one more fleet, of kind job."""
    block = "".join(f"    {each}\n" for each in written)
    breaks = replace(DEV, "fleets:\n", f"{JOB_FLEET}{block}")
    return Kind(name=name, breaks=breaks, file=DEV, line=line, says=says, allowed=allowed)


STATEFUL_KINDS = (
    kept(
        "a volume at a relative path",
        "volumes: [{name: data, path: var/lib/app}]",
        line="volumes:",
        says="volumes[0].path is not absolute: 'var/lib/app'",
        allowed="such as /var/lib/app",
    ),
    kept(
        "a volume that hides the image",
        "volumes: [{name: data, path: /etc/app}]",
        line="volumes:",
        says="volumes[0].path would hide /etc, which the image needs",
        allowed="such as /var/lib/app",
    ),
    kept(
        "a volume over everything",
        "volumes: [{name: data, path: /}]",
        line="volumes:",
        says="volumes[0].path would hide /, which the image needs",
        allowed="such as /var/lib/app",
    ),
    kept(
        "a volume where the launch data is",
        "volumes: [{name: data, path: /run/ovenbird/data}]",
        line="volumes:",
        says="volumes[0].path would hide /run, which the image needs",
        allowed="such as /var/lib/app",
    ),
    kept(
        "a volume whose name is none",
        "volumes: [{name: Data, path: /var/lib/app}]",
        line="volumes:",
        says="volumes[0].name cannot be 'Data'",
        allowed="a small letter",
    ),
    kept(
        "two volumes of one name",
        "volumes:",
        "  - {name: data, path: /var/lib/app}",
        "  - {name: data, path: /var/lib/other}",
        line="/var/lib/other",
        says="two volumes are called 'data' (line <path: /var/lib/app}>)",
        allowed="Give each volume a name of its own",
    ),
    kept(
        "a volume inside another one",
        "volumes:",
        "  - {name: data, path: /var/lib/app}",
        "  - {name: logs, path: /var/lib/app/logs}",
        line="/var/lib/app/logs",
        says="lie one on the other: /var/lib/app and /var/lib/app/logs",
        allowed="Give each volume a path of its own",
    ),
    kept(
        "surge of a fleet with volumes",
        DATA,
        line="max_surge: 1",
        says="a fleet with volumes has no surge, and max_surge is 1",
        allowed="Remove max_surge",
        limits=True,
    ),
    kept(
        "a fleet with volumes that may not move",
        DATA,
        "limits: {max_unavailable: 0}",
        line="limits:",
        says="leave a fleet of 3 no room to replace anything",
        allowed="Set max_unavailable to 1 or more; a fleet with volumes has no surge",
    ),
    kept(
        "a blue-green fleet with volumes",
        DATA,
        "rollout: {strategy: blue-green}",
        line="strategy: blue-green",
        says="a fleet with volumes cannot be blue-green",
        allowed="Set strategy: rolling. A fleet with volumes is replaced slot by slot",
    ),
    kept(
        "a previous instance that keeps its volumes",
        DATA,
        "rollout: {keep_previous: 10m}",
        line="keep_previous",
        says="keep_previous would keep the volumes with it",
        allowed="Remove keep_previous",
    ),
    kept(
        "an order without volumes",
        "order: [who-leads]",
        line="order:",
        says="order belongs to a fleet with volumes, and this one has none",
        allowed="Remove order",
    ),
    kept(
        "an order as text",
        DATA,
        "order: who-leads",
        line="order:",
        says="order must be a list, not text",
        allowed="Write order: [PROGRAM, ARGUMENT, …]",
    ),
    kept(
        "an order program that is not there",
        DATA,
        "order: [./who-leads]",
        line="order:",
        says="there is no order program ./who-leads",
        allowed="create the file",
    ),
    kept(
        "a kind that is none",
        "kind: jobs",
        line="kind: jobs",
        says="kind cannot be 'jobs'. Did you mean job?",
        allowed="Allowed here: job, service",
    ),
    kept(
        "a job of a service",
        "job: migrate",
        line="job: migrate",
        says="job belongs to kind: job, and this one is a service",
        allowed="before_first_wave: NAME",
    ),
    kept(
        "a job that the family does not have",
        "before_first_wave: migrate",
        line="before_first_wave:",
        says="family web has no job 'migrate'",
        allowed="Jobs of its launch in packer/images.yml: nothing",
    ),
    kept(
        "a job with a time that is none",
        "before_first_wave: {job: migrate, timeout: soon}",
        line="before_first_wave:",
        says="before_first_wave.timeout must be a duration, not 'soon'",
        allowed="A duration is",
    ),
    Kind(
        name="a fleet without a size",
        breaks=replace(DEV, SIZE, ""),
        file=DEV,
        line="  web:",
        says="size is missing",
        allowed="a number of instances, 0 or more",
    ),
    of_jobs(
        "a fleet of jobs without a job",
        line="kind: job",
        says="a fleet of kind job needs its job, and there is none",
        allowed="Add job: NAME",
    ),
    of_jobs(
        "a fleet of jobs with a size",
        "job: migrate",
        "size: 1",
        line="size: 1",
        says="a fleet of kind job has no size: it has one instance, while it runs",
        allowed="Remove size, or set kind: service",
    ),
    of_jobs(
        "a fleet of jobs with volumes",
        "job: migrate",
        DATA,
        line="volumes:",
        says="a fleet of kind job has no volumes: it has no slot to keep them for",
        allowed="Remove volumes",
    ),
    of_jobs(
        "a fleet of jobs with a balancer",
        "job: migrate",
        "balancer: none",
        line="balancer: none",
        says="a fleet of kind job has no balancer: it gets no traffic",
        allowed="Remove balancer",
    ),
    of_jobs(
        "a fleet of jobs with a rollout",
        "job: migrate",
        "rollout: {soak: 5m}",
        line="rollout:",
        says="a fleet of kind job has no rollout: nothing of it is replaced",
        allowed="Remove rollout",
    ),
)

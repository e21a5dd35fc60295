"""What Prometheus is told of a site: a text file for the node exporter, replaced in one step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from sqlalchemy import func, select

from ovenbird.report.behind import Behind
from ovenbird.state.database import Database
from ovenbird.state.tables import rollouts


def write(
    path: Path,
    found: Sequence[Behind],
    *,
    database: Database,
    run_at: datetime,
    outcome: str,
    failures: int,
    now: datetime,
) -> None:
    """Write age and updates of every image in use, the last patch run, and how rollouts ended."""
    registry = CollectorRegistry()
    _of_images(registry, found, now)
    _of_runs(registry, run_at, outcome, failures)
    _of_rollouts(registry, database)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


def _of_images(registry: CollectorRegistry, found: Sequence[Behind], now: datetime) -> None:
    named = ["image", "family"]
    age = Gauge(
        "ovenbird_image_packages_age_seconds",
        "Age of the packages of an image in use",
        named,
        registry=registry,
    )
    late = Gauge(
        "ovenbird_image_updates",
        "Packages of an image in use that have an update",
        [*named, "security"],
        registry=registry,
    )
    unknown = Gauge(
        "ovenbird_image_unknown",
        "1 where nothing can be said of an image in use",
        named,
        registry=registry,
    )
    for one in found:
        labels = {"image": str(one.version), "family": one.version.family}
        age.labels(**labels).set((now - one.version.packages_at).total_seconds())
        unknown.labels(**labels).set(1 if one.problem else 0)
        if not one.problem:
            late.labels(**labels, security="yes").set(one.security)
            late.labels(**labels, security="no").set(len(one.late) - one.security)


def _of_runs(registry: CollectorRegistry, run_at: datetime, outcome: str, failures: int) -> None:
    last = Gauge("ovenbird_patch_run_timestamp_seconds", "When it began", registry=registry)
    last.set(run_at.timestamp())
    how = "1 for how the last run ended"
    ended = Gauge("ovenbird_patch_run", how, ["outcome"], registry=registry)
    ended.labels(outcome=outcome).set(1)
    row = Gauge("ovenbird_patch_failures_in_a_row", "Failed runs", registry=registry)
    row.set(failures)


def _of_rollouts(registry: CollectorRegistry, database: Database) -> None:
    named = ["env", "fleet", "outcome"]
    counts = Gauge("ovenbird_rollouts", "Rollouts on record", named, registry=registry)
    columns = (rollouts.c.env, rollouts.c.fleet, rollouts.c.outcome)
    with database.reading() as db:
        for env, fleet, how, count in db.execute(select(*columns, func.count()).group_by(*columns)):
            counts.labels(env=env, fleet=fleet, outcome=how).set(count)

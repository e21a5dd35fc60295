"""What Prometheus is told of a site."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.builders import NOW, a_package, a_version
from tests.driving import Scene

from ovenbird.packages.stale import Update
from ovenbird.report.behind import Behind, Late
from ovenbird.report.metrics import write
from ovenbird.state.database import Database


def test_age_updates_the_last_run_and_rollouts_are_told(database: Database, tmp_path: Path) -> None:
    Scene.of(database, tmp_path).roll("web/1")
    image = replace(a_version(2), packages_at=NOW - timedelta(hours=1))
    update = Update(package=a_package("bread"), version="2", suite="s", security=True)
    found = [
        Behind(version=image, where=(), late=(Late(update=update, since=NOW),)),
        Behind(version=a_version(3), where=(), problem="The index expired."),
    ]
    path = tmp_path / "metrics" / "ovenbird.prom"

    write(path, found, database=database, run_at=NOW, outcome="failed", failures=2, now=NOW)

    text = path.read_text()
    for line in (
        'ovenbird_image_packages_age_seconds{family="web",image="web/2"} 3600.0',
        'ovenbird_image_updates{family="web",image="web/2",security="yes"} 1.0',
        'ovenbird_image_unknown{family="web",image="web/3"} 1.0',
        'ovenbird_patch_run{outcome="failed"} 1.0',
        "ovenbird_patch_failures_in_a_row 2.0",
        'ovenbird_rollouts{env="dev",fleet="web",outcome="done"} 1.0',
    ):
        assert line in text
    assert 'ovenbird_image_updates{family="web",image="web/3"' not in text, "not known is not none"

"""The command line: parse, call, print. No logic, and nobody imports it.

Every task imports what it needs when it runs, so that ``invoke --list`` stays instant.
"""

from __future__ import annotations

from invoke import Collection, Program

from ovenbird import __version__
from ovenbird.tasks import (
    acts,
    bake,
    dev,
    drift,
    fleet,
    house,
    image,
    image_advisories,
    image_gc,
    image_inside,
    image_revoke,
    image_scan,
    image_seals,
    job,
    logs,
    patch,
    report,
    rollout,
    schedule,
    volume,
)


def make_namespace() -> Collection:
    """Collect all verbs: daily ones on top, the rest in namespaces."""
    top = Collection(
        bake.bake,
        bake.prove,
        rollout.rollback,
        patch.patch,
        report.status,
        report.history,
        fleet.tend,
        house.quickstart,
        house.run_tests,
        house.doctor,
        house.check,
    )
    top.add_collection(
        Collection(
            "image",
            image.list_,
            image.show,
            image.explain,
            image.render,
            image.promote,
            image.deprecate,
            image_revoke.revoke,
            image.restore,
            patch.approve,
            image_inside.packages,
            image_inside.stale,
            image_inside.diff,
            image_advisories.advisories,
            image_seals.keygen,
            image_seals.sbom,
            image_seals.provenance,
            image_scan.scan,
            image_gc.keep,
            image_gc.gc,
        )
    )
    rollouts = Collection("rollout", rollout.all_)
    rollouts.add_task(rollout.rollout, name="one", default=True)
    top.add_collection(rollouts)
    top.add_collection(
        Collection(
            "fleet",
            acts.scale,
            acts.rebuild,
            acts.quarantine,
            acts.remove,
            fleet.pause,
            fleet.resume,
            fleet.cancel,
            rollout.abort,
            fleet.unpin,
            job.run,
            logs.logs,
            drift.drift,
        )
    )
    top.add_collection(Collection("schedule", schedule.install, schedule.show))
    top.add_collection(Collection("volume", volume.list_, volume.delete))
    top.add_collection(Collection("dev", dev.roles, dev.guard, dev.bench, dev.faults, dev.cluster))
    return top


namespace = make_namespace()


def main() -> None:
    """Run as ``ovenbird``, which is ``invoke`` with our name and no tasks.py."""
    Program(name="ovenbird", namespace=namespace, version=__version__).run()

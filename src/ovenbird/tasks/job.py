"""fleet.run: run the job of a fleet of kind job, on demand."""

from __future__ import annotations

from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import BECAUSE, ENV, FLEET, setting_of
from ovenbird.tasks.verb import verb


@verb(
    positional=["fleet"],
    help={
        **FLEET,
        **BECAUSE,
        "image": "Another image than the fleet's own: web/2 or web@candidate.",
        "timeout": "How long it may take instead of what the file says: 30m.",
        "json": "Print one JSON document on stdout.",
    },
)
def run(
    _: Any,
    fleet: str,
    env: str = ENV,
    image: str = "",
    timeout: str = "",
    because: str = "",
    json: bool = False,
) -> None:
    """Run a fleet's job once, to its end; one that a killed driver began is waited for instead."""
    from ovenbird.rollout.run import run_job
    from ovenbird.tasks.span import span

    console = Console()
    most = span(timeout, flag="--timeout").total_seconds() if timeout else None
    setting = setting_of(env, fleet, console)
    ran = run_job(setting, image=image, because=because, timeout=most)
    if json:
        console.document(
            {
                "fleet": str(setting.key),
                "image": ran.version,
                "job": ran.job,
                "instance": ran.ended.token,
                "exit_code": ran.ended.code,
                "adopted": ran.adopted,
                "console": ran.ended.console,
            }
        )
    ran.require_well()
    console.step(f"The job {ran.job} of {ran.version} {ran.ended.because}")
    if not json:
        for line in ran.ended.console.splitlines():
            console.note(f"  {line}")

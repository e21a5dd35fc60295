"""One fleet that really runs: its entry in fleets.yml, its instances, its load and its observer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from tests.backends import a_free_port
from tests.project import Driver, Project
from tests.sampler import Sampler
from tests.traffic import Traffic

from ovenbird.balancer.haproxy import HAProxyBalancer
from ovenbird.balancer.haproxy_process import Place
from ovenbird.process import Finished
from ovenbird.state.database import Database, sqlite_url
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck

HEALTH = {
    "http": "/healthz",
    "passes": 2,
    "interval": "0.5s",
    "timeout": "2s",
    "min_healthy_time": "1s",
    "healthy_deadline": "8s",
    "progress_deadline": "60s",
}


class LiveFleet:
    """A fleet of ``web`` with a port of its own. What `declare` is not told stays as it was."""

    def __init__(self, project: Project, name: str, *, env: str = "dev") -> None:
        self.project, self.name, self.env = project, name, env
        self.port = a_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.backend = f"ovenbird-{env}-{name}"
        self.secret = project.folder / f"secret-{env}-{name}"
        self._size, self._image, self._greeting = 3, "web@stable", f"hello from {env}"
        self._surge = 1
        self._procedure: Mapping[str, object] = {}
        self._job = ""
        self.hand_over_secret(f"nothing-secret-{env}-{name}")

    def declare(
        self,
        *,
        size: int | None = None,
        image: str = "",
        greeting: str = "",
        surge: int = 0,
        rollout: Mapping[str, object] | None = None,
        job: str = "",
    ) -> None:
        """Change the entry. ``rollout`` is how it is replaced, as fleets.yml says it, ``job`` what
        runs before its first wave."""
        self._job = job or self._job
        self._procedure = self._procedure if rollout is None else rollout
        self._size = self._size if size is None else size
        self._surge = surge or self._surge
        self._image, self._greeting = image or self._image, greeting or self._greeting
        self.project.declare_one(self.env, self.name, self._entry())

    def hand_over_secret(self, value: str) -> None:
        self.secret.write_text(f"{value}\n")
        self.secret.chmod(0o600)

    def rollout(self, *words: str, code: int | None = 0) -> Finished:
        return self.project.run(*self._rollout(words), code=code)

    def start_rollout(self, *words: str) -> Driver:
        return self.project.start(*self._rollout(words))

    def rollout_document(self, *words: str, code: int = 0) -> Any:
        return self.project.document(*self._rollout(words), code=code)

    def start_command(self, verb: str, *words: str) -> Driver:
        """Start a verb that takes this fleet, and return while it runs."""
        return self.project.start(verb, self.name, "--env", self.env, *words)

    def command(self, verb: str, *words: str, code: int | None = 0) -> Finished:
        """Run a verb that takes this fleet."""
        return self.project.run(verb, self.name, "--env", self.env, *words, code=code)

    def status(self) -> Any:
        told = self.project.document("status", "--fleet", self.name, "--env", self.env)
        (mine,) = told["fleets"]
        return mine

    def serving(self) -> list[str]:
        """Name the images of the instances that serve, in the order of ``status``."""
        return [i["image"] for i in self.status()["instances"] if i["health"] == "serving"]

    def containers(self) -> dict[str, Mapping[str, str]]:
        """Look at the engine itself: the labels of every container of this fleet, by name."""
        labels = {"ovenbird.env": self.env, "ovenbird.fleet": self.name}
        wanted = [f"--filter=label={key}={value}" for key, value in labels.items()]
        listed = json.loads(self.project.podman("ps", "--all", *wanted, "--format=json"))
        return {container["Names"][0]: container["Labels"] for container in listed}

    def created(self, *, since: datetime) -> dict[str, str]:
        """Name every container of this fleet that podman has made since then, with its image."""
        told = self.project.podman(
            *("events", f"--since={since.timestamp():.0f}", "--stream=false", "--format=json"),
            *("--filter=event=create", f"--filter=label=ovenbird.fleet={self.name}"),
        )
        events = [json.loads(line) for line in told.splitlines()]
        return {e["Name"]: e["Attributes"]["ovenbird.version"] for e in events}

    def rows(self, query: Select[Any]) -> list[Any]:
        """Read the site's own journal, without Ovenbird's way of reading it."""
        database = Database.open(sqlite_url(self.project.site / "ovenbird.db"))
        try:
            with database.begin() as db:
                return list(db.execute(query))
        finally:
            database.close()

    def sampler(self) -> Sampler:
        return Sampler(Place.of_site(self.project.site).socket, self.backend)

    def traffic(self, **wishes: float) -> Traffic:
        return Traffic(self.url, rate=wishes.pop("rate", 50.0), longest=900.0)

    def retire(self) -> None:
        """Take the fleet out of the file, the engine and HAProxy."""
        self.project.declare_one(self.env, self.name, None)
        if names := list(self.containers()):
            self.project.podman("rm", "--force", "--time=0", *names)
        key = FleetKey(site=self.project.id, env=self.env, name=self.name)
        spec = BalancerSpec(kind="haproxy", bind=f"127.0.0.1:{self.port}")
        HAProxyBalancer(key, spec, self.project.site, HealthCheck()).close()
        self.secret.unlink()

    def _rollout(self, words: tuple[str, ...]) -> tuple[str, ...]:
        answer = () if "--plan" in words else ("--yes",)
        return ("rollout", self.name, "--env", self.env, *answer, *words)

    def _entry(self) -> dict[str, object]:
        entry: dict[str, object] = {
            "image": self._image,
            "size": self._size,
            "launch": {
                "config": {"greeting": self._greeting},
                "secrets": {"token": f"file:{self.secret.name}"},
                "resources": {"memory": "256m", "cpus": 1},
            },
            "health": HEALTH,
            "balancer": {"haproxy": {"bind": f"127.0.0.1:{self.port}", "drain_timeout": "20s"}},
        }
        if self._procedure:
            entry["rollout"] = self._procedure
        if self._job:
            entry["before_first_wave"] = self._job
        if self._procedure.get("strategy") != "blue-green":  # whose ceiling is twice the size
            entry["limits"] = {"max_surge": self._surge, "max_unavailable": 0}
        return entry

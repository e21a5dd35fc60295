"""Ansible inside a bake, with the real programs: whatever a task aims at, one place is reached.

The build instance of these tests is this machine with one variable more, which the mark of a try
then holds. Where real engines are, the bakes themselves are the test.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.ansible_tries import Bake, Checkout

REFUSED = "REFUSED: this bake reaches only its build instance 'build'"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def bake(checkout: Checkout) -> Bake:
    return Bake(checkout)


def test_inside_a_bake_tasks_run_in_the_build_instance(bake: Bake) -> None:
    done = bake.run()
    assert (done.returncode, bake.marks) == (0, ["build"]), done.stdout


def test_files_get_there_and_back(bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(bytes(range(256)) * 1000)
    bake.checkout.playbook(
        f"- copy: {{src: {tmp_path}/sent, dest: '{tmp_path}/it''s there', mode: '0640'}}\n"
        f"- fetch: {{src: '{tmp_path}/it''s there', dest: {tmp_path}/back, flat: true}}\n"
        "- meta: reset_connection"
    )
    done = bake.run()
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()


AWAY = {
    "localhost": "shell: MARK, delegate_to: localhost",
    "a name": "shell: MARK, delegate_to: prod1.example",
    "an address": "shell: MARK, delegate_to: 127.0.0.1",
    "a loop": "shell: MARK, delegate_to: '{{ item }}', loop: [p.example]",
    "a connection too": "shell: MARK, delegate_to: q.example, vars: {ansible_connection: local}",
    "a delegated block": "block: [{NAME, shell: MARK}], delegate_to: p.example",
    "delegated facts": "setup: {}, delegate_to: p.example, delegate_facts: true",
    "the background": "shell: MARK, async: 5, poll: 1, delegate_to: p.example",
    "raw": "raw: MARK, delegate_to: p.example",
    "a script": "script: /bin/true, delegate_to: p.example",
    "a fetch": "fetch: {src: /etc/hostname, dest: ROOT/mark}, delegate_to: p.example",
    "a copy": "copy: {content: away, dest: ROOT/mark}, delegate_to: localhost",
    "waiting": "wait_for_connection: {timeout: 1, connect_timeout: 1}, delegate_to: p.example",
    "local_action": "local_action: {module: shell, _raw_params: MARK}",
    "a variable": "shell: MARK, vars: {ansible_host: prod1.example}",
    "an added host": "shell: MARK, delegate_to: added.example",
    "an included role": "include_role: {name: included, apply: {delegate_to: p.example}}",
    "an imported role": "import_role: {name: imported}, delegate_to: p.example",
    "a fact": "shell: MARK, vars: {ansible_host: '{{ elsewhere }}'}",
}


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Try every way in one run; return what Ansible said of each."""
    checkout = Checkout(tmp_path_factory.mktemp("tries"))
    tasks = [
        "- {add_host: {name: added.example, ansible_connection: local}}",
        "- {set_fact: {elsewhere: p.example}}",
    ]
    for name, task in AWAY.items():
        named = f"name: '{name}'"
        tasks.append(
            "- {" + task.replace("NAME", named) + ("" if "NAME" in task else f", {named}") + "}"
        )
    for kind in ("included", "imported"):
        role = checkout.root / f"roles/{kind}/tasks/main.yml"
        role.parent.mkdir(parents=True)
        role.write_text(f"- {{name: 'an {kind} role', shell: {json.dumps(checkout.leave_mark)}}}\n")
    text = "\n".join(tasks).replace("MARK", json.dumps(checkout.leave_mark))
    play = "hosts: bake\n  ignore_errors: true\n  ignore_unreachable: true"
    checkout.playbook(text.replace("ROOT", str(checkout.root)), play=play)
    bake = Bake(checkout)
    said = bake.run().stdout
    assert bake.marks == [], said
    found = dict.fromkeys(AWAY, "")
    for section in said.split("\nTASK [")[1:]:
        title, _, outcome = section.partition("]")
        name = title.rpartition(" : ")[2]  # a role's task is titled "ROLE : NAME"
        found[name] = found.get(name, "") + outcome
    return found


@pytest.mark.parametrize("way", AWAY)
def test_what_aims_at_another_host_is_refused_before_it_connects(
    tries: dict[str, str], way: str
) -> None:
    assert REFUSED in tries[way]


def test_an_added_host_in_the_group_of_the_bake_is_refused_in_the_next_play(bake: Bake) -> None:
    mark = json.dumps(bake.checkout.leave_mark)
    bake.checkout.playbook(
        "- {add_host: {name: p.example, groups: bake, ansible_connection: local}}",
        more=f"- {{hosts: bake, gather_facts: false, tasks: [{{shell: {mark}}}]}}\n",
    )
    done = bake.run()
    assert (done.returncode != 0, REFUSED in done.stdout) == (True, True)
    assert set(bake.marks) <= {"build"}


STAYS = {
    "a task's connection": ("- {shell: MARK, connection: local}", "hosts: bake"),
    "a play's connection": ("- {shell: MARK}", "hosts: bake\n  connection: local"),
    "a task's variable": ("- {shell: MARK, vars: {ansible_connection: local}}", "hosts: bake"),
    "a play's variable": ("- {shell: MARK}", "hosts: bake\n  vars: {ansible_connection: ssh}"),
    "a fact": ("- {set_fact: {ansible_connection: local}}\n- {shell: MARK}", "hosts: bake"),
    "a strategy": ("- {shell: MARK, connection: local}", "hosts: bake\n  strategy: free"),
}


@pytest.mark.parametrize(("tasks", "play"), STAYS.values(), ids=STAYS)
def test_another_connection_still_ends_in_the_build_instance(
    bake: Bake, tasks: str, play: str
) -> None:
    bake.checkout.playbook(tasks.replace("MARK", json.dumps(bake.checkout.leave_mark)), play=play)
    done = bake.run()
    assert (done.returncode, bake.marks) == (0, ["build"]), done.stdout


@pytest.mark.parametrize("hosts", ["localhost", "all", "bake:localhost", "'{{ x | d(0) }}'"])
def test_a_play_for_others_is_refused_before_the_first_task_of_all(bake: Bake, hosts: str) -> None:
    bake.checkout.playbook(
        f"- shell: {json.dumps(bake.checkout.leave_mark)}",
        more=f"- {{hosts: {hosts}, tasks: [{{debug: {{}}}}]}}\n",
    )
    done = bake.run()
    assert (done.returncode, bake.marks) == (2, [])
    assert "and not 'bake'" in done.stderr

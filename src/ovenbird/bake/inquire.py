"""Run as a file: put one shell program to an instance of a proof, and print what it answers.

A process of its own, because the way to an engine is in the environment of the bake's children.
"""

from __future__ import annotations

import sys
from pathlib import Path

import testinfra


def main(host: str, program: str) -> int:
    answer = testinfra.get_host(host).run("/bin/sh -c %s", Path(program).read_text())
    sys.stdout.write(answer.stdout)
    sys.stderr.write(answer.stderr)
    return int(answer.rc)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

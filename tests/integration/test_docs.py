"""What README and docs/ say can be typed, opened and looked up."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

from ovenbird.tasks import namespace

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = DOCS / "reference" / "commands.md"

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`([^`]+)`")
TYPED = re.compile(r"(?:^|(?<=[\s(:/]))(?:invoke|\./bootstrap) +(?P<rest>.+)")
END = re.compile(r"\s(?:&&|\|\|?|;|>)(?:\s|$)|\s\d>&\d|;|\)$|\s#\s")
SECTION = re.compile(r"^### ((?:[a-z]+\.)?[a-z]+)\b.*$", re.MULTILINE)

NAMES = {short[0] if short else name for name, short in namespace.task_names.items()}
"""What is typed: a collection's own task goes by the name of the collection."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(params=PAGES, ids=name_of)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def anchor(heading: str) -> str:
    """What a heading is called in a link, as GitHub and mkdocs make it."""
    plain = re.sub(r"[`*]|&[a-z]+;", "", heading.strip().lower())
    return re.sub(r"[^\w\s-]", "", plain).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#{1,6} (.+)$", prose(page.read_text()), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def prose(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)


def typed(text: str) -> Iterator[str]:
    """Every command line that a page shows, from its blocks and its code spans."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    for piece in [*lines, *CODE_SPAN.findall(prose(text))]:
        rest = piece
        while found := TYPED.search(rest):
            rest = found["rest"]
            yield END.split(rest)[0].strip()


def fault_of(command: str) -> str:
    """Why invoke would not take this, or "" where it does. A lone name is only a mention."""
    words = shlex.split(command)
    if not words or words[0].startswith("-") or words[0] == "TASK":
        return ""
    if words[0] not in NAMES:
        return f"there is no task {words[0]!r}"
    if len(words) == 1:
        return ""
    try:
        Parser(contexts=namespace.to_contexts()).parse_argv(words)
    except ParseError as refused:
        return str(refused)
    return ""


def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target in LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (fragment and fragment not in anchors(there)):
            lost.append(target)
    assert lost == []


def test_every_command_that_is_shown_can_be_typed(page: Path) -> None:
    refused = {c: why for c in typed(page.read_text()) if (why := fault_of(c))}
    assert refused == {}


def test_every_page_is_reached_from_the_index() -> None:
    index = DOCS / "index.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text())}
    assert {p for p in DOCS.rglob("*.md") if p != index} - linked == set()


def test_every_file_that_the_house_names_is_there() -> None:
    text = (DOCS / "explanation" / "the-house.md").read_text()
    named = {
        name for name in CODE_SPAN.findall(prose(text)) if re.fullmatch(r"[\w/]+(\.py|/)", name)
    }
    places = (ROOT, ROOT / "src" / "ovenbird")
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()


def sections() -> dict[str, str]:
    text = COMMANDS.read_text()
    found = list(SECTION.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {m[1]: text[m.end() : end] for m, end in zip(found, ends, strict=True)}


def test_the_reference_names_every_verb_and_no_other() -> None:
    assert set(sections()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_reference_names_every_flag_of_a_verb_and_no_other(name: str) -> None:
    context = next(c for c in namespace.to_contexts() if name in (c.name, *c.aliases))
    takes = {flag for flag in context.flags if flag.startswith("--")}
    takes -= {f"--{argument.name}" for argument in context.positional_args}
    told = re.findall(r"^\| `(--[a-z]+(?:-[a-z]+)*)", sections()[name], re.MULTILINE)
    assert set(told) == takes


def strings(source: Path) -> Iterator[str]:
    """What a module can say to a person: its string literals but for docstrings."""
    tree = ast.parse(source.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if id(node) in docs or id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_command_that_a_remedy_proposes_exists() -> None:
    missing = {
        f"{source.relative_to(ROOT)}: {name}"
        for source in (ROOT / "src").rglob("*.py")
        for text in strings(source)
        for name in re.findall(r"\binvoke ([a-z][a-z]*(?:\.[a-z]+)?)", text)
        if name not in NAMES
    }
    assert missing == set()

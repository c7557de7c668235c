"""What the documentation names exists: links, paths, commands and their options, variables, policy keys, tables."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from company.policy import load_policy
from orchestration.cli import app

ROOT = Path(__file__).parent.parent
LINKED = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
DOCUMENTS = [path for path in LINKED if path.name != "CHANGELOG.md"]  # which names what is gone
ASSETS = set((ROOT / "tests/orchestration/asset_keys.txt").read_text(encoding="utf-8").split())
TOP = {path.name for path in ROOT.iterdir()} - {".holdfast", "reports"}


@pytest.fixture(scope="module")
def sources() -> str:
    """Return the text of the Python modules and of the environment that they document."""
    modules = (
        path for folder in ("ingestion", "ml", "orchestration", "retention") for path in ROOT.glob(f"{folder}/**/*.py")
    )
    return "".join(path.read_text(encoding="utf-8") for path in (*modules, ROOT / ".env.example"))


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@pytest.mark.parametrize("document", LINKED, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@every_document
def test_every_path_exists(document: Path) -> None:
    paths = [name for name in code_spans(document) if is_path(name) and name not in ASSETS]
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []


@every_document
def test_every_command_is_there_with_its_options(document: Path) -> None:
    assert [f"{line}: {fault}" for line in commands(document) if (fault := fault_of(line))] == []


@every_document
def test_every_variable_is_read_somewhere(document: Path, sources: str) -> None:
    named = set(re.findall(r"HOLDFAST_[A-Z_]+", document.read_text(encoding="utf-8")))
    assert sorted(name for name in named if name not in sources) == []


@every_document
def test_every_table_is_written_somewhere(document: Path, sources: str) -> None:
    schemas = {asset.split("/")[0] for asset in ASSETS} | {"identity"}
    tables = [name for name in code_spans(document) if re.fullmatch(rf"({'|'.join(schemas)})[./][a-z_0-9]+", name)]
    known = {asset.replace("/", ".") for asset in ASSETS} | set(re.findall(r"[a-z_]+\.[a-z_0-9]+", sources))
    assert [table for table in tables if table.replace("/", ".") not in known and not is_path(table)] == []


@every_document
def test_every_policy_key_is_a_key(document: Path) -> None:
    policy = load_policy().as_dict()
    named = [name for name in code_spans(document) if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)]
    schemas = {asset.split("/")[0] for asset in ASSETS}
    keys = [name.split(".") for name in named if name.split(".")[0] in policy and name.split(".")[0] not in schemas]
    assert [f"{section}.{key}" for section, key in keys if key not in policy[section]] == []


def code_spans(document: Path) -> Iterator[str]:
    prose = re.sub(r"^ *```.*?^ *```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


def is_path(span: str) -> bool:
    """Whether a span of code is a path of this project: a file or folder at the top, or something below one."""
    return span in TOP or (re.fullmatch(r"[\w./*-]+/[\w./*-]*", span) is not None and Path(span).parts[0] in TOP)


def commands(document: Path) -> Iterator[str]:
    """Yield every command of ours: whole spans of code, and lines of blocks, without comments."""
    text = document.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    for line in (*lines, *code_spans(document)):
        command = line.strip().removeprefix(".venv/bin/")
        if re.match(r"(holdfast|make|python -m) [a-z]", command):
            yield command


def fault_of(line: str) -> str | None:
    """Return what is wrong with a command of the documentation, None when it exists with all its options."""
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
        return None if words[0] in targets else "no such target"
    if program == "python":
        return None if importlib.util.find_spec(words[1]) else "no such module"
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words:
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"no option {', '.join(unknown)}" if unknown else None

"""The structure is checked and not remembered: who imports whom, and who may look at the clock or the environment."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_SHIPPED = {"tests", "bench"}
STAGES = ("company", "ingestion", "expectations", "ml", "retention")
# A command is where the environment enters; the definitions are where Dagster reads it; dbt is given its own.
ENVIRONMENT_READERS = {
    "orchestration/entry.py",
    "orchestration/commands/check.py",
    "orchestration/commands/run.py",
    "orchestration/definitions.py",
    "orchestration/dbt_worker.py",
    "serving/__main__.py",
    "serving/lane/__main__.py",
}
CLOCKS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "Timestamp.now",
    "Timestamp.today",
}
ENVIRONMENTS = {"os.environ", "os.getenv"}
# Imports every module of ours and prints what an import itself asks the machine for: the first frame below a read, a
# look into the environment or the start of a process is either the import system's, or that of a module of ours.
IMPORT_ALL = """
import importlib, json, os, pkgutil, sys
root, found = sys.argv[1], set()
installed = (sys.prefix, sys.base_prefix, os.path.realpath(sys.prefix))

def blame(what):
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        is_library_looking = "site-packages" in name and what.startswith("environment")  # its own switches
        if name.startswith("<frozen ") or is_library_looking:
            return
        if name.startswith(root) and "/.venv/" not in name:
            found.add(f"{name.removeprefix(root + '/')}:{frame.f_lineno} {what}")
            return
        frame = frame.f_back

def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith(installed):
        return
    if event in {"open", "subprocess.Popen", "os.posix_spawn", "socket.connect", "sqlite3.connect", "duckdb.connect"}:
        blame(f"{event} {arguments[0]}")

class Watched(type(os.environ)):
    def __getitem__(self, key):
        blame(f"environment {key}")
        return super().__getitem__(key)

os.environ.__class__ = Watched
sys.addaudithook(hook)
names = sys.argv[2:]
for package in names:
    module = importlib.import_module(package)
    for each in pkgutil.walk_packages(module.__path__, f"{package}."):
        if not each.name.endswith("__main__") and ".versions." not in each.name and not each.name.endswith("env"):
            importlib.import_module(each.name)
print(json.dumps(sorted(found)))
"""
JOIN = re.compile(
    r"\b(inner|left|right|full|outer|cross|semi|anti|asof|positional|natural)\s+join\b"
    r"|\bjoin\s+\S+(\s+(as\s+)?\w+)?\s+(on|using)\b",
    re.IGNORECASE,
)
# Settled before dbt has a table to read: which ids are one customer, and which token stands for a personal value.
JOINS_BEFORE_DBT = {"ingestion/identity", "ingestion/projection.py"}
DEPTH_OF_MODULES = 2


def test_every_import_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_looks_at_the_clock(stage: str) -> None:
    assert list(find_uses(stage, CLOCKS)) == []


def test_the_environment_is_read_in_one_place() -> None:
    found = {
        use.split(":")[0]
        for package in (*STAGES, "serving", "orchestration")
        for use in find_uses(package, ENVIRONMENTS)
    }
    assert found <= ENVIRONMENT_READERS


def test_importing_a_module_reads_no_file_and_no_environment_and_starts_no_process(tmp_path: Path) -> None:
    packages = [path.parent.name for path in sorted(ROOT.glob("*/__init__.py")) if path.parent.name not in NOT_SHIPPED]
    assert {*STAGES, "serving", "orchestration"} <= set(packages)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, str(ROOT), *packages],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("package", [*STAGES, "serving", "orchestration"])
def test_no_sql_text_outside_of_dbt_has_a_join(package: str) -> None:
    assert sorted(set(find_joins(package)) - JOINS_BEFORE_DBT) == []


def test_every_exemption_from_the_rule_on_joins_is_used() -> None:
    assert set(find_joins("ingestion")) == JOINS_BEFORE_DBT


def find_joins(package: str) -> Iterator[str]:
    """Yield the place of every SQL text of a package that joins: a module, or a folder below the package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [read_text(node) for node in ast.walk(tree) if id(node) not in documentation]
        if any(JOIN.search(text) for text in texts):
            module = path.relative_to(ROOT)
            yield (module if len(module.parts) <= DEPTH_OF_MODULES else module.parent).as_posix()


def read_text(node: ast.AST) -> str:
    """Return the text of a literal, with a word in the place of what is filled in; none of other nodes."""
    if isinstance(node, ast.JoinedStr):
        return "".join(read_text(part) or "filled_in" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def find_uses(package: str, names: set[str]) -> Iterator[str]:
    """Yield path and line of every use of the dotted `names` in a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and {ast.unparse(node), ".".join(ast.unparse(node).split(".")[-2:])} & names
            ):
                yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"

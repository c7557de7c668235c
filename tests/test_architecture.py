"""The structure is checked and not remembered: who imports whom, and who may look at the clock or the environment."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = ("company", "ingestion", "expectations", "ml", "retention")
# The command line is where the environment enters; the resources are where Dagster reads it.
ENVIRONMENT_READERS = {"orchestration/cli.py", "orchestration/commands/entry.py", "orchestration/defs/resources.py"}
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


def test_every_import_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_looks_at_the_clock(stage: str) -> None:
    assert list(find_uses(stage, CLOCKS)) == []


def test_the_environment_is_read_in_one_place() -> None:
    found = {use.split(":")[0] for package in (*STAGES, "orchestration") for use in find_uses(package, ENVIRONMENTS)}
    assert found <= ENVIRONMENT_READERS


def find_uses(package: str, names: set[str]) -> Iterator[str]:
    """Yield path and line of every use of the dotted `names` in a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and {ast.unparse(node), ".".join(ast.unparse(node).split(".")[-2:])} & names
            ):
                yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"

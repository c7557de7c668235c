"""The truth stays apart: the platform neither imports the simulator nor names the files in which the truth lies."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLATFORM = ("ingestion", "industries", "expectations", "ml", "retention", "orchestration", "serving")
TRUTH = ("hazard.parquet", "response.parquet", "identity.parquet", "defects.parquet", "world.json", "truth/")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_part_of_the_platform_imports_the_simulator() -> None:
    guilty = [
        path.name for path in sources(*PLATFORM) if any(name.split(".")[0] == "simulator" for name in imports(path))
    ]

    assert guilty == []


def test_no_part_of_the_platform_names_a_file_of_the_truth() -> None:
    suffixes = {".py", ".sql", ".yml", ".yaml"}
    folders = [ROOT / package for package in (*PLATFORM, "dbt_project/models", "dbt_project/macros", "examples")]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in suffixes and "world" not in path.parts
    ]
    guilty = [
        (path.name, name)
        for path in files
        for name in TRUTH
        if name in path.read_text(encoding="utf-8", errors="ignore")
    ]

    assert guilty == []


def test_the_simulator_knows_nothing_of_the_platform_but_its_contract() -> None:
    known = {name for path in sources("simulator") for name in imports(path) if name.split(".")[0] in PLATFORM}

    assert known <= {"company.contract"}


@pytest.mark.parametrize("world", ["telecom", "retail"])
def test_nothing_served_says_who_will_leave(world: str, request: pytest.FixtureRequest) -> None:
    import pyarrow.parquet as pq

    folder: Path = request.getfixturevalue(world)
    served = {name for path in (folder / "sources").rglob("*.parquet") for name in pq.read_schema(path).names}
    hidden = {name for path in (folder / "truth").rglob("*.parquet") for name in pq.read_schema(path).names}

    assert served & hidden == set()

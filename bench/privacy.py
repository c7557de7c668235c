"""Search every file that a whole run writes for the names, numbers and addresses of a simulated company's people.

`python -m bench.privacy [--industry NAME] [--customers N] [--months N]` writes bench/results/privacy.json. Systems are
served as they are, a real database and a real HTTP API; the run ingests, links, builds, trains, scores, decides and
sends with everything it writes below one folder, temporary files too. The vault lies apart and is searched as well: it
holds the values, and none that can be read.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from simulator.parameters import load_parameters
from simulator.people import find_words, read_words
from simulator.serve import serve
from simulator.story import START, simulate

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "privacy.json"
SEED = 20260101
DESK = "http://127.0.0.1:8377/api/v2"  # where the example expects the service desk


def make_environment(world: Path, instance: Path) -> dict[str, str]:
    """Return the environment of an instance that writes everything below its folder, and keeps its vault apart."""
    return os.environ | {
        "HOLDFAST_HOME": str(instance / "home"),
        "HOLDFAST_COMPANY": str(world / "company.yaml"),
        "HOLDFAST_TOKEN_KEY": "a key for measuring only, 0123456789",
        "HOLDFAST_VAULT_URL": f"sqlite:///{world / 'vault.db'}",
        "HOLDFAST_MASTER_KEY": "a master key for measuring only",
        "TMPDIR": str(instance / "tmp"),
        "HOME": str(instance / "user"),
        "COLUMNS": "400",
    }


def run_pipeline(world: Path, instance: Path, *, industry: str, as_of: str) -> str:
    """Run the whole line on the served world with all its files below `instance`; returns what it printed.

    Raises RuntimeError where it stopped.
    """
    example = (ROOT / "examples" / industry / "company.yaml").read_text(encoding="utf-8")
    with serve(world) as (environment, _):
        company = example.replace(DESK, environment["DESK_URL"])
        (world / "company.yaml").write_text(company, encoding="utf-8")
        found = subprocess.run(
            [sys.executable, "-m", "orchestration.cli", "run", "--as-of", as_of, "--company", world / "company.yaml"],
            env=make_environment(world, instance) | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    print(found.stdout[-2000:])
    if found.returncode:
        raise RuntimeError(f"the night of {as_of} stopped:\n{found.stderr[-4000:]}")
    return found.stdout + found.stderr


def search_tables(instance: Path, words: frozenset[str]) -> dict[str, list[str]]:
    """Return the text columns of every DuckDB file that hold a word, since such files are compressed."""
    told = {}
    for path in instance.rglob("*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as connection:
            columns = connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns() "
                "where data_type in ('VARCHAR', 'JSON') and not internal and database_name = current_database()"
            ).fetchall()
            for schema, table, name in columns:
                query = f'select distinct "{name}"::varchar from "{schema}"."{table}" where "{name}" is not null'
                text = "\n".join(str(row[0]) for row in connection.execute(query).fetchall()).lower()
                if found := [word for word in words if word in text]:
                    told[f"{path.name} {schema}.{table}.{name}"] = found
    return told


def search_files(instance: Path, words: frozenset[str]) -> tuple[int, dict[str, list[str]]]:
    """Return how many files there are, and which hold a word."""
    files = [path for path in instance.rglob("*") if path.is_file()]
    held = {str(path.relative_to(instance)): find_words(words, path.read_bytes()) for path in files}
    return len(files), {name: told for name, told in held.items() if told}


def main() -> None:
    """Run, search, print what was found and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", default="retail")
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--months", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        world, instance = Path(scratch) / "world", Path(scratch) / "instance"
        for folder in ("tmp", "user"):
            (instance / folder).mkdir(parents=True)
        simulate(load_parameters(asked.industry), world, customers=asked.customers, months=asked.months, seed=SEED)
        words = read_words(world)
        as_of = (START + timedelta(days=30 * (asked.months - 1))).isoformat()
        said = run_pipeline(world, instance, industry=asked.industry, as_of=as_of)
        (instance / "printed.txt").write_text(said, encoding="utf-8")
        count, files = search_files(instance, words)
        columns = search_tables(instance, words)
        vault = find_words(words, (world / "vault.db").read_bytes())
    for place, told in {**files, **columns, **({"vault": vault} if vault else {})}.items():
        print(f"{place}: {len(told)} words, such as {told[:3]}")
    size = f"{asked.customers} customers, {len(words)} words, {count} files"
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    figures: list[dict[str, Any]] = [
        {
            "name": name,
            "value": value,
            "unit": "places",
            "bar": "<= 0",
            "holds": value == 0,
            "seed": SEED,
            "size": size,
            "machine": machine,
            "command": f"python -m bench.privacy --industry {asked.industry}",
        }
        for name, value in (
            (f"files with a clear value, {asked.industry}", len(files)),
            (f"columns with a clear value, {asked.industry}", len(columns)),
            (f"readable values in the vault, {asked.industry}", len(vault)),
        )
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    for figure in figures:
        print(f"{figure['name']:45} {figure['value']:>5}  {'holds' if figure['holds'] else 'FALLS SHORT'}  {size}")


if __name__ == "__main__":
    main()

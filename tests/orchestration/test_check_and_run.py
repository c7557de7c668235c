"""`holdfast check` and the ingestion of a run come to the same verdict on the sources of a company."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from instance import write_shop
from typer.testing import CliRunner

from company.file_faults import CompanyError
from company.industries import load_industry
from company.policy import PolicyError, load_policy
from expectations.gate import run_gate
from expectations.sources import build
from ingestion.landing import PATIENCE, land
from ingestion.readers import load_company
from orchestration.cli import app
from orchestration.commands.check import find_wrong_settings
from orchestration.defs.sources import describe_raw
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

NOW = datetime.now(UTC)
TODAY = NOW.date()
Change = Callable[[Path], None]


def replace(old: str, new: str) -> Change:
    """Change the company file."""

    def change(folder: Path) -> None:
        path = folder / "company.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def append(share: float, row: str) -> Change:
    """Add rows to the orders, so many that they make up a share of all."""

    def change(folder: Path) -> None:
        path = folder / "orders.csv"
        count = path.read_text().count("\n") - 1
        more = round(share / (1 - share) * count)
        with path.open("a") as file:
            file.writelines(row.format(number=f"n{number}") + "\n" for number in range(more))

    return change


def keep_customers(share: float) -> Change:
    """Shorten the list of customers."""

    def change(folder: Path) -> None:
        lines = (folder / "customers.csv").read_text().splitlines()
        (folder / "customers.csv").write_text("\n".join(lines[: 1 + round(share * len(lines))]) + "\n")

    return change


def both(first: Change, second: Change) -> Change:
    """Make two changes."""

    def change(folder: Path) -> None:
        first(folder)
        second(folder)

    return change


COMPANIES: dict[str, tuple[Change, int]] = {
    "sound": (replace("company: Corner Shop", "company: The Same Shop"), 0),
    "a few bad amounts": (append(0.04, "{number},c1,2024-05-01 10:00:00,much,0"), 0),
    "many bad amounts": (append(0.07, "{number},c1,2024-05-01 10:00:00,much,0"), 1),
    "many bad amounts and a policy that bears them": (
        both(
            append(0.07, "{number},c1,2024-05-01 10:00:00,much,0"),
            replace("gates: {", "gates: {maximum_quarantine_share: 0.1, "),
        ),
        0,
    ),
    "customers who are on no list": (keep_customers(0.5), 1),
    "next week's orders": (append(0.01, f"{{number}},c1,{TODAY + timedelta(days=7)} 10:00:00,5,0"), 1),
    "orders of tomorrow morning": (append(0.01, f"{{number}},c1,{NOW + timedelta(hours=3):%Y-%m-%d %H:%M:%S},5,0"), 0),
    "a feed that ended": (replace("    from: orders\n", "    from: orders\n    fresh_within_days: 30\n"), 1),
    "a column that is not there": (replace("amount: total", "amount: totl"), 2),
    "no order that can be read": (replace("ordered_at: moment", "ordered_at: number"), 2),
    "a channel of no kind": (replace("sources:", "channels: {pigeon: {}}\nsources:"), 2),
    "a limit that is none": (replace("gates: {", "gates: {maximum_quarantine_share: 7, "), 2),
}


def verdict_of_ingestion(path: Path, home: Path) -> int:
    """Return the exit code that the sources give a run."""
    try:
        company = load_company(path)
        policy = load_policy(load_industry(company.industry).policy, company.policy)
        if list(find_wrong_settings(company)):
            return 2
        warehouse = Warehouse(engine=DuckDb(path=home / "warehouse.duckdb"))
        for table in company.tables:
            with warehouse.connect() as connection:
                land(connection, company, table, secrets={}, batch="b", landed_at=NOW, confined=True)
    except (CompanyError, PolicyError):
        return 2
    raw = [(schema, table) for table, schemas in company.feeds().items() for schema in schemas]
    suites = build(
        [describe_raw(warehouse, company, schema, table) for schema, table in raw],
        as_of=TODAY,
        latest=NOW.replace(tzinfo=None) + PATIENCE,
        limits=policy.gates,
    )
    return int(not run_gate(suites, database=warehouse.engine.database, docs=home / "gates").passed)


@pytest.mark.parametrize("name", COMPANIES)
def test_check_gives_the_exit_code_that_the_sources_give_a_run(tmp_path: Path, name: str) -> None:
    change, expected = COMPANIES[name]
    write_shop(tmp_path / "shop")
    change(tmp_path / "shop")
    path = tmp_path / "shop" / "company.yaml"

    answer = CliRunner().invoke(app, ["check", str(path)])

    assert (answer.exit_code, verdict_of_ingestion(path, tmp_path)) == (expected, expected), answer.output

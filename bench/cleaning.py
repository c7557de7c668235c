"""How much of a dirty company's data is right after cleaning, measured against the simulator's ledger of defects.

`python -m bench.cleaning [--only INDUSTRY ...]` writes a world of each industry, serves it as real systems, lands every
table in two batches, stages it, and compares the outcome with the same world without its defects. The figures are
printed and written to bench/results/cleaning.json.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from company.company_file import Company
from company.contract import TABLES
from company.policy import load_policy
from dbt_project.variables import declare_ground
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.serve import serve
from simulator.story import simulate

SEED, CUSTOMERS, MONTHS = 0, 3000, 12
ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "cleaning.json"
BATCHES = {"first": datetime(2026, 1, 2, tzinfo=UTC), "second": datetime(2026, 1, 3, tzinfo=UTC)}
TOKEN_KEY = "a key for measuring only, 0123456789"
ROWS_RIGHT, FIELDS_RIGHT, GOOD_QUARANTINED = 0.995, 0.99, 0.001
# The served objects that carry declared defects: their key, and where each of their columns is staged.
KEYS = {
    "crm.account": "acct_no",
    "oms.sales_order": "order_no",
    "desk.tickets": "id",
    "clicks": "eid",
    "marketing.sends": "send_id",
}
STAGED = {
    "crm.account": ("customers", {"sex_cd": "gender", "birth_dt": "age_band", "pref_tag": "preference"}),
    "oms.sales_order": ("orders", {"sales_channel": "channel", "paid_amt": "amount"}),
    "desk.tickets": ("tickets", {"via": "channel", "csat": "satisfaction"}),
    "clicks": ("events", {"ts": "occurred_at", "src": "channel", "file": "occurred_at"}),
    "marketing.sends": ("touches", {"sent_at": "touched_at"}),
}
CLICK_TEXTS = ("eid", "uid", "ts", "act", "src", "sid", "did", "url", "sku", "feat")
CLICK = "{" + ", ".join(f"{c}: 'varchar'" for c in CLICK_TEXTS) + ", dur: 'bigint'}"
TYPES = {"paid_amt": "double", "csat": "integer"}
OF_ROWS = "('duplicate_click', 'test_row')"  # the row itself should not be there
OF_VALUES = "('enum_variant', 'mixed_time', 'impossible_value', 'missing_tag')"
OF_IDENTITY = "('duplicate_identity', 'household_phone', 'unlinked_user')"  # see bench/identity.py


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A warehouse whose staging is built, what its landings told, and the staged tables as parquet files."""

    company: Company
    warehouse: Path
    staged: Path
    reports: tuple[LandingReport, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What cleaning made of one world, as counts of rows, fields and declared defects."""

    industry: str
    rows: int
    rows_right: int
    fields: int
    fields_right: int
    good_rows: int
    good_quarantined: int
    defects: int
    defects_handled: int
    batches: int
    unbalanced: tuple[str, ...]
    unhandled: dict[str, int]


def restore(world: Path, into: Path) -> Path:
    """Write the world as it would be without its declared defects (identity aside), and return its folder."""
    shutil.copytree(world / "sources", into / "sources", ignore=shutil.ignore_patterns("clicks"))
    ledger = f"'{world}/truth/defects.parquet'"
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for served in KEYS:
            _restore(connection, ledger, served, world, into)
    shutil.copy(world / "company.yaml", into / "company.yaml")
    return into


def _restore(connection: duckdb.DuckDBPyConnection, ledger: str, served: str, world: Path, into: Path) -> None:
    key, defects = KEYS[served], f"{ledger} where \"table\" = '{served}'"
    if served == "clicks":
        rows = f"(select distinct * from read_json('{world}/sources/clicks/*/*.jsonl.gz', columns = {CLICK}))"
        target = into / "sources" / "clicks" / "2025-01-01" / "clicks.jsonl.gz"
        target.parent.mkdir(parents=True)
        form = "format json, compression gzip"
    elif served == "marketing.sends":
        rows = f"read_csv('{world}/sources/marketing/sends-*.csv', all_varchar = true)"
        target, form = into / "sources" / "marketing" / "sends-202501.csv", "header"
        for path in target.parent.glob("sends-*.csv"):
            path.unlink()
    else:
        part = "desk" if served.startswith("desk") else "database"
        file = Path("sources") / part / f"{served.removeprefix('desk.')}.parquet"
        rows, target, form = f"'{world / file}'", into / file, "format parquet"
    spoilt = f'select distinct "column" from {defects} and kind in {OF_VALUES}'
    columns = [name for (name,) in connection.execute(spoilt).fetchall()]
    replaced = f"replace ({', '.join(_undone(name, served) for name in columns)})" if columns else ""
    query = f"""
        select r.* {replaced} from {rows} r {" ".join(_clean_values(name, key, defects) for name in columns)}
        where r.{key} not in (select row_key from {defects} and kind in {OF_ROWS}) and not starts_with(r.{key}, 'QA')
    """
    order = ("updated_at", "id") if served == "desk.tickets" else (key,)
    connection.execute(f"copy (select * from ({query}) order by {', '.join(order)}) to '{target}' ({form})")


def _undone(name: str, served: str) -> str:
    zulu = " || 'Z'" if (served, name) == ("clicks", "ts") else ""
    clean = f"cast({name}_.clean{zulu} as {TYPES.get(name, 'varchar')})"
    return f"case when {name}_.row_key is null then r.{name} else {clean} end as {name}"


def _clean_values(name: str, key: str, defects: str) -> str:
    values = (
        f"select row_key, any_value(clean) as clean from {defects} and \"column\" = '{name}' and kind in {OF_VALUES}"
    )
    return f"left join ({values} group by 1) {name}_ on {name}_.row_key = r.{key}"


def build(world: Path, home: Path, *, batches: int) -> Instance:
    """Serve the world, land every table in one or two batches, stage it, and return the instance."""
    home.mkdir(parents=True)
    reports: list[LandingReport] = []
    later = _set_later_clicks_aside(world) if batches == len(BATCHES) else ()
    with tempfile.TemporaryDirectory() as data, serve(world, data=Path(data) / "postgres") as (environment, _):
        path = world / "company.yaml"
        path.write_text(path.read_text().replace("http://127.0.0.1:8377/api/v2", environment["DESK_URL"]))
        company, secrets = load_company(path), environment | {"HOLDFAST_TOKEN_KEY": TOKEN_KEY}
        for batch, at in list(BATCHES.items())[:batches]:
            with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
                for table in company.tables:
                    report = land(connection, company, table, secrets=secrets, batch=batch, landed_at=at)
                    reports += report.feeds or (report,)
            for folder in later:
                folder.rename(world / "sources" / "clicks" / folder.name)
            later = ()
    stage(company, home)
    return Instance(company=company, warehouse=home / "warehouse.duckdb", staged=export(home), reports=tuple(reports))


def _set_later_clicks_aside(world: Path) -> tuple[Path, ...]:
    """Move the logs of the last third of the days out of sight, as if they had not been written yet."""
    days = sorted((world / "sources" / "clicks").iterdir())
    aside = world / "later"
    aside.mkdir()
    return tuple(day.rename(aside / day.name) for day in days[len(days) * 2 // 3 :])


def stage(company: Company, home: Path) -> None:
    """Build and test the staging models; a failed test stops the measurement."""
    variables = {
        "feeds": company.feeds(),
        "timezone": company.timezone,
        "company_cleaning": company.cleaning.model_dump(mode="json"),
        **declare_ground(load_policy()),
    }
    models = ["path:models/staging", "path:models/bookkeeping"]
    command = [sys.executable, "-m", "dbt.cli.main", "build", "--quiet", "--select", *models]
    for name, folder in {"project-dir": ROOT / "dbt_project", "profiles-dir": ROOT / "dbt_project"}.items():
        command += [f"--{name}", str(folder)]
    command += [
        "--target-path",
        str(home / "target"),
        "--log-path",
        str(home / "logs"),
        "--vars",
        json.dumps(variables),
    ]
    environment = os.environ | {"HOLDFAST_HOME": str(home), "HOLDFAST_AS_OF": "2026-01-01"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-4000:] + done.stderr[-2000:])


def export(home: Path) -> Path:
    """Write every staged table to a parquet file of its name."""
    folder = home / "staged"
    folder.mkdir()
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        for table in TABLES:
            rows = f"select * exclude (_source, _batch) from staging.stg_{table}"
            connection.execute(f"copy ({rows}) to '{folder}/{table}.parquet'")
    return folder


def judge(industry: str, world: Path, dirty: Instance, clean: Instance) -> Verdict:
    """Compare the cleaned world with the one that never was dirty, and every declared defect with its remedy."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{dirty.warehouse}' as dirty (read_only)")
        connection.execute(f"create view defects as from '{world}/truth/defects.parquet'")
        compared = [_compare(connection, table, dirty, clean) for table in dirty.company.tables]
        defects, unhandled = _follow_defects(connection, dirty, clean)
        strays = _value(
            connection,
            """
            select count(*) from dirty.quarantine.rows q where not exists (
                select 1 from defects d where d.kind = 'impossible_value' and d.row_key = q.row_key)
        """,
        )
        balanced = _balance(connection, world, dirty)
        connection.execute(f"attach '{clean.warehouse}' as clean (read_only)")
        removed = "select coalesce(sum(count_rows), 0) from clean.bookkeeping.cleaning_counts where action = 'removed'"
        missing = _value(connection, removed)
    strays += sum(report.rows_quarantined for report in clean.reports)
    rows, right, fields, fields_right = (sum(part) for part in zip(*compared, strict=True))
    rows += missing  # honest rows that a rule took out of both worlds
    return Verdict(
        industry=industry,
        rows=rows,
        rows_right=right,
        fields=fields,
        fields_right=fields_right,
        good_rows=rows,
        good_quarantined=strays,
        defects=defects,
        defects_handled=defects - sum(unhandled.values()),
        batches=len(balanced),
        unbalanced=tuple(name for name, same in balanced.items() if not same),
        unhandled=unhandled,
    )


def _compare(
    connection: duckdb.DuckDBPyConnection, table: str, dirty: Instance, clean: Instance
) -> tuple[int, int, int, int]:
    """Return rows, right rows, fields and right fields of one table.

    A row is right when it is there with every field true, or filled or emptied as declared because the truth is gone,
    or when it is in quarantine because its own value cannot be believed. A row that should not be there is wrong. A
    field is right when it is true; filled and emptied ones are not.
    """
    ours, true = (f"'{instance.staged}/{table}.parquet'" for instance in (dirty, clean))
    key = TABLES[table].key
    described = connection.execute(f"describe from {true}").fetchall()
    names = [name for name, *_ in described if name not in key]
    same = {name: f"(o.{name} is not distinct from t.{name})" for name in names}
    lost = {"preference": "o.preference = 'unknown'", "age_band": "o.age_band is null"} if table == "customers" else {}
    whole = " and ".join(f"({same[name]} or {lost[name]})" if name in lost else same[name] for name in names) or "true"
    match = " and ".join(f"o.{name} is not distinct from t.{name}" for name in key)
    fields = " + ".join(f"{sql}::int" for sql in same.values()) or "0"
    rows, right, fields_right, held, set_aside = connection.execute(f"""
        with joined as (
            select o.{key[0]} is not null as is_ours, t.{key[0]} is not null as is_true, {whole} as is_whole,
                {fields} as right_fields, t.{key[0]} as id
            from {ours} o full join {true} t on {match}
        )
        select count(*), count_if(is_ours and is_true and is_whole),
            coalesce(sum(right_fields) filter (where is_ours and is_true), 0), count_if(is_ours and is_true),
            count_if(is_true and not is_ours and id in (
                select q.row_key from dirty.quarantine.rows q join defects d on d.row_key = q.row_key
                where q.table_name = '{table}' and d.kind = 'impossible_value'))
        from joined
    """).fetchall()[0]
    return rows, right + set_aside, held * len(names), fields_right


def _follow_defects(
    connection: duckdb.DuckDBPyConnection, dirty: Instance, clean: Instance
) -> tuple[int, dict[str, int]]:
    """Return how many defects were declared, and per kind how many met neither repair, removal nor quarantine."""
    unhandled: dict[str, int] = {}
    total = 0
    for served, (table, columns) in STAGED.items():
        ours, true = (f"'{instance.staged}/{table}.parquet'" for instance in (dirty, clean))
        key = TABLES[table].key[0]
        repaired = " ".join(
            f"when \"column\" = '{name}' then coalesce({_is_mended(name, column)}, false)"
            for name, column in columns.items()
        )
        rows = connection.execute(f"""
            select d.kind, count(*), count_if(not case
                    when d.kind in {OF_ROWS} then o.{key} is null
                    when d.kind = 'repeated_line' then t.{key} is null or o.{key} is not null
                    when q.row_key is not null then true
                    when t.{key} is null then o.{key} is null
                    {repaired} else false end)
            from defects d left join {ours} o on o.{key} = d.row_key left join {true} t on t.{key} = d.row_key
            left join (select distinct row_key from dirty.quarantine.rows where table_name = '{table}') q
                on q.row_key = d.row_key
            where d."table" = '{served}' and d.kind not in {OF_IDENTITY} group by all order by all
        """).fetchall()
        total += sum(count for _, count, _ in rows)
        for kind, _, missed in rows:
            unhandled[kind] = unhandled.get(kind, 0) + missed
    return total, unhandled


def _is_mended(name: str, column: str) -> str:
    lost = {"pref_tag": "o.preference = 'unknown'", "birth_dt": "o.age_band is null"}
    return lost.get(name, f"o.{column} = t.{column}")


def _balance(connection: duckdb.DuckDBPyConnection, world: Path, dirty: Instance) -> dict[str, bool]:
    """Return, per landing, per feed and per staged batch, whether every row is accounted for.

    Rows in are counted in the served files, not by the landing: of a table that is read whole at every landing, of the
    click logs over both.
    """
    balanced = {}
    for place, report in enumerate(dirty.reports):
        told = report.rows_landed + report.rows_quarantined + report.rows_duplicate
        balanced[f"landing {place} of {report.source}.{report.table}"] = report.rows_in == told
    for table, feeds in dirty.company.tables.items():
        for feed in feeds:
            mine = [r for r in dirty.reports if (r.table, r.source) == (table, feed.source)]
            read = sum(r.rows_in for r in mine) if feed.incremental else mine[0].rows_in
            served = _value(connection, f"select count(*) from {_served(world, feed.relation)}")
            balanced[f"{feed.source}.{table}, {read} of {served} rows"] = read == served
    accounts = "select batch, source, table_name, rows_landed = rows_staged + rows_removed"
    for *names, same in connection.execute(f"{accounts} from dirty.bookkeeping.cleaning_reconciliation").fetchall():
        balanced[f"staging of {'.'.join(names)}"] = same
    return balanced


def _served(world: Path, relation: str) -> str:
    sources = world / "sources"
    if relation == "clicks":
        # an hour's log that is another's to the last byte, one repeated line as a rule, is the same file and read once
        files = {path.read_bytes(): str(path) for path in sorted((sources / "clicks").glob("*/*.jsonl.gz"))}
        return f"read_json({list(files.values())}, columns = {CLICK})"
    if list((sources / "marketing").glob(f"{relation}-*.csv")):
        return f"read_csv('{sources}/marketing/{relation}-*.csv', all_varchar = true)"
    part = "database" if "." in relation else "desk"
    return f"'{sources}/{part}/{relation}.parquet'"


def _value(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])


def measure(industry: str, folder: Path, *, customers: int = CUSTOMERS, months: int = MONTHS) -> Verdict:
    """Write a world of `industry` below `folder`, clean it, and judge the outcome."""
    world = folder / "world"
    simulate(load_parameters(industry), world, customers=customers, months=months, seed=SEED)
    shutil.copy(ROOT / "examples" / industry / "company.yaml", world / "company.yaml")
    restored = restore(world, folder / "restored")
    clean = build(restored, folder / "clean", batches=1)
    return judge(industry, world, build(world, folder / "dirty", batches=2), clean)


def figures(verdict: Verdict, *, size: str) -> list[dict[str, Any]]:
    """Return the figures of one industry beside their bars."""
    rows, fields = verdict.rows_right / verdict.rows, verdict.fields_right / verdict.fields
    strays = verdict.good_quarantined / verdict.good_rows
    handled = f"{verdict.defects_handled} of {verdict.defects}"
    balanced = verdict.batches - len(verdict.unbalanced)
    books = f"{balanced} of {verdict.batches}"
    told = (
        ("rows_right", rows, f">= {ROWS_RIGHT}", rows >= ROWS_RIGHT, f"{verdict.rows_right} of {verdict.rows} rows"),
        ("fields_right", fields, f">= {FIELDS_RIGHT}", fields >= FIELDS_RIGHT, f"of {verdict.fields} fields"),
        (
            "good_rows_quarantined",
            strays,
            f"<= {GOOD_QUARANTINED}",
            strays <= GOOD_QUARANTINED,
            f"{verdict.good_quarantined} rows",
        ),
        (
            "defects_handled",
            verdict.defects_handled / verdict.defects,
            "= 1",
            verdict.defects_handled == verdict.defects,
            handled,
        ),
        (
            "batches_reconciled",
            balanced / verdict.batches,
            "= 1",
            not verdict.unbalanced,
            books,
        ),
    )
    return [
        figure(f"{verdict.industry}_{name}", value, bar=bar, holds=holds, reference=reference, size=size)
        for name, value, bar, holds, reference in told
    ]


def figure(name: str, value: float, *, bar: str, holds: bool, reference: str, size: str) -> dict[str, Any]:
    """Return one figure as it is written down."""
    kilobytes = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    cores, memory = len(os.sched_getaffinity(0)), kilobytes / 2**20
    machine = f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
    return {
        "name": name,
        "value": round(value, 6),
        "unit": "share",
        "bar": bar,
        "holds": holds,
        "reference": reference,
        "seed": SEED,
        "size": size,
        "machine": machine + f"DuckDB {duckdb.__version__}",
        "command": "python -m bench.cleaning",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every industry, print the figures and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=INDUSTRIES, default=INDUSTRIES)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--months", type=int, default=MONTHS)
    asked = parser.parse_args(arguments)
    known = {} if not RESULTS.exists() else {told["name"]: told for told in json.loads(RESULTS.read_text())}
    for industry in asked.only:
        with tempfile.TemporaryDirectory() as scratch:
            verdict = measure(industry, Path(scratch), customers=asked.customers, months=asked.months)
        size = f"{asked.customers} customers, {asked.months} months, {verdict.rows} rows, {verdict.defects} defects"
        missed = ", ".join(f"{count} {kind}" for kind, count in verdict.unhandled.items() if count)
        for told in figures(verdict, size=size):
            known[told["name"]] = told
            print(f"{told['name']:<34} {told['value']:>9} {told['bar']:<9} {told['reference']}")
        print(f"defects that nothing handled: {missed or 'none'}; out of balance: {verdict.unbalanced or 'none'}")
        RESULTS.write_text(json.dumps(list(known.values()), indent=2) + "\n")


if __name__ == "__main__":
    main()

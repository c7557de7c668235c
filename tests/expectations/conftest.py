"""A small warehouse in which every table passes its gate, and a way to spoil it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from expectations.gate import Suite, Verdict, run_gate

ROOT = Path(__file__).parents[2]
GOOD = """
create schema raw_shop; create schema staging; create schema customer_360; create schema features; create schema scores;
create schema retention;

create table raw_shop.orders as
select
    'o' || i as order_id, 'c' || (i % 40) as customer_id,
    timestamp '2026-02-01 10:00:00' + interval (i % 28) day as ordered_at,
    cast(i as double) as amount, 'b1' as _batch
from range(200) as numbers(i);

create table raw_shop.identities as
select 'c' || i as customer_id, 'email' as kind, 'ada' || i || '@example.org' as value, 'b1' as _batch
from range(40) as numbers(i);

create table staging.stg_customers as select 'c' || i as customer_id from range(40) as numbers(i);

create table customer_360.customers as
select
    'c' || i as customer_id, cast(1 + i % 5 as integer) as rfm_recency, cast(1 + i % 4 as integer) as rfm_frequency,
    cast(1 + i % 3 as integer) as rfm_monetary,
    0.4 * rfm_recency + 0.3 * rfm_frequency + 0.3 * rfm_monetary as rfm_score,
    cast(i * 10 as double) as amount_spent_total, amount_spent_total * 3.0 * 0.25 - 5.0 as value_from_now,
    case when i % 2 = 0 then 'new' else 'active' end as lifecycle_stage,
    case when i < 4 then 'platinum' when i < 12 then 'gold' else 'normal' end as value_tier
from range(40) as numbers(i);

create table features.customer_features as
select
    as_of, 'c' || i as customer_id, i % 4 <> 0 as is_eligible,
    cast(i as double) as recency_days, case when i % 10 = 0 then null else cast(i * i as double) end as amount_spent,
    cast(i % 5 as bigint) as count_orders, case when i % 2 = 0 then 'web' else 'store' end as main_channel
from range(40) as numbers(i), (values (date '2026-02-01'), (date '2026-03-01')) as slices(as_of);

create table scores.churn_scores as
select
    customer_id, as_of, batch, 30 as horizon_days, (recency_days + 0.5) / 40 as probability, 100 * probability as score,
    case when score >= 80 then 'high' when score >= 50 then 'medium' else 'low' end as tier,
    case when score >= 90 then 'high' when score >= 80 then 'medium' when score >= 60 then 'low' else 'none' end
        as alert_level, if(tier = 'high', tier, 'none') as level, '7' as model_version
from features.customer_features, (values (1), (2)) as batches(batch) where as_of = date '2026-03-01' and is_eligible;

create table scores.churn_reasons as
select
    customer_id, as_of, batch, rank, 'inactivity' as reason, 'silent_long' as fact, 0.5 as contribution,
    'no order for 57 days' as text_en, '已57天未下单' as text_zh
from scores.churn_scores, (values (1), (2), (3)) as ranks(rank);

create table retention.plans as
select
    'c' || i as customer_id, date '2026-03-01' as as_of,
    case when i < 3 then 'holdout' when i < 30 then 'treated' else 'none' end as arm,
    case when i < 30 then 'coupon' end as strategy_id, case when i < 30 then 'email' end as channel,
    case when i between 3 and 29 then 2.0 else 0.0 end as cost, 0.8::double as propensity
from range(40) as numbers(i);

create table retention.ledger as
select
    'c' || i as customer_id, date '2026-01-01' as as_of, case when i < 3 then 'holdout' else 'treated' end as arm,
    event, 'coupon' as strategy_id, false as is_replay, 'k' || i as idempotency_key
from range(6) as numbers(i), (values ('assigned'), ('sent')) as events(event)
where event = 'assigned' or i >= 3;
"""


@pytest.fixture(scope="session")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warehouse") / "good.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(GOOD)
    return path


@pytest.fixture
def database(good_file: Path, tmp_path: Path) -> Path:
    """A warehouse of one's own."""
    return Path(shutil.copy(good_file, tmp_path / "warehouse.duckdb"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """The folder of the gates' pages."""
    return tmp_path / "gates"


@pytest.fixture
def spoil(database: Path) -> Callable[[str], None]:
    """Change the warehouse."""

    def change(statement: str) -> None:
        with duckdb.connect(str(database)) as connection:
            connection.execute(statement)

    return change


@pytest.fixture
def judge(database: Path, docs: Path) -> Callable[[Sequence[Suite]], Verdict]:
    """Run suites on the warehouse."""
    return lambda suites: run_gate(suites, database=database, docs=docs)


@pytest.fixture
def failures(judge: Callable[[Sequence[Suite]], Verdict]) -> Callable[[Sequence[Suite]], set[tuple[str, str | None]]]:
    """Run suites and say which expectation failed for which column."""
    return lambda suites: {(finding.expectation, finding.column) for finding in judge(suites).failures}


@pytest.fixture
def read_pages(docs: Path) -> Callable[[], str]:
    """Read all pages of all gates at once."""
    return lambda: "\n".join(page.read_text(encoding="utf-8") for page in sorted(docs.rglob("*.html")))


@pytest.fixture
def python() -> Callable[[str], str]:
    """Run a program in a process of its own and return all that it printed."""

    def run(program: str) -> str:
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run

"""How fast the desk and the API answer over a million published customers, and under load while a snapshot is swapped.

Run `python -m bench.desk`; the figures are printed and written to bench/results/desk.json.
"""

import argparse
import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median, quantiles

import duckdb
import yaml

from bench.figures import Figure, at_most, machine, record
from company.policy import load_policy
from orchestration.defs.published import INDEXED
from orchestration.pages import find_port
from retention.store.store import Store
from serving.desk.visit import SESSION_COOKIE
from serving.sign_in.keys import ApiKey, ApiKeys
from serving.sign_in.users import User, Users

SEED = 20260101
SIZE = 1_000_000
ROUNDS = 7
REQUESTS_PER_SECOND, LOAD_SECONDS, WORKERS = 50, 20, 24
KEPT_OPEN_SECONDS, TIMEOUT = 4, 60  # the server closes a connection after 5
OK = 200
COMMAND = "make bench TOPIC=desk"
FILTERS = (
    "tier=high", "lifecycle_stage=dormant", "value_tier=gold", "region=region+3", "tier=high&region=region+5",
    "sort=score", "sort=value&tier=low",
)  # fmt: skip
TABLES = {
    "customers": """
        with drawn as (select i, hash(i + {seed}) as h from range({size}) as made(i)),
        described as (
            select
                date '2026-01-01' as as_of, printf('c%07d', i) as customer_id, 'region ' || h % 8 as region,
                'city ' || h % 50 as city, 'team ' || h % 40 as owner, 'team ' || h % 40 as responsible,
                ['new', 'active', 'dormant', 'churned'][1 + (h % 4)::int] as lifecycle_stage,
                ['platinum', 'gold', 'normal', 'normal'][1 + (h // 4 % 4)::int] as value_tier,
                (h % 10000) / 10000.0 as probability, (h % 10000) / 100.0 as score,
                ['high', 'medium', 'low'][1 + (h % 3)::int] as tier, (h // 7 % 10000) / 100.0 as previous_score,
                ['high', 'medium', 'low'][1 + (h // 7 % 3)::int] as previous_tier, date '2025-12-31' as previous_as_of,
                'inactivity' as main_reason, 'no order for ' || h % 90 || ' days' as main_reason_en,
                '已' || h % 90 || '天未下单' as main_reason_zh, 'no order for ' || h % 90 || ' days' as why_en,
                '已' || h % 90 || '天未下单, 消费下降' as why_zh, (h % 400)::bigint as recency_days,
                (h % 50000) / 6.0 as value_from_now, 'strategy ' || h % 16 as strategy_id,
                ['treated', 'holdout', 'none', 'none'][1 + (h // 16 % 4)::int] as arm, 'email' as channel,
                'best_use_of_budget' as decision_reason, 'email,sms' as allowed_channels,
                (h % 10000) / 10000.0 * (h % 50000) / 5.0 as money_at_risk,
                if(h % 20 = 0, md5(i::varchar), null) as alert_id
            from drawn
        )
        select row_number() over (order by money_at_risk desc, customer_id) as position, * from described
        order by position
    """,
    "alerts": """
        select position, as_of, customer_id, alert_id, tier as level, tier, 'none' as alert_level, score, probability,
            money_at_risk, 1 as priority, responsible as owner, main_reason, why_en, why_zh, position as rank
        from customers where alert_id is not null order by position
    """,
    "plans": """
        select position as rank, as_of, customer_id, strategy_id, arm, channel, 1.5 as cost, money_at_risk * 0.04
            as expected_value, 'treat' as decision, decision_reason, score, money_at_risk
        from customers order by position
    """,
    "scores": """
        select as_of - day::int as as_of, customer_id, score - day as score, probability, tier, '3' as model_version
        from (select * from customers, range(8) as days(day)) order by customer_id, as_of
    """,
    "reasons": """
        select as_of, customer_id, 1 as rank, main_reason as reason, why_en as text_en, why_zh as text_zh
        from customers where tier <> 'low' order by customer_id
    """,
    "families": """
        select customer_id, 'retention' as family, score as family_score from customers where tier = 'high'
        order by customer_id
    """,
    "forecasts": """
        select as_of, customer_id, months as horizon_months, months / 2.0 as expected_orders,
            value_from_now as expected_revenue, value_from_now as median_revenue,
            0.0 as revenue_low, 2 * value_from_now as revenue_high
        from customers, (values (3), (6), (12)) as horizons(months) order by customer_id, horizon_months
    """,
    "next_purchases": """
        select as_of, customer_id, 0.5 as order_chance_3m, as_of + 9 as next_order_date, as_of as next_order_from,
            as_of + 30 as next_order_until, 'cheese' as usual_category, 'bread' as suggested_category,
            'ham' as because_category, value_from_now as cross_sell_potential
        from customers order by customer_id
    """,
    "plan_changes": """
        select position, as_of, as_of - 1 as previous_as_of, customer_id,
            ['in', 'out', 'other_strategy', 'stays'][1 + position % 4] as plan_change, strategy_id, decision_reason,
            1.5 as cost, 10.0 as expected_value, 'strategy 1' as previous_strategy_id,
            'best_use_of_budget' as previous_reason, 1.5 as previous_cost, 9.0 as previous_expected_value
        from customers where arm = 'treated' order by position
    """,
    "strategies": """
        select 'strategy ' || i as strategy_id, 'Strategy ' || i as text_en, '策略' || i as text_zh
        from range(16) as made(i)
    """,
    "decision_reasons": "select 'best_use_of_budget' as decision_reason, 'best use' as text_en, '最优' as text_zh",
    "plan_prices": """
        select date '2026-01-01' as as_of, 'budget' as resource, 1e6 as amount, 9e5 as used, 0.0 as price,
            'Budget' as text_en, '预算' as text_zh
    """,
    "about": """
        select 'Bench' as company, 'EUR' as currency, 'UTC' as timezone, date '2026-01-01' as as_of,
            timestamp '2026-01-01 04:00' as published_at, 'inactivity' as churn_definition, 60 as active_within_days,
            30 as horizon_days, 0 as lead_days, null::double as fall_share, 1e6 as budget_amount,
            'month' as budget_period, 0.1 as holdout_share
    """,
}


@dataclass(kw_only=True)
class Client:
    """Somebody who asks the server on loopback, from any number of threads, at little cost to the machine itself."""

    port: int
    headers: dict[str, str]
    _own: threading.local = field(default_factory=threading.local)

    def fetch(self, path: str) -> None:
        """Ask, and raise unless it was answered."""
        connection = self._connect()
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != OK:
            raise RuntimeError(f"{path} was answered with {answer.status}.")
        self._own.open_until = time.monotonic() + KEPT_OPEN_SECONDS

    def _connect(self) -> http.client.HTTPConnection:
        """Return the thread's own connection, a new one where the last is old or broke."""
        if time.monotonic() > getattr(self._own, "open_until", 0):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        self._own.open_until = 0
        connection: http.client.HTTPConnection = self._own.connection
        return connection


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server: when it was started, its process, a browser that is signed in, and a program with a key."""

    begun: float
    pid: int
    person: Client
    program: Client

    def measure_processor(self, work: Callable[[], object]) -> float:
        """Return the seconds of processor time that the server takes while something is done."""
        before = self._processor_seconds()
        work()
        return self._processor_seconds() - before

    def _processor_seconds(self) -> float:
        behind_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(behind_name[11]) + int(behind_name[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def main() -> None:
    """Publish, serve, measure, and record."""
    parser = argparse.ArgumentParser(prog="python -m bench.desk")
    parser.add_argument("--size", type=int, default=SIZE, help="customers")
    parser.add_argument("--only-pages", action="store_true", help="without load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publish(folder / "holdfast.duckdb", given.size)
        company = folder / "company.yaml"
        limits = {"desk": {"api": {"requests_per_minute": 10**6}}}
        content = {"industry": "retail", "currency": "EUR", "policy": limits}
        company.write_text(yaml.safe_dump(content), encoding="utf-8")
        url = f"sqlite:///{folder / 'operational.db'}"
        with serve(folder / "holdfast.duckdb", company, url) as served:
            figures = [*measure_pages(served, given.size), *(() if given.only_pages else measure_load(folder, served))]
    load = f"load average of the machine while measured: {os.getloadavg()[0]:.1f}"
    common = {
        "reference": load,
        "size": f"{given.size:,} customers",
        "seed": SEED,
        "command": COMMAND,
        "machine": machine(),
    }
    record("desk", [Figure(**figure, **common) for figure in figures], replaces=("first view",))


def publish(path: Path, size: int) -> None:
    """Write a snapshot as publishing does."""
    with duckdb.connect(str(path)) as connection:
        for table, query in TABLES.items():
            connection.execute(f"create table {table} as {query.format(seed=SEED, size=size)}")
        for table, column in INDEXED.items():
            connection.execute(f"create index {table}_by_{column} on {table}({column})")


@contextmanager
def serve(snapshot: Path, company: Path, url: str) -> Iterator[Served]:
    """Serve for the length of a block."""
    port = find_port(0)
    session, key = sign_in_manager(url)
    command = [sys.executable, "-m", "serving", "--snapshot", str(snapshot), "--company", str(company)]
    environment = {**os.environ, "HOLDFAST_OPERATIONAL_URL": url}
    begun = time.perf_counter()
    server = subprocess.Popen([*command, "--port", str(port)], env=environment)
    person = Client(port=port, headers={"Cookie": f"{SESSION_COOKIE}={session}"})
    program = Client(port=port, headers={"Authorization": f"Bearer {key}"})
    try:
        yield Served(begun=begun, pid=server.pid, person=person, program=program)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def sign_in_manager(url: str) -> tuple[str, str]:
    """Return the secret of a session and a key, both of a retention manager."""
    at, role = datetime.now(UTC), "retention_manager"
    with Store(url) as store:
        store.migrate()
        users = Users(store.database, load_policy().desk.sign_in)
        link = users.add(User(name="bench", role=role), by="bench", at=at)
        session = users.choose_password(link, secrets.token_hex(16), at=at)
        return session, ApiKeys(store.database).add(ApiKey(name="bench", role=role), by="bench", at=at, days=1)


def measure_pages(served: Served, size: int) -> Iterator[dict[str, object]]:
    """Yield how long pages take, one request at a time."""
    begun, person, program = served.begun, served.person, served.program
    wait_for(person, "/sign-in")
    person.fetch("/today")
    yield {"name": "first page after the start", "unit": "s", **at_most(round(time.perf_counter() - begun, 3), 5)}
    tiers = [f"/today?value_tier={tier}" for tier in ("platinum", "gold", "normal")]
    yield {"name": "first view: /today, of a group", "unit": "s", **at_most(time_of(person, tiers), 1.5)}
    yield {"name": "the plan with what differs", "unit": "s", **at_most(time_of(person, ["/plan"]), 1.5)}
    filters = [time_of(person, [f"/customers?{each}"]) for each in FILTERS]
    yield {"name": "a filter of the list, the slowest", "unit": "s", **at_most(max(filters), 1)}
    customers = [f"/customers/c{size // 2 + number:07d}" for number in range(ROUNDS)]
    yield {"name": "a customer's page", "unit": "s", **at_most(time_of(person, customers), 0.5)}
    first = time_of(person, [f"/customers?after=[{50 * number}]" for number in range(ROUNDS)])
    deep = time_of(person, [f"/customers?after=[{size * 9 // 10 + 50 * number}]" for number in range(ROUNDS)])
    yield {"name": "a deep page of the list, less the first", "unit": "s", **at_most(round(deep - first, 3), 0.1)}
    lists = [f"/v1/customers?filter=score:ge:{70 + number}&sort=-score&limit=100" for number in range(ROUNDS)]
    yield {"name": "a filtered page of the API", "unit": "s", **at_most(time_of(program, lists), 1)}


def measure_load(folder: Path, served: Served) -> Iterator[dict[str, object]]:
    """Yield how long requests take from the moment at which they are due, while a snapshot is swapped in."""
    random, begun = Random(SEED), time.perf_counter()
    snapshot = folder / "holdfast.duckdb"
    shutil.copy(snapshot, folder / "next.duckdb")

    def ask(number: int) -> float:
        due = begun + number / REQUESTS_PER_SECOND
        time.sleep(max(due - time.perf_counter(), 0))
        client, path = draw(random, served.person, served.program)
        client.fetch(path)
        return time.perf_counter() - due

    begun = time.perf_counter()
    count = REQUESTS_PER_SECOND * LOAD_SECONDS
    with ThreadPoolExecutor(WORKERS) as pool:
        asked = [pool.submit(ask, number) for number in range(count)]
        time.sleep(LOAD_SECONDS / 2)
        (folder / "next.duckdb").replace(snapshot)
        times = [each.result() for each in asked]  # raises for the first that was not answered
    name = f"{REQUESTS_PER_SECOND} requests a second, mixed, with a swap: 99 in 100"
    yield {"name": name, "unit": "s", **at_most(round(quantiles(times, n=100)[98], 3), 0.5)}
    yield {"name": f"the same, half: {count} requests, none without an answer", "unit": "s",
           **at_most(round(median(times), 3), 0.5)}  # fmt: skip


def draw(random: Random, person: Client, program: Client) -> tuple[Client, str]:
    """Return somebody and what they ask: customers most of all, then lists, then the first page."""
    customer = f"c{random.randrange(1_000):07d}"
    kinds = [
        (person, f"/customers/{customer}"), (program, f"/v1/customers/{customer}"),
        (program, f"/v1/customers/{customer}/scores"), (program, "/v1/customers?filter=tier:eq:high&limit=20"),
        (person, f"/customers?{random.choice(FILTERS)}"), (person, "/today"),
    ]  # fmt: skip
    return random.choices(kinds, weights=(30, 30, 15, 15, 5, 5))[0]


def wait_for(client: Client, path: str) -> None:
    """Return once the server listens."""
    while True:
        try:
            client.fetch(path)
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return


def time_of(client: Client, paths: list[str]) -> float:
    """Return the median wall time in seconds of pages that nobody has asked for since the publication."""
    times = []
    for path in paths:
        begun = time.perf_counter()
        client.fetch(path)
        times.append(time.perf_counter() - begun)
    return round(median(times), 3)


if __name__ == "__main__":
    main()

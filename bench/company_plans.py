"""Plans of simulated companies: what they reach of the value that is really lost, and whether consent holds.

Each company is written, served and run through the whole pipeline once; the instance is kept in a folder. The true
probability of leaving, which the platform never reads, times the value from now on is what a customer is about to cost.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from bench.figures import Figure, at_least, at_most
from company.industries import load_industry
from company.policy import Policy, load_policy
from ingestion.readers import load_company
from retention.deciding.matching import match
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_files import load_strategies

CUSTOMERS, MONTHS, SEED = 2000, 12, 0
AS_OF = date(2025, 12, 1)
SECRETS = {"HOLDFAST_TOKEN_KEY": "a key for measuring only, 0123456789"}
CANDIDATES = "select * from decisions.candidates where as_of = $as_of order by customer_id"
TRUTH = "select customer_id, label_probability as leaving from read_parquet($hazard) where as_of = $as_of"
# each answer of a customer, or of a person who stands for them, by the day of the plan
CONSENTS = """
    select
        coalesce(contacts.account_id, consents.customer_id) as customer_id, lower(consents.purpose) as purpose,
        lower(coalesce(consents.channel, 'all')) as channel, consents.is_granted, consents.changed_at
    from staging.stg_consents as consents
    left join intermediate.int_contacts as contacts on consents.customer_id = contacts.customer_id
    where consents.changed_date < $as_of
    order by consents.changed_at, consents.is_granted desc"""
PART, LEAST_OF_PERFECT = 0.2, 0.60


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One company's day: `rows` of the plan with `leaving`, `lost` and `value_from_now`, and what it was made of."""

    industry: str
    rows: pd.DataFrame
    strategies: list[Strategy]
    consents: pd.DataFrame
    options: pd.DataFrame
    policy: Policy


def open_company(industry: str, keep: Path) -> Planned:
    """Plan the company's day with the whole budget, without exploring; run the pipeline first where `keep` lacks it."""
    home = keep / industry
    if not (home / "warehouse.duckdb").exists():
        _run(industry, home)
    company = load_company(home / "world" / "company.yaml")
    folder = load_industry(company.industry)
    policy = load_policy(folder.policy, company.policy, {"exploration": {"share": 0.0}})
    hazard = str(home / "world" / "truth" / "hazard.parquet")
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        candidates, consents = (connection.execute(query, {"as_of": AS_OF}).df() for query in (CANDIDATES, CONSENTS))
        truth = connection.execute(TRUTH, {"as_of": AS_OF, "hazard": hazard}).df()
    strategies = load_strategies(folder.path, *company.strategy_files, policy=policy, currency=company.currency)
    rows = plan(candidates, strategies, policy, spent=0).rows
    rows = rows.merge(candidates[["customer_id", "value_from_now"]], on="customer_id")
    rows = rows.merge(truth, on="customer_id", how="left")
    rows["lost"] = rows["leaving"].astype(float) * rows["value_from_now"].clip(lower=0).fillna(0.0)
    options = match(candidates, strategies, policy)
    return Planned(
        industry=industry, rows=rows, strategies=strategies, consents=consents, options=options, policy=policy
    )  # fmt: skip


def _run(industry: str, home: Path) -> None:
    """Write the company's systems and its truth, serve them, and run the pipeline for the day."""
    world, environment = home / "world", os.environ | SECRETS | {"HOLDFAST_HOME": str(home)}
    size = ["--customers", str(CUSTOMERS), "--months", str(MONTHS), "--seed", str(SEED)]
    python, company = sys.executable, str(world / "company.yaml")
    pipeline = [python, "-m", "orchestration.cli", "run", "--company", company, "--as-of", AS_OF.isoformat()]
    for command in (
        [python, "-m", "simulator", "--industry", industry, *size, "--out", str(world)],
        [python, "-m", "simulator.serve", str(world), *pipeline],
    ):
        subprocess.run(command, check=True, env=environment)


def measure_company(planned: Planned, *, command: str) -> Iterator[Figure]:
    """Compare the plan with the truth, with three simple policies, and with the consents as they were given."""
    scored = planned.rows.loc[planned.rows["probability"].notna()].reset_index(drop=True)
    size = f"{len(planned.rows)} customers, {len(scored)} scored, {scored['leaving'].sum():.0f} about to leave"
    common: dict[str, Any] = {"size": size, "seed": SEED, "command": command}
    name = planned.industry
    shares = {
        order: reach(scored["lost"], scored[order])
        for order in ("expected_value", "money_at_risk", "probability")
    }  # fmt: skip
    yield Figure(
        f"{name}: share of a perfect ordering's lost value held by the first 20 % by value of acting",
        **at_least(shares["expected_value"], LEAST_OF_PERFECT), unit="",
        reference=f"by money at risk {shares['money_at_risk']:.3f}, by probability {shares['probability']:.3f}",
        **common,
    )  # fmt: skip
    kept, rivals = weigh_policies(scored, planned)
    yield Figure(
        f"{name}: value kept of what is lost, at the declared effects, less cost",
        **at_least(kept, max(rivals.values())), unit="currency",
        reference=", ".join(f"{policy} {value:,.0f}" for policy, value in rivals.items()), **common,
    )  # fmt: skip
    yield Figure(f"{name}: planned without consent", **at_most(count_without(planned), 0), unit="rows", **common)


def reach(lost: "pd.Series[float]", order: "pd.Series[float]") -> float:
    """Return what the first by `order` hold of what is lost, over what as many of a perfect ordering hold."""
    count = round(PART * len(lost))
    first = order.sort_values(ascending=False, na_position="last").index[:count]
    return float(lost.loc[first].sum() / lost.nlargest(count).sum())


def weigh_policies(scored: pd.DataFrame, planned: Planned) -> tuple[float, dict[str, float]]:
    """Return what the plan keeps of the value that is lost, less cost, and what three simple policies keep.

    The simple ones give one strategy, that which is planned most, to everybody above the cut-off, to as many at random,
    or the strategy that keeps most to all whom it is for and pays for, while its channel has room: effects are those of
    the library, customers held out excluded.
    """
    treated = scored.loc[scored["arm"].eq("treated")]
    kept = float((treated["lost"] * treated["effect"] - treated["cost"]).sum())
    free = scored.loc[scored["arm"].ne("holdout")]
    usual = next(each for each in planned.strategies if each.id == treated["strategy_id"].mode()[0])

    def keep(people: pd.DataFrame, strategy: Strategy) -> float:
        return float((people["lost"] * strategy.effect.value - strategy.cost(planned.policy)).sum())

    def paying(strategy: Strategy) -> pd.DataFrame:
        meant = planned.options.loc[planned.options["strategy_id"] == strategy.id, "customer_id"]
        pays = free["money_at_risk"] * strategy.effect.value > strategy.cost(planned.policy)
        room = planned.policy.capacity.get(strategy.channel, len(free))
        return free.loc[pays & free["customer_id"].isin(meant)].nlargest(room, "money_at_risk")

    return kept, {
        "everybody above the cut-off": keep(free.loc[free["level"].ne("none")], usual),
        "as many at random": keep(free.sample(len(treated), random_state=SEED), usual),
        "best single strategy": max(keep(paying(each), each) for each in planned.strategies if not each.stages),
    }


def count_without(planned: Planned) -> int:
    """Return how many planned rows no consent covers, read from the answers themselves and not from the candidates."""
    rules, purposes = planned.policy.contact_rules, {each.id: each.purpose for each in planned.strategies}
    answers = {
        (row.customer_id, row.purpose, row.channel): (row.changed_at, row.is_granted)
        for row in planned.consents.itertuples()
    }  # the last of each wins
    without = 0
    for row in planned.rows.loc[planned.rows["strategy_id"].notna()].itertuples():
        purpose = purposes[str(row.strategy_id)]
        channels = (rules.channels[str(row.channel)], "all")
        given = [answers[key] for channel in channels if (key := (row.customer_id, purpose, channel)) in answers]
        is_open = max(given)[1] if given else rules.consent[purpose] == "opt_out"
        without += not is_open
    return without if len(planned.consents) else 0

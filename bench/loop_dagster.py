"""Is a year through Dagster the year that the pure functions give: twelve monthly nights of a company that answers.

`python -m bench.loop_dagster [--keep FOLDER] [--nights 12] [--customers 1500]` adds its figures to
bench/results/loop.json. Every night is a whole `holdfast run` on the simulated company as it has gone so far: the
world is lived again with what the built-in gateway received until then. Afterwards the year is planned once more by
the pure functions alone, from nothing but each night's candidates, the share that its plan counted as kept, and the
truth of who left: holdout, exploration, budget, cool-down, effects and reviews follow from the pure plans before.
FOLDER keeps the nights, so that a run that was stopped goes on.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from bench.company_plans import SECRETS
from bench.figures import Figure, at_least, at_most, record, without_bar
from company.industries import load_industry
from company.policy import Policy, load_policy
from ingestion.readers import load_company
from ml.effects.estimate import EffectConfig, estimate
from ml.effects.randomised import read_randomised
from retention.deciding.contact_rules import find_capped
from retention.deciding.matching import read_fits
from retention.deciding.plan import TREATED, UNTOUCHED, plan
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_files import load_strategies
from retention.measuring.guardrails import find_broken, read_guardrails
from retention.measuring.lifecycle import Review, break_evens, keep_active, review
from retention.measuring.money import measure_money
from retention.measuring.outcomes import read_effects
from simulator.calendar import shift
from simulator.story import START

INDUSTRY, CUSTOMERS, SEED, REDUCTION = "telecom", 1500, 0, 0.20
HISTORY, NIGHTS = 8, 12  # months before the first night, and nights
READ = {
    "candidates": "select * from decisions.candidates where as_of = $as_of order by customer_id",
    "plans": "select * from retention.plans where as_of = $as_of order by customer_id",
    "side_effects": "select * from outcomes.side_effects where event = 'assigned' order by entry_id",
    "money": "select * from outcomes.money where as_of = $as_of",
    "outcomes": "select * from outcomes.treatment_outcomes order by entry_id",
}
LEFT = "select customer_id, left_on from read_parquet($file)"


def list_nights(count: int) -> list[date]:
    """Return the days of the nights."""
    return [shift(START, HISTORY + number) for number in range(count)]


# ------------------------------------------------------------------------------------------------------ through Dagster


def live_nights(keep: Path, nights: int, customers: int) -> None:
    """Run the nights that `keep` does not hold yet, each on the world as it has gone until then."""
    for number, day in enumerate(list_nights(nights)):
        folder = keep / f"night-{number:02}"
        if not (folder / "money.parquet").exists():
            _live_night(keep, folder, day, customers)


def _live_night(keep: Path, folder: Path, day: date, customers: int) -> None:
    world = keep / f"world-{day}"
    environment = os.environ | SECRETS | {"HOLDFAST_HOME": str(keep / "home")}
    contacts = _export_contacts(keep, environment)
    if not (world / "truth" / "customers.parquet").exists():
        _simulate(world, customers=customers, months=_count_months(day), contacts=contacts)
    command = [sys.executable, "-m", "orchestration.cli", "run", "--company", str(world / "company.yaml")]
    served = [sys.executable, "-m", "simulator.serve", str(world), *command, "--as-of", day.isoformat()]
    subprocess.run(served, check=True, env=environment)
    folder.mkdir(exist_ok=True)
    with duckdb.connect(str(keep / "home" / "warehouse.duckdb"), read_only=True) as connection:
        for name in ("candidates", "plans", "side_effects", "outcomes", "money"):
            given = {"as_of": day} if "$as_of" in READ[name] else None
            connection.execute(READ[name], given).df().to_parquet(folder / f"{name}.parquet")


def _count_months(day: date) -> int:
    return (day.year - START.year) * 12 + day.month - START.month


def _export_contacts(keep: Path, environment: dict[str, str]) -> Path | None:
    """Write what the built-in gateway received so far; None before the first night."""
    if not (keep / "home" / "outbox" / "inbox.db").exists():
        return None
    path = keep / "contacts.jsonl"
    company = next(iter(sorted(keep.glob("world-*/company.yaml"))))
    command = [sys.executable, "-m", "orchestration.cli", "outbox", "export", str(path), "--company", str(company)]
    subprocess.run(command, check=True, env=environment)
    return path


def _simulate(world: Path, *, customers: int, months: int, contacts: Path | None) -> None:
    size = ["--customers", str(customers), "--months", str(months), "--span", str(HISTORY + NIGHTS)]
    size += ["--seed", str(SEED), "--out", str(world)]
    answers = ["--contacts", str(contacts), "--reduction", str(REDUCTION)] if contacts else []
    subprocess.run(
        [sys.executable, "-m", "simulator", "--industry", INDUSTRY, *size, *answers], check=True, cwd=Path.cwd()
    )


# ---------------------------------------------------------------------------------------------- by pure functions


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What both years go by."""

    policy: Policy
    strategies: tuple[Strategy, ...]
    window: timedelta


def read_rules(world: Path) -> Rules:
    """Read them as the platform does."""
    company = load_company(world / "company.yaml")
    folder = load_industry(company.industry)
    policy = load_policy(folder.policy, company.policy)
    strategies = load_strategies(folder.path, *company.strategy_files, policy=policy, currency=company.currency)
    window = timedelta(days=company.churn.lead_days + company.churn.horizon_days)
    return Rules(policy=policy, strategies=tuple(strategies), window=window)


def plan_purely(keep: Path, nights: int, rules: Rules, left: "pd.Series[Any]") -> pd.DataFrame:
    """Return the decisions of the year, planned from each night's candidates and from the pure plans before it."""
    decisions: list[pd.DataFrame] = []
    reviews: list[Review] = []
    effects = None
    fits = {each.id: read_fits(each, rules.policy) for each in rules.strategies}
    for number, day in enumerate(list_nights(nights)):
        people, kept_share = _read_night(keep / f"night-{number:02}")
        known = pd.concat(decisions) if decisions else pd.DataFrame()
        active = list(keep_active(rules.strategies, reviews, as_of=day))
        rows = _plan(people.assign(as_of=day), known, active, effects, rules, kept_share=kept_share)
        decided = rows.loc[rows["arm"].ne(UNTOUCHED)].merge(people[["customer_id", "value_from_now"]], on="customer_id")
        decisions.append(_follow(decided, left, rules, day))
        matured = pd.concat(decisions)
        matured = matured.loc[matured["outcome_until"] <= day]
        felt = rules.policy.effects.windows_felt(matured["probability"].astype(float))
        randomised = read_randomised(matured, kept_share=kept_share, felt=felt, fits=fits)
        effects = estimate(randomised, _declare(rules), EffectConfig.of(rules.policy)).table
        side_effects = pd.read_parquet(keep / f"night-{number:02}" / "side_effects.parquet")
        broken = find_broken(read_guardrails(side_effects, rules.policy, today=day))
        found = read_effects(matured, rules.policy, today=day)
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        needs = break_evens(matured, kept_share=kept_share, felt=felt)
        reviews += review(found, needs, reviews, broken=broken, as_of=day, at=at)
    return pd.concat(decisions, ignore_index=True)


def _read_night(folder: Path) -> tuple[pd.DataFrame, float]:
    """Return a night's candidates, and the share that its plan counted as kept."""
    shares = pd.read_parquet(folder / "plans.parquet")["kept_share"]  # the same in every row
    return pd.read_parquet(folder / "candidates.parquet"), float(shares.iloc[0])


def _plan(
    people: pd.DataFrame, known: pd.DataFrame, active: list[Strategy], effects: pd.DataFrame | None, rules: Rules,
    *, kept_share: float,
) -> pd.DataFrame:  # fmt: skip
    day = max(people["as_of"])
    near = timedelta(days=rules.policy.cooldown_days)
    recent = known.loc[[day - each < near for each in known["as_of"]]] if len(known) else known
    pairs = set(zip(recent["customer_id"], recent["strategy_id"], strict=True)) if len(recent) else set()
    treated = known.loc[known["arm"].eq(TREATED), ["customer_id", "as_of"]] if len(known) else known
    return plan(
        people, active, rules.policy, spent=0, effects=effects, kept_share=kept_share,
        recent_contacts={customer for customer, _ in pairs}, recent_strategies=pairs,
        capped=find_capped(people, treated, rules.policy) if len(treated) else (),
    ).rows  # fmt: skip


def _follow(decided: pd.DataFrame, left: "pd.Series[Any]", rules: Rules, day: date) -> pd.DataFrame:
    """Return decisions with what came of them, by the truth."""
    until = day + rules.window
    left_on = decided["customer_id"].map(left)
    is_gone = pd.to_datetime(left_on) < pd.Timestamp(until)
    was_gone = pd.to_datetime(left_on) < pd.Timestamp(day)  # who is no customer cannot leave
    return decided.assign(
        outcome_until=until, churned=is_gone.astype("boolean").mask(was_gone), retained=~is_gone, is_mature=True,
        event="assigned",
        is_sent=decided["arm"].eq(TREATED),
    )  # fmt: skip


def _declare(rules: Rules) -> pd.DataFrame:
    rows = [
        (each.id, each.effect.value, each.effect.low, each.effect.high, each.cost(rules.policy), each.effect.source)
        for each in rules.strategies
    ]
    return pd.DataFrame(rows, columns=["strategy_id", "effect", "low", "high", "cost", "source"])


# ------------------------------------------------------------------------------------------------------------- figures


def compare(keep: Path, nights: int, customers: int) -> Iterator[Figure]:
    """Yield how far the two years agree: plans row by row, outcomes with the truth, and what was saved."""
    last = list_nights(nights)[-1]
    world = keep / f"world-{last}"
    rules = read_rules(world)
    with duckdb.connect() as connection:
        truth = connection.execute(LEFT, {"file": str(world / "truth" / "customers.parquet")}).df()
    pure = plan_purely(keep, nights, rules, truth.set_index("customer_id")["left_on"])
    lived = pd.concat(pd.read_parquet(keep / f"night-{number:02}" / "plans.parquet") for number in range(nights))
    lived = lived.loc[lived["arm"].ne(UNTOUCHED)]
    common: dict[str, Any] = {
        "size": f"{customers} customers of {INDUSTRY}, {nights} nights, {len(lived)} decisions", "seed": SEED,
        "command": "python -m bench.loop_dagster",
    }  # fmt: skip
    yield Figure(
        "through Dagster: decisions of the nights that the pure functions make alike",
        **at_least(_count_alike(lived, pure), 1.0), unit="", reference=f"pure {len(pure)}", **common,
    )  # fmt: skip
    night = keep / f"night-{nights - 1:02}"
    yield from _compare_outcomes(pd.read_parquet(night / "outcomes.parquet"), pure, last, common)
    money = pd.read_parquet(night / "money.parquet").query("scope == 'all'").to_dict("records")[0]
    known = pure.loc[pure["outcome_until"] <= last]
    own = measure_money(
        known, confidence=rules.policy.outcomes.confidence, loss_share=money["lasting_share"] * money["value_share"]
    ).to_dict("records")[0]
    off = abs(float(money["saved"]) - float(own["saved"])) / max(abs(float(own["saved"])), 1e-9)
    yield Figure(
        "through Dagster: what was saved, off from the pure figure", **at_most(off, 0.01), unit="",
        reference=f"saved {money['saved']:,.0f} ({money['saved_low']:,.0f} to {money['saved_high']:,.0f}), "
        f"pure {own['saved']:,.0f}; value share {money['value_share']:.3f}", **common,
    )  # fmt: skip


def _count_alike(lived: pd.DataFrame, pure: pd.DataFrame) -> float:
    """Return the share of decisions of either year that the other has with the same arm, strategy, channel and cost."""
    keys = ["as_of", "customer_id", "arm", "strategy_id", "channel", "cost"]
    both = (
        frame[keys].assign(as_of=pd.to_datetime(frame["as_of"]), cost=frame["cost"].round(6)) for frame in (lived, pure)
    )
    merged = next(both).merge(next(both), on=keys, how="outer", indicator=True)
    return float(merged["_merge"].eq("both").mean())


def _compare_outcomes(
    outcomes: pd.DataFrame, pure: pd.DataFrame, last: date, common: dict[str, Any]
) -> Iterator[Figure]:
    known = outcomes.loc[
        outcomes["is_mature"].astype(bool) & (pd.to_datetime(outcomes["outcome_until"]).dt.date <= last)
    ]
    days = {name: pd.to_datetime(frame["as_of"]) for name, frame in (("lived", known), ("pure", pure))}
    joined = known.assign(as_of=days["lived"])[["as_of", "customer_id", "retained"]].merge(
        pure.assign(as_of=days["pure"])[["as_of", "customer_id", "retained"]], on=["as_of", "customer_id"]
    )
    alike = joined["retained_x"].astype(bool).eq(joined["retained_y"]).mean()
    yield Figure(
        "through Dagster: matured outcomes as the truth has them", **at_least(float(alike), 0.99), unit="",
        reference=f"{len(joined)} of {len(known)} matured decisions", **common,
    )  # fmt: skip
    arms = joined.merge(pure.assign(as_of=days["pure"])[["as_of", "customer_id", "arm"]])
    yield Figure(
        "through Dagster: share that stayed of the treated less that of the held out",
        **without_bar(_difference(arms)), unit="", **common,
    )  # fmt: skip


def _difference(rows: pd.DataFrame) -> float:
    means = rows.assign(retained=rows["retained_x"].astype(float)).groupby("arm")["retained"].mean()
    return float(means.get(TREATED, float("nan")) - means.get("holdout", float("nan")))


def main() -> None:
    """Live the nights, compare, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-loop-dagster")
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    asked = parser.parse_args()
    keep = asked.keep.resolve()
    (keep / "home").mkdir(parents=True, exist_ok=True)
    live_nights(keep, asked.nights, asked.customers)
    record("loop", compare(keep, asked.nights, asked.customers), replaces=("through Dagster:",))


if __name__ == "__main__":
    main()

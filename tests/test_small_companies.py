"""Companies too small, too young or too faithful for a model: the run ends, and the scores say what they rest on."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from instance import AS_OF, COMPANY, Instance

POLICY = "policy: {drift: {page: false}}\n"


def write(folder: Path, history: pd.DataFrame, people: pd.DataFrame, *, since: str) -> Instance:
    folder.mkdir(parents=True)
    history.to_csv(folder / "orders.csv", index=False)
    people.to_csv(folder / "customers.csv", index=False)
    sources = COMPANY[COMPANY.index("sources:") :]
    head = COMPANY[: COMPANY.index("policy:")].replace("history_starts: 2024-01-01", f"history_starts: {since}")
    (folder / "company.yaml").write_text(head + POLICY + sources)
    return Instance(folder=folder, home=folder.parent / "home")


def trade(customers: int, since: str, *, shortest: float, longest: float, leaves: float | None = None) -> pd.DataFrame:
    """Orders from `since` to the day of the run at rhythms between `shortest` and `longest` days."""
    rng, start, end = np.random.default_rng(3), pd.Timestamp(since), pd.Timestamp(AS_OF)
    frames = []
    for number in range(customers):
        moments = start + pd.to_timedelta(np.cumsum(rng.gamma(4, rng.uniform(shortest, longest) / 4, 200)), unit="D")
        last = end if leaves is None else min(end, start + pd.Timedelta(days=rng.exponential(leaves)))
        frames.append(pd.DataFrame({"customer": f"c{number:04d}", "moment": moments[moments < last].floor("s")}))
    orders = pd.concat(frames, ignore_index=True).assign(total=20.0, rebate=0.0)
    return orders.assign(number=[f"o{number:05d}" for number in range(len(orders))])


def few(folder: Path) -> Instance:
    orders = trade(20, "2024-01-01", shortest=4, longest=15, leaves=300)
    people = pd.DataFrame({"id": [*sorted(set(orders["customer"])), "silent"]}).assign(since=None, town="Köln")
    return write(folder, orders, people, since="2024-01-01")


def young(folder: Path) -> Instance:
    orders = trade(120, "2024-09-10", shortest=2, longest=8)
    people = pd.DataFrame({"id": sorted(set(orders["customer"]))}).assign(since="2024-09-10", town="Köln")
    return write(folder, orders, people, since="2024-09-10")


def faithful(folder: Path) -> Instance:
    orders = trade(550, "2024-05-01", shortest=3, longest=7)
    people = pd.DataFrame({"id": sorted(set(orders["customer"]))}).assign(since="2024-05-01", town="Köln")
    return write(folder, orders, people, since="2024-05-01")


@pytest.mark.parametrize("make", [few, young, faithful])
def test_every_company_gets_an_answer(tmp_path: Path, make: Callable[[Path], Instance]) -> None:
    company = make(tmp_path / "company")
    done = company.run()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    with duckdb.connect(str(company.home / "warehouse.duckdb"), read_only=True) as warehouse:
        state, reason = warehouse.execute("select lifecycle_status, reason from monitoring.promotions").fetchone()
        scores = warehouse.execute("select probability, model_version from scores.churn_scores").df()
        trust = warehouse.execute("select confidence, missing from scores.rule_scores").df()
        eligible = warehouse.execute(
            f"select count(*) from features.customer_features where as_of = '{AS_OF}' and is_eligible"
        ).fetchone()
    assert "a model needs" in reason, state
    assert (len(scores), set(scores["model_version"])) == (eligible[0], {"rule-based"})
    assert scores["probability"].between(0, 1, inclusive="neither").all()
    assert scores["probability"].nunique() > len(scores) / 2
    assert trust["confidence"].between(0, 0.5).all()
    assert trust["missing"].str.len().gt(0).all()

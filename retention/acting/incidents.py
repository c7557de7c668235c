"""Incidents: a rate that rose in a group of customers, found against the group's own past and reported as one event."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy.people import Incidents

Row = Mapping[Any, Any]
_FEWEST_WINDOWS = 4  # of the past, below which a group has none to be compared with
COMPLAINTS, FAILURES, DEPARTURES, INACTIVITY = "complaints", "failures", "departures", "inactivity"
OPINIONS = "opinions"
CAUSES: Mapping[str, tuple[str, str]] = {
    COMPLAINTS: ("complained", "投诉"),
    FAILURES: ("had a payment that failed", "支付失败"),
    DEPARTURES: ("ended their contract", "解约"),
    OPINIONS: ("wrote negative feedback", "发表负面评价"),
    INACTIVITY: ("fell silent", "停止活动"),
}


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A group in which a rate rose: who, how much more than expected, how likely by chance, and what it is about."""

    measure: str
    group_name: str
    first_date: date
    last_date: date
    customers: tuple[str, ...]
    count_expected: float
    ratio: float
    p_value: float
    q_value: float
    money_at_risk: float | None
    cause_en: str
    cause_zh: str
    grade: str


def find_incidents(
    windows: "pd.DataFrame", events: "pd.DataFrame", rules: "Incidents", *, changes: "pd.DataFrame | None" = None
) -> list[Incident]:
    """Return the incidents of the latest window, the least likely by chance first.

    Args:
        windows: one row per measure, group_name and window_number (0 is the latest, the others its past on the same
            days of the week) with first_date, last_date, count_customers and count_events (customers with the event).
        events: one row per measure, group_name and customer_id with the event in the latest window, with detail (what
            it was about) and money_at_risk, both of which may be missing.
        rules: the policy's.
        changes: one row per measure and group_name whose weekly rate changed its level lately, with changed_on,
            rate_before, rate_since, p_value and q_value. Such a rise is an incident while it lasts, even where the
            latest days alone are too few to show it.

    Groups that share most of their customers with an incident of the same measure are that incident.
    """
    if windows.empty:
        return []
    measured = measure_rates(windows)
    if changes is not None and len(changes):
        measured = _heed_changes(measured, changes)
    risen = measured.loc[
        (measured["q_value"] <= rules.false_discovery_rate)
        & (measured["count_events"] >= rules.minimum_customers)
        & (measured["ratio"] >= rules.minimum_ratio)
    ]
    members = dict(iter(events.groupby(["measure", "group_name"])))
    found: list[Incident] = []
    for row in risen.sort_values(["p_value", "measure", "group_name"]).to_dict("records"):
        theirs = members.get((row["measure"], row["group_name"]))
        if theirs is not None and not _is_known(
            row["measure"], set(theirs["customer_id"]), found, rules.same_customers
        ):
            found.append(_make_incident(row, theirs, rules))
    return found


def _heed_changes(measured: "pd.DataFrame", changes: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rates, with that of a change of level in place of the latest days' where it is the clearer one."""
    keys = ["measure", "group_name"]
    ratio = changes["rate_since"] / changes["rate_before"].where(changes["rate_before"] > 0)
    lasting = changes[[*keys, "changed_on", "p_value", "q_value"]].assign(ratio=ratio)
    found = measured.merge(lasting, on=keys, how="left", suffixes=("", "_lasting"))
    is_clearer = (found["q_value_lasting"] < found["q_value"]) & (found["ratio_lasting"] > 1)
    for name in ("ratio", "p_value", "q_value"):
        found[name] = found[f"{name}_lasting"].where(is_clearer, found[name])
    found["first_date"] = found["changed_on"].where(is_clearer, found["first_date"])
    found["count_expected"] = (found["count_events"] / found["ratio"]).where(is_clearer, found["count_expected"])
    return found[measured.columns]


def measure_rates(windows: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per measure and group: the latest count, what its past lets expect, ratio, p and q.

    The latest count is compared with that of the past windows by the conditional test of two rates: given both
    together, it is binomial with the latest window's share of the customers (Przyborowski and Wilenski, Biometrika
    1940), here by the incomplete beta function. Where past windows vary more than chance, the counts are divided by
    that overdispersion (Pearson's chi-squared over its degrees of freedom). q is the false discovery rate at which a
    group would be reported, over all groups and measures (Benjamini and Hochberg, JRSS B 1995).
    """
    import pandas as pd

    ordered = windows.sort_values("window_number").to_dict("records")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in ordered:
        groups.setdefault((row["measure"], row["group_name"]), []).append(row)
    rows = [found for group in groups.values() if (found := _measure(group)) is not None]
    names = ["measure", "group_name", "first_date", "last_date", "count_events", "count_expected", "ratio", "p_value"]
    measured = pd.DataFrame(rows, columns=names)
    return measured.assign(q_value=adjust(measured["p_value"].to_numpy(dtype=float)))


def _measure(group: "Sequence[Row]") -> "Row | None":
    """Return what the latest window of a group shows against the others; None without either."""
    now, past = group[0], [row for row in group[1:] if row["count_customers"]]
    is_comparable = not now["window_number"] and len(past) >= _FEWEST_WINDOWS and now["count_customers"]
    if not is_comparable or not any(row["count_events"] for row in group):
        return None
    count, customers = float(now["count_events"]), float(now["count_customers"])
    before, exposed = (np.array([row[name] for row in past], float) for name in ("count_events", "count_customers"))
    rate = before.sum() / exposed.sum()
    expected = rate * customers
    spread = _overdispersion(before, exposed)
    share = customers / (customers + exposed.sum())
    return {
        "measure": now["measure"],
        "group_name": now["group_name"],
        "first_date": now["first_date"],
        "last_date": now["last_date"],
        "count_events": int(count),
        "count_expected": expected,
        "ratio": count / expected if expected else np.inf if count else 1.0,
        "p_value": _tail(count / spread, before.sum() / spread, share),
    }


def _overdispersion(counts: "NDArray[np.float64]", exposed: "NDArray[np.float64]") -> float:
    rate = counts.sum() / exposed.sum()
    if not 0 < rate < 1:
        return 1.0
    chi = float((((counts - rate * exposed) ** 2) / (rate * (1 - rate) * exposed)).sum())
    return max(chi / (len(counts) - 1), 1.0)


def _tail(latest: float, before: float, share: float) -> float:
    """Return the chance of a latest count as large as this or larger, given both together."""
    from scipy.special import betainc

    return float(betainc(latest, before + 1, share)) if latest > 0 else 1.0


def adjust(p_values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return the false discovery rate at which each of the tests would be reported, in their order."""
    order = np.argsort(p_values)[::-1]
    ranks = np.arange(len(p_values), 0, -1)
    lowest = np.minimum.accumulate(p_values[order] * len(p_values) / ranks)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(lowest, 1.0)
    return adjusted


def _is_known(measure: str, customers: set[str], found: Sequence[Incident], share: float) -> bool:
    """Return whether most of the customers are those of an incident already found."""
    same = (set(each.customers) for each in found if each.measure == measure)
    return any(len(customers & theirs) >= share * min(len(customers), len(theirs)) for theirs in same)


def _make_incident(row: Row, events: "pd.DataFrame", rules: "Incidents") -> Incident:
    customers = tuple(sorted(events["customer_id"].unique()))
    one_each = events.drop_duplicates("customer_id")
    money = one_each["money_at_risk"].sum(min_count=1)
    amount = None if money != money else float(money)  # noqa: PLR0124 - not a number
    english, chinese = _explain(row, len(customers), events)
    return Incident(
        measure=str(row["measure"]),
        group_name=str(row["group_name"]),
        first_date=row["first_date"],
        last_date=row["last_date"],
        customers=customers,
        count_expected=float(row["count_expected"]),
        ratio=min(float(row["ratio"]), float(len(customers))),
        p_value=float(row["p_value"]),
        q_value=float(row["q_value"]),
        money_at_risk=amount,
        cause_en=english,
        cause_zh=chinese,
        grade=grade(len(customers), amount or 0.0, rules),
    )


def grade(customers: int, money: float, rules: "Incidents") -> str:
    """Return the gravest grade of the crisis plan that so many customers or so much money reach, else the last one."""
    for name, each in rules.grades.items():
        if customers >= each.from_customers or (each.from_money and money >= each.from_money):
            return name
    return list(rules.grades)[-1]


def _explain(row: Row, count: int, events: "pd.DataFrame") -> tuple[str, str]:
    """Return what happened, in words: the group, the event, and what most of it was about."""
    english, chinese = CAUSES[str(row["measure"])]
    about = next(_topics(events), None)
    return (
        f"{row['group_name']}: {count} customers {english}" + (f", mostly about {about}." if about else "."),
        f"{row['group_name']}: {count} 名客户{chinese}" + (f" (主要涉及 {about})。" if about else "。"),
    )


def _topics(events: "pd.DataFrame") -> Iterator[str]:
    """Yield the detail that more than half of the events with a detail share."""
    counts = events["detail"].dropna().value_counts(normalize=True)
    yield from (str(topic) for topic, share in counts.items() if share > 1 / 2)

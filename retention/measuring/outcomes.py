"""What strategies did: the treated against the untreated of the same strategy, month by month, no verdict too early."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Self

import numpy as np

from retention.deciding.allocation import Bools, Floats, Ints
from retention.deciding.holdout import Period, period_of
from retention.deciding.plan import HOLDOUT, TREATED
from retention.measuring.estimates import Estimate, compare
from retention.measuring.trials import Trial, first_of_next, foretell, list_days

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

ALL = "all"
COLUMNS = (
    "strategy_id", "period", "looked_on", "look", "is_latest", "n_treated", "n_holdout", "n_immature",
    "retention_treated", "retention_holdout", "difference", "difference_low", "difference_high", "band_low",
    "band_high", "unadjusted", "unadjusted_low", "unadjusted_high", "variance_explained",
    "share_of_information", "needed_treated", "needed_holdout", "verdict_expected_on", "amount_difference",
    "amount_low", "amount_high", "unadjusted_amount", "unadjusted_amount_low", "unadjusted_amount_high",
    "cost_per_treated", "verdict", "decided_on", "because", "is_below_floor",
)  # fmt: skip
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class _Decisions:
    """Decisions of one strategy and period, the oldest first; days count from 1970, NaN is what is not known."""

    decided: Ints
    until: Ints
    is_mature: Bools
    is_treated: Bools
    customers: Ints
    was_customer: Bools
    stayed: Floats
    probability: Floats
    spent: Floats
    spent_before: Floats
    cost: Floats

    @classmethod
    def read(cls, rows: "pd.DataFrame") -> Self:
        """Read rows of outcomes.treatment_outcomes; of columns that are missing nothing is known."""
        import pandas as pd

        ordered = rows.sort_values("as_of", kind="stable")
        left, retained = _numbers(ordered, "churned"), _numbers(ordered, "retained")
        stayed = np.where(np.isfinite(left), 1 - left, retained)
        return cls(
            decided=_days(ordered["as_of"]),
            until=_days(ordered["outcome_until"]),
            is_mature=ordered["is_mature"].to_numpy(dtype=bool) & np.isfinite(stayed),
            is_treated=ordered["arm"].eq(TREATED).to_numpy(),
            customers=pd.factorize(ordered["customer_id"])[0].astype(np.int64),
            was_customer=np.isfinite(left),
            stayed=stayed,
            probability=_numbers(ordered, "probability"),
            spent=_numbers(ordered, "amount_spent_after"),
            spent_before=_numbers(ordered, "amount_spent_before"),
            cost=_numbers(ordered, "cost"),
        )

    def __getitem__(self, rows: Bools) -> Self:
        return type(self)(**{name: values[rows] for name, values in vars(self).items()})

    def __len__(self) -> int:
        return len(self.decided)

    def compare(self, values: Floats, *, before: Floats | None = None) -> Estimate | None:
        """Return the difference between the arms in what is known of `values`."""
        known = np.isfinite(values)
        past = None if before is None else before[known]
        return compare(values[known], self.is_treated[known], self.customers[known], before=past)


def _days(values: "pd.Series[date]") -> Ints:
    import pandas as pd

    days: Ints = pd.to_datetime(values).to_numpy().astype("datetime64[D]").astype(np.int64)
    return days


def _numbers(rows: "pd.DataFrame", name: str) -> Floats:
    if name not in rows:
        return np.full(len(rows), np.nan)
    numbers: Floats = rows[name].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    return numbers


def read_effects(outcomes: "pd.DataFrame", policy: "Policy", *, today: date) -> "pd.DataFrame":
    """Return one row per strategy, holdout period and day of a look, in `COLUMNS`; all strategies together are `all`.

    Args:
        outcomes: one row per ledger decision: customer_id, strategy_id, arm (treated or holdout), as_of, outcome_until,
            churned, is_mature; may have retained, event, planned_strategy_id, probability, amount_spent_before,
            amount_spent_after and cost. Of who was no customer `churned` is missing and `retained` tells whether they
            came back. Only `assigned` decisions count, whatever became of their messages: who was
            meant to be treated is what the hash decided. Decisions that exploration changed are left out: the held-out
            group was chosen by the plan.
        policy: `outcomes` and `holdout`.
        today: the day of the last row, which is a look if it is the first of a month.

    A look on the first day of a month takes the decisions whose windows were over by then; whoever acts on a verdict of
    a past day reads the rows up to it. Retention is the share that did not leave, or that came back; its difference is
    adjusted by the probability of leaving that the decision saw, that of the money by what was spent before it, and
    both stand unadjusted beside. The verdict of a period is `insufficient` until a look's interval lies above 0
    (`works`) or below (`harms`), or until the full information is reached or could bring neither (`no_effect_found`);
    then it stands. Rows that are no look, between looks and after the verdict, have the always-valid band as their
    interval, and so do looks so early that they could claim nothing.
    """
    import pandas as pd

    counted = count_decisions(outcomes, policy)
    groups = [(ALL, counted), *counted.groupby("strategy_id", sort=True)]
    rows = [row for name, group in groups for row in _read_strategy(str(name), group, policy, today)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"look": "Int64"})


def count_decisions(outcomes: "pd.DataFrame", policy: "Policy") -> "pd.DataFrame":
    """Return the decisions that count for a verdict, with the holdout period of each as `period`."""
    import pandas as pd

    counted = outcomes.loc[outcomes["event"] == "assigned"] if "event" in outcomes else outcomes
    counted = counted.loc[counted["arm"].isin([TREATED, HOLDOUT])]
    if "planned_strategy_id" in counted:
        planned = counted["planned_strategy_id"].fillna(counted["strategy_id"])
        counted = counted.loc[counted["strategy_id"].eq(planned)]
    days = pd.to_datetime(counted["as_of"]).dt.date
    periods = {day: period_of(policy.holdout, day) for day in sorted(days.unique())}
    washed = {day for day, period in periods.items() if _is_washed(day, period, min(periods), policy)}
    return counted.assign(as_of=days, period=days.map(periods)).loc[~days.isin(washed)]


def _is_washed(day: date, period: Period, first: date, policy: "Policy") -> bool:
    """Tell whether a decision falls into the wash-out of its period; a first period has nothing to wash out."""
    has_former = period.since is not None and first < period.since
    return has_former and period.is_washout(day, days=policy.holdout.washout_days)


def _read_strategy(
    strategy_id: str, group: "pd.DataFrame", policy: "Policy", today: date
) -> Iterator[dict[str, object]]:
    periods = list(group.groupby(group["period"].map(lambda period: period.until or date.max), sort=True))
    for place, (_, rows) in enumerate(periods or [(date.max, group)]):
        is_running = place >= len(periods) - 1
        period = rows["period"].iloc[0] if len(rows) else period_of(policy.holdout, today)
        looks = list(_look(_Decisions.read(rows), policy, period, today=today, is_running=is_running))
        for row in looks:
            is_latest = is_running and row is looks[-1]
            yield {"strategy_id": strategy_id, "period": period.name, "is_latest": is_latest, "because": None} | row


def _look(
    decisions: _Decisions, policy: "Policy", period: Period, *, today: date, is_running: bool
) -> Iterator[dict[str, object]]:
    """Yield a row for the first day of every month since the first decision matured, and for the last day."""
    trial = Trial.begin(policy.outcomes)
    for day in _list_days(decisions, today=today, is_running=is_running):
        so_far = decisions[decisions.decided <= _number(day)]
        seen = so_far[(so_far.until <= _number(day)) & so_far.is_mature]
        found = seen.compare(seen.stayed, before=seen.probability)
        is_look = found is not None and day.day == 1 and trial.is_look(found)
        if found is not None and is_look:
            trial = trial.look(found, day)
        needed = _needed(seen, trial.share_of(found), trial, policy)
        yield {
            **_describe(seen, found, trial, is_look=is_look),
            "looked_on": day,
            "look": len(trial.fractions) if is_look else None,
            "n_immature": len(so_far) - len(seen),
            "verdict": trial.verdict,
            "decided_on": trial.decided_on,
            "needed_treated": needed[0],
            "needed_holdout": needed[1],
            "verdict_expected_on": None if trial.decided_on else _tell(so_far, sum(needed), day, period),
            "is_below_floor": trial.share_of(found) >= 1 and _keeps_few(seen, policy),
        }


def _keeps_few(seen: _Decisions, policy: "Policy") -> bool:
    kept = _mean(seen.stayed[seen.is_treated & seen.was_customer])  # of the dormant few come back, however good it is
    return kept is not None and kept < policy.outcomes.take_down_below


def _list_days(decisions: _Decisions, *, today: date, is_running: bool) -> list[date]:
    """Return the days of the rows; a period that is over ends with the look by which all of it had matured."""
    if not len(decisions):
        return [today]
    first, last = (first_of_next(_day(int(day) - 1)) for day in (decisions.until.min(), decisions.until.max()))
    return [day for day in list_days(first, today) if is_running or day <= last] or [today]


def _describe(seen: _Decisions, found: Estimate | None, trial: Trial, *, is_look: bool) -> dict[str, object]:
    """Return what is seen of the arms; all intervals of a row reach equally far in standard errors."""
    treated, untreated = seen[seen.is_treated], seen[~seen.is_treated]
    band = trial.reach_of_band(found) if found else inf
    bound = trial.reach_of_look(found) if found and is_look else inf
    reach = bound if isfinite(bound) else band
    return {
        "n_treated": len(treated),
        "n_holdout": len(untreated),
        "retention_treated": _mean(treated.stayed),
        "retention_holdout": _mean(untreated.stayed),
        **_name("difference", found, reach, most=1.0),
        **_name("band", found, band, most=1.0),
        "variance_explained": found.explained if found else None,
        "share_of_information": trial.share_of(found),
        **_name("unadjusted", seen.compare(seen.stayed), reach, most=1.0),
        **_name("amount", seen.compare(seen.spent, before=seen.spent_before), reach, value="amount_difference"),
        **_name("unadjusted_amount", seen.compare(seen.spent), reach),
        "cost_per_treated": _mean(treated.cost),
    }


def _name(
    name: str, found: Estimate | None, reach: float, *, most: float = inf, value: str = ""
) -> dict[str, float | None]:
    """Return an estimate, as `value` or else `name`, and its interval; `most` is what a difference cannot exceed."""
    value = value or name
    if found is None:
        return dict.fromkeys((value, f"{name}_low", f"{name}_high"))
    low, high = found.value - reach * found.error, found.value + reach * found.error
    limits = (max(low, -most), min(high, most))
    return {value: found.value} | {
        f"{name}_{end}": limit if isfinite(limit) else None for end, limit in zip(("low", "high"), limits, strict=True)
    }


def _needed(seen: _Decisions, share: float, trial: Trial, policy: "Policy") -> tuple[int, int]:
    """Return the sample that the full information takes, at the spread and with the arms seen so far."""
    if not share:
        return trial.needed_sample(policy.outcomes.assumed_retention, holdout_share=policy.holdout.share)
    treated = int(seen.is_treated.sum())
    return ceil(treated / share), ceil((len(seen) - treated) / share)


def _tell(decisions: _Decisions, needed: int, today: date, period: Period) -> date | None:
    if not len(decisions):
        return None
    days = [_day(int(day)) for day in decisions.decided]
    window = timedelta(days=int((decisions.until - decisions.decided).max()))
    return foretell(days, needed, matures_after=window, today=today, until=period.until)


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)


def _number(day: date) -> int:
    return (day - _EPOCH).days

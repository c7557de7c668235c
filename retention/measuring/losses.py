"""What the customers who left cost: what they brought, what they would have brought, and what is only assumed."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from company.policy.measuring import Losses

LEAVERS = (
    "as_of", "customer_id", "label_until", "lost_date", "state", "returned_date", "value_from_now",
    "amount_year_before", "value_tier",
)  # fmt: skip
COLUMNS = ("line", "basis", "count_customers", "amount", "share")
MEASURED, ASSUMPTION = "measured", "assumption"
RETURNED, LOST, AWAY = "returned", "lost", "away"
HIGH_VALUE = ("platinum", "gold")
_YEAR = timedelta(days=365)


def measure_lasting_share(leavers: "pd.DataFrame", *, as_of: date, assumed: float) -> tuple[float, str]:
    """Return which share of those who leave by the churn definition does not come back, and its basis.

    Args:
        leavers: `LEAVERS`, one row per month and customer who left.
        as_of: the day; only months count of which all who left have come back or are lost by then.
        assumed: the share while there is no such month.
    """
    known = leavers.loc[[day <= as_of for day in leavers["lost_date"]]]
    if known.empty:
        return assumed, ASSUMPTION
    return float(known["state"].eq(LOST).mean()), MEASURED


def account_losses(
    leavers: "pd.DataFrame", *, as_of: date, lasting_share: float, value_of_newcomers: float, assumptions: "Losses"
) -> "pd.DataFrame":
    """Return the loss account of the year before `as_of`: one row per line, in `COLUMNS`.

    Args:
        leavers: `LEAVERS`; who left several times counts once, by the last time.
        as_of: the day; windows that ended within the year before it count.
        lasting_share: of those who leave, who does not come back.
        value_of_newcomers: the value from now on of the customers won in that year.
        assumptions: what churn is assumed to do to the brand. These lines have the basis `assumption`: nobody measured
            them here, and they are in no sum.

    `left` are all who left, `returned` who came back, `lost` who stayed away until they count as lost. Of who is `away`
    not yet so long only a part is lost: by Bayes' rule the lasting share over the share of their month still away.
    `value` is what the lost and that part were worth from then on, `direct` their revenue of the year before,
    `high_value` what of the value the upper tiers were. Counts of these are expected ones.
    """
    import pandas as pd

    year = _within(leavers, as_of - _YEAR, as_of)
    weighed = year.assign(weight=_weigh(year, lasting_share))
    last = weighed.sort_values(["customer_id", "as_of"]).drop_duplicates("customer_id", keep="last")
    is_back = last["returned_date"].notna()
    gone = last.loc[~is_back]
    is_lost, is_high = gone["state"].eq(LOST), gone["value_tier"].isin(HIGH_VALUE)
    value, count = _value(gone), float(gone["weight"].sum())
    direct = float((gone["amount_year_before"].astype(float) * gone["weight"]).sum())
    rows = [
        _line("left", len(last), None),
        _line("returned", int(is_back.sum()), None, _share(int(is_back.sum()), len(last))),
        _line("value", count, value),
        _line("lost", float(is_lost.sum()), _value(gone.loc[is_lost]), _share(_value(gone.loc[is_lost]), value)),
        _line("away", float((~is_lost).sum()), _value(gone.loc[~is_lost]), _share(_value(gone.loc[~is_lost]), value)),
        _line("high_value", float(gone.loc[is_high, "weight"].sum()), _value(gone.loc[is_high]),
              _share(_value(gone.loc[is_high]), value)),
        _line("value_per_head", count, value / count if count else None),
        _line("direct", count, direct),
        _assume("conversion", assumptions.conversion_fall, value_of_newcomers),
        _assume("image", assumptions.image_fall, None),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _weigh(year: "pd.DataFrame", lasting_share: float) -> "pd.Series[float]":
    """Return how likely each is lost for good: 1, 0, or the lasting share over the share of the month still away."""
    still = year["state"].ne(RETURNED).groupby(year["as_of"]).transform("mean").astype(float)
    likely = (lasting_share / still.where(still > 0, 1.0)).clip(upper=1.0)
    return likely.where(year["state"].eq(AWAY), year["state"].eq(LOST).astype(float))


def _within(leavers: "pd.DataFrame", after: date, until: date) -> "pd.DataFrame":
    return leavers.loc[[after < day <= until for day in leavers["label_until"]]]


def _value(rows: "pd.DataFrame") -> float:
    return float((rows["value_from_now"].astype(float).clip(lower=0) * rows["weight"]).sum())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _line(line: str, count: float, amount: float | None, share: float | None = None) -> dict[str, object]:
    return {"line": line, "basis": MEASURED, "count_customers": count, "amount": amount, "share": share}


def _assume(line: str, fall: float, won: float | None) -> dict[str, object]:
    """Return what a fall costs: what would have been won more without it, of what was won with it."""
    amount = None if won is None or fall >= 1 else won * fall / (1 - fall)
    return {"line": line, "basis": ASSUMPTION, "count_customers": None, "amount": amount, "share": fall}

"""Two models side by side: what their customers were worth afterwards, less what was spent on them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from retention.deciding.holdout import draw
from retention.measuring.estimates import compare
from retention.measuring.sequential import reach_of_band, widen
from retention.measuring.trials import MIXING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy

OPEN, CHAMPION, CHALLENGER = "open", "champion", "challenger"
COLUMNS = (
    "champion", "challenger", "count_champion", "count_challenger", "value_champion", "value_challenger",
    "cost_champion", "cost_challenger", "difference", "difference_low", "difference_high", "verdict",
)  # fmt: skip


def draw_challenged(
    customer_ids: "Iterable[str]", *, champion: str, challenger: str, share: float
) -> "NDArray[np.bool_]":
    """Tell whom the challenger scores: a hash of both versions and the customer decides, the same every day."""
    return draw(customer_ids, salt=f"models:{champion}:{challenger}", share=share)


def compare_models(
    outcomes: "pd.DataFrame", costs: "pd.DataFrame", policy: "Policy", *, champion: str, challenger: str
) -> dict[str, Any]:
    """Return `COLUMNS` as a row: what each model's customers kept of their value, per customer and scored day.

    Args:
        outcomes: rows of outcomes.scored_outcomes: as_of, customer_id, model_version, churned and value_from_now. Days
            on which the challenger scored nobody do not count: before the trial, the champion had all customers.
        costs: decisions of the ledger: as_of, model_version and cost.
        policy: `outcomes`.
        champion: a version of the model.
        challenger: the other version.

    The customers were drawn at random, so that what differs is what the models' scores led to: alerts, plans and
    messages together. `difference` is the challenger's value kept less cost, minus the champion's, freed of what the
    customers were worth before; its band holds on every day at once. The verdict is whose customers were worth more,
    `open` while the band holds 0 or an arm has fewer than `effects.minimum_rows` rows.
    """
    rows = outcomes.loc[outcomes["model_version"].isin([champion, challenger]) & outcomes["value_from_now"].notna()]
    days = set(rows.loc[rows["model_version"].eq(challenger), "as_of"])
    rows = rows.loc[rows["as_of"].isin(days)]
    value = np.asarray(rows["value_from_now"].astype(float).clip(lower=0), dtype=np.float64)
    kept = value * (1 - np.asarray(rows["churned"].astype(float), dtype=np.float64))
    is_challenger = rows["model_version"].eq(challenger).to_numpy(dtype=bool)
    counts = {CHAMPION: int((~is_challenger).sum()), CHALLENGER: int(is_challenger.sum())}
    spent = costs.loc[costs["as_of"].isin(days)].groupby("model_version")["cost"].sum()
    versions = {CHAMPION: champion, CHALLENGER: challenger}
    cost = {arm: float(spent.get(version, 0.0)) / max(counts[arm], 1) for arm, version in versions.items()}
    row: dict[str, Any] = versions | {
        **{f"count_{arm}": count for arm, count in counts.items()},
        **{f"cost_{arm}": each for arm, each in cost.items()},
        "value_champion": float(kept[~is_challenger].mean()) if counts[CHAMPION] else None,
        "value_challenger": float(kept[is_challenger].mean()) if counts[CHALLENGER] else None,
        **_judge(rows, kept, is_challenger, value, policy, saving=cost[CHAMPION] - cost[CHALLENGER]),
    }
    return {name: row[name] for name in COLUMNS}


def _judge(
    rows: "pd.DataFrame",
    kept: "NDArray[np.float64]",
    is_challenger: "NDArray[np.bool_]",
    value: "NDArray[np.float64]",
    policy: "Policy",
    *,
    saving: float,
) -> dict[str, object]:
    import pandas as pd

    customers = pd.factorize(rows["customer_id"])[0].astype(np.int64)
    fewest = min(int(is_challenger.sum()), int((~is_challenger).sum()))
    found = compare(kept, is_challenger, customers, before=value) if fewest >= policy.effects.minimum_rows else None
    if found is None:
        return {"difference": None, "difference_low": None, "difference_high": None, "verdict": OPEN}
    asked = policy.outcomes
    mixing = MIXING * asked.smallest_effect * max(float(value.mean()), 1.0)
    reach = reach_of_band(found.information, confidence=asked.confidence, mixing=mixing)
    half = widen(reach, freedom=found.freedom) * found.error
    middle = found.value + saving
    verdict = CHALLENGER if middle - half > 0 else CHAMPION if middle + half < 0 else OPEN
    return {
        "difference": middle, "difference_low": middle - half, "difference_high": middle + half, "verdict": verdict,
    }  # fmt: skip

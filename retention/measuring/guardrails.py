"""What a strategy must not do on its way: make customers complain, opt out or spend less, however many it keeps."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.holdout import period_of
from retention.deciding.plan import TREATED
from retention.measuring.estimates import compare
from retention.measuring.outcomes import ALL, count_decisions
from retention.measuring.sequential import reach_of_band, widen
from retention.measuring.trials import MIXING

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

WORSE = {"complaints": 1, "opt_outs": 1, "margin": -1}  # the direction in which each does worse
FIGURES = ("treated", "holdout", "difference", "difference_low", "difference_high", "allowed")
COLUMNS = ("strategy_id", "guardrail", "n_treated", "n_holdout", *FIGURES, "is_broken")


def read_guardrails(effects: "pd.DataFrame", policy: "Policy", *, today: date) -> "pd.DataFrame":
    """Return one row per strategy and guardrail in `COLUMNS`; all strategies together are `all`.

    Args:
        effects: rows of outcomes.side_effects: as `read_effects` takes decisions, with a number per guardrail, missing
            where it is not known. The matured ones of the holdout period of `today` count.
        policy: `holdout`, `outcomes.guardrails` and its confidence, `effects.minimum_group_rows`.
        today: the day of the look, which may be any day and every day.

    The mean per decision is compared, treated with held-out; the interval is the always-valid band, by Student's t. A
    guardrail is broken where the whole band lies further on the worse side than is allowed. There is no band where an
    arm has fewer decisions than `effects.minimum_group_rows`, or where nobody differs from anybody.
    """
    import pandas as pd

    counted = count_decisions(effects, policy)
    running = counted["period"].map(lambda period: period == period_of(policy.holdout, today))
    known = counted.loc[running.astype(bool) & counted["is_mature"].astype(bool)]
    groups = [(ALL, known), *known.groupby("strategy_id", sort=True)]
    rows = [row for name, group in groups for row in _read_strategy(str(name), group, policy)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(FIGURES, float))


def _read_strategy(strategy_id: str, rows: "pd.DataFrame", policy: "Policy") -> Iterator[dict[str, object]]:
    for name, allowed in policy.outcomes.guardrails.model_dump().items():
        known = rows.loc[rows[name].notna()]
        is_treated = known["arm"].eq(TREATED).to_numpy(dtype=bool)
        values = known[name].to_numpy(dtype=float)
        counts = int(is_treated.sum()), int((~is_treated).sum())
        is_enough = min(counts) >= policy.effects.minimum_group_rows
        confidence = policy.outcomes.confidence
        band = _band(values, is_treated, known["customer_id"], allowed, confidence=confidence) if is_enough else None
        worst = None if band is None else min(WORSE[name] * end for end in band[1:])
        yield {
            "strategy_id": strategy_id,
            "guardrail": name,
            "n_treated": counts[0],
            "n_holdout": counts[1],
            "treated": float(values[is_treated].mean()) if counts[0] else None,
            "holdout": float(values[~is_treated].mean()) if counts[1] else None,
            **dict(zip(("difference", "difference_low", "difference_high"), band or (None,) * 3, strict=True)),
            "allowed": allowed,
            "is_broken": worst is not None and worst > allowed,
        }


def _band(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    is_treated: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    customers: "pd.Series[str]",
    allowed: float,
    *,
    confidence: float,
) -> tuple[float, float, float] | None:
    import pandas as pd

    found = compare(values, is_treated, pd.factorize(customers)[0].astype(np.int64))
    if found is None:
        return None
    reach = reach_of_band(found.information, confidence=confidence, mixing=MIXING * allowed)
    half = widen(reach, freedom=found.freedom) * found.error
    return found.value, found.value - half, found.value + half


def find_broken(guardrails: "pd.DataFrame") -> Mapping[str, str]:
    """Return, by strategy, the first guardrail that it breaks; `all` is none of them."""
    broken = guardrails.loc[guardrails["is_broken"].astype(bool) & guardrails["strategy_id"].ne(ALL)]
    first = broken.drop_duplicates("strategy_id")
    return dict(zip(first["strategy_id"], first["guardrail"], strict=True))

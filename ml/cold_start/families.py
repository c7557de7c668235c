"""Families of indicators: a score of each for every customer, and how much each family counts.

Weights are those of experts, of a Delphi panel, of a scenario, or learned from what became of customers; without any of
them all families count alike. They multiply the weights of the warning signs that the rule-based fallback adds up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from company.policy.training import Families, RiskSignal
from company.taxonomy import FAMILIES, Family
from ml.cold_start.rules import find_signals
from ml.dataset import Floats, Tabular, as_table, column

SCHEMA = pa.schema(
    [("as_of", pa.date32()), ("customer_id", pa.string()), ("family", pa.string()), ("score", pa.float64())]
)
PRIOR_LEAVERS = 50  # known leavers that equal weights count for, against what the data show
MINIMUM_ROWS = 20  # of those who left, and of those who stayed, before a family's own figure is looked at
_CHANCE = 0.5  # ROC-AUC of a family that shows nothing


@dataclass(frozen=True)
class FamilyWeights:
    """What each family counts, 1 on average, and per family how far the experts of a panel are apart (0: agreed).

    `spread` is the interquartile range of the last round over its median, empty without a panel.
    """

    weights: Mapping[Family, float]
    spread: Mapping[Family, float]


def weigh_families(rules: Families, *, shown: Mapping[Family, float] | None = None) -> FamilyWeights:
    """Return the weights by `rules.weighting`; `shown` are those of `learn_weights`, which only `data` asks for."""
    if rules.weighting == "delphi":
        last = rules.delphi[-1]
        median = {family: float(np.median([each[family] for each in last.values()])) for family in FAMILIES}
        return FamilyWeights(_scale(median), measure_spread(last))
    by_method: dict[str, Mapping[Family, float]] = {
        "equal": dict.fromkeys(FAMILIES, 1.0),
        "experts": rules.experts,
        "scenario": rules.scenarios.get(rules.scenario or "", {}),
        "data": shown or dict.fromkeys(FAMILIES, 1.0),
    }
    return FamilyWeights(_scale(by_method[rules.weighting]), {})


def measure_spread(answers: Mapping[str, Mapping[Family, float]]) -> dict[Family, float]:
    """Return per family the interquartile range of the experts' weights over their median."""
    spread = {}
    for family in FAMILIES:
        low, middle, high = np.quantile([each[family] for each in answers.values()], [0.25, 0.5, 0.75])
        spread[family] = float((high - low) / middle) if middle > 0 else float(high > low)
    return spread


def _scale(weights: Mapping[Family, float]) -> dict[Family, float]:
    total = sum(weights.get(family, 0.0) for family in FAMILIES)
    return {family: len(FAMILIES) * weights.get(family, 0.0) / total for family in FAMILIES}


def learn_weights(scores: pa.Table, churned: Floats) -> dict[Family, float]:
    """Return what the data let each family count, 1 on average.

    `scores` has a row per labelled snapshot and a column per family, NaN where nothing is known; `churned` is 0 or 1. A
    family counts by how far its ROC-AUC lies above chance, drawn to equal weights as if PRIOR_LEAVERS had shown them.
    """
    found = {family: max(_measure_auc(scores[family].to_numpy(), churned) - _CHANCE, 0.0) for family in FAMILIES}
    shown = _scale(found) if sum(found.values()) else dict.fromkeys(FAMILIES, 1.0)
    trust = churned.sum() / (churned.sum() + PRIOR_LEAVERS)
    return {family: float(trust * shown[family] + 1 - trust) for family in FAMILIES}


def _measure_auc(scores: Floats, churned: Floats) -> float:
    from scipy.stats import rankdata

    known = ~np.isnan(scores)
    left = churned[known] > 0
    if min(left.sum(), (~left).sum()) < MINIMUM_ROWS:
        return _CHANCE
    ranks = rankdata(scores[known])[left]
    return float((ranks.mean() - (left.sum() + 1) / 2) / (~left).sum())


def score_families(
    table: Tabular, signals: Sequence[RiskSignal], families: Mapping[str, Family]
) -> dict[Family, Floats]:
    """Return per family a score of 0 to 100 for each customer (n): the weight of its signs that show among the known.

    `families` are those of the features that signals look at. NaN where no sign of the family is known.
    """
    shows, weights = find_signals(as_table(table), signals), np.array([signal.weight for signal in signals])
    known = ~np.isnan(shows)
    found = {}
    for family in FAMILIES:
        mine = np.array([families.get(signal.feature) == family for signal in signals])
        total = known[:, mine] @ weights[mine]
        shown = np.nan_to_num(shows[:, mine]) @ weights[mine]
        found[family] = np.divide(100 * shown, total, out=np.full(len(total), np.nan), where=total > 0)
    return found


def tabulate_scores(table: Tabular, scores: Mapping[Family, Floats]) -> pa.Table:
    """Return a row per customer of `table` and family that something is known of; see SCHEMA."""
    data = as_table(table)
    parts = []
    for family, values in scores.items():
        rows = pa.table(
            [
                column(data, "as_of").cast(pa.date32()),
                column(data, "customer_id").cast(pa.string()),
                pa.repeat(family, data.num_rows),
                pa.array(values),
            ],
            schema=SCHEMA,
        )
        parts.append(rows.filter(pa.array(~np.isnan(values))))
    return pa.concat_tables(parts)


def weigh_signals(
    signals: Sequence[RiskSignal], families: Mapping[str, Family], weights: Mapping[Family, float]
) -> tuple[RiskSignal, ...]:
    """Return the signals with the weights of their families in them; those of a family without weight fall out."""
    counted = (
        (each, weights.get(families[each.feature], 1.0) if each.feature in families else 1.0) for each in signals
    )
    return tuple(each.model_copy(update={"weight": each.weight * by}) for each, by in counted if by > 0)

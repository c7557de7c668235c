"""Why a customer's risk is raised: facts that hold, ranked by what speaks for them, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from company.facts import Fact, Facts
from company.policy.training import RiskSignal
from company.taxonomy import CAUSES
from ml.dataset import Feature, Floats, Rows, column
from ml.explaining.contributions import Evidence, weigh_model, weigh_rules
from ml.explaining.facts import find_holding, read_figures, write_sentences
from ml.training.pipeline import Model

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of", pa.date32()),
        ("rank", pa.int32()),
        ("reason", pa.string()),
        ("fact", pa.string()),
        ("is_stated", pa.bool_()),
        ("is_preventable", pa.bool_()),
        ("contribution", pa.float64()),
        ("share", pa.float64()),
        ("text_en", pa.string()),
        ("text_zh", pa.string()),
    ]
)
NO_REASON, NO_FACT = "other", "no_single_cause"
TOP = 3  # reasons told of a customer
CHUNK = 50_000  # customers explained at once
EXACT = 20_000  # customers up to whom Shapley values are worked out: minutes, beyond hours


def explain_model(
    model: Model,
    table: pa.Table,
    features: Sequence[Feature],
    facts: Facts,
    *,
    as_of: date,
    at_risk: npt.NDArray[np.bool_],
    exact: bool | None = None,
) -> pa.Table:
    """Return up to `TOP` facts of different reasons per customer `at_risk` (rows of `table`); see `SCHEMA`.

    The evidence of a feature is its contribution to the log-odds and, where it is one of a cause, what it shows alone
    (`ml.explaining.causes`). A reason is told where the evidence of all its features raises the risk and so does that
    of a fact of it which holds; the fact with the most evidence tells it. `contribution` is the reason's evidence,
    always above zero, and `share` its share of what raises the customer's risk. A customer at risk without any such
    fact gets one row that says so, without either. Nobody else has a row.

    Contributions are `exact` Shapley values for up to `EXACT` customers, and beyond follow each customer's path
    through the trees, unless `exact` says otherwise.
    """
    risky = table.filter(pa.array(at_risk))
    shapley = risky.num_rows <= EXACT if exact is None else exact
    chunks = [risky.slice(start, CHUNK) for start in range(0, risky.num_rows, CHUNK)]
    weighed = ((chunk, weigh_model(model, chunk, exact=shapley)) for chunk in chunks)
    return _explain(weighed, features, facts, as_of=as_of)


def explain_rules(
    signals: Sequence[RiskSignal],
    table: pa.Table,
    features: Sequence[Feature],
    facts: Facts,
    *,
    as_of: date,
    at_risk: npt.NDArray[np.bool_],
    silence: Floats,
    log_odds_per_weight: float,
) -> pa.Table:
    """Return the same as `explain_model` for scores without a model; see `weigh_rules` for the evidence."""
    evidence = weigh_rules(signals, table, silence, log_odds_per_weight=log_odds_per_weight)
    weighed = [(table.filter(pa.array(at_risk)), evidence.filter(at_risk))]
    return _explain(weighed, features, facts, as_of=as_of)


def _explain(
    weighed: Iterable[tuple[pa.Table, Evidence]], features: Sequence[Feature], facts: Facts, *, as_of: date
) -> pa.Table:
    parts = [SCHEMA.empty_table().to_pandas()]
    for data, evidence in weighed:
        known = [fact for fact in facts.facts if fact.columns <= set(data.column_names)]
        frame = read_figures(data, known)
        told = choose_facts(evidence, features, known, frame)
        ids = np.array(column(data, "customer_id").cast(pa.string()).to_pylist(), dtype=object)
        parts += [_tell(told, known, frame, ids), _tell_nothing(told, facts, ids)]
    filled = [part for part in parts if len(part)] or parts[:1]
    rows = pd.concat(filled, ignore_index=True).assign(as_of=as_of).sort_values(["customer_id", "rank"])
    return pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)


@dataclass(frozen=True)
class Told:
    """For each customer (rows) and rank (columns, `TOP` at most): the place of the fact told, -1 where there is none.

    `strength` is the evidence of its reason, `share` its share of what raises the risk.
    """

    fact: npt.NDArray[np.intp]
    strength: Floats
    share: Floats


def choose_facts(evidence: Evidence, features: Sequence[Feature], facts: Sequence[Fact], frame: pd.DataFrame) -> Told:
    """Choose the facts told of each customer (rows of `evidence` and `frame`)."""
    reasons = tuple(dict.fromkeys(fact.reason for fact in facts))
    names = {reason: frozenset(each.name for each in features if each.reason == reason) for reason in reasons}
    total = np.column_stack([evidence.sum(names[reason]) for reason in reasons])
    holds = np.column_stack([find_holding(fact, frame) for fact in facts])
    own = np.where(holds, np.column_stack([evidence.sum(fact.speaking) for fact in facts]), -np.inf)
    best = np.column_stack([_best(own, facts, reason) for reason in reasons])
    told = (total > 0) & (np.take_along_axis(own, best, axis=1) > 0)
    strength = np.where(told, total, 0.0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :TOP]
    ranked = np.take_along_axis(strength, order, axis=1)
    raising = np.maximum(total, 0).sum(axis=1, keepdims=True)
    share = np.divide(ranked, raising, out=np.zeros_like(ranked), where=raising > 0)
    return Told(np.where(ranked > 0, np.take_along_axis(best, order, axis=1), -1), ranked, share)


def _best(own: Floats, facts: Sequence[Fact], reason: str) -> Rows:
    """Return the place of the reason's fact with the most evidence of its own (rows)."""
    places = np.array([place for place, fact in enumerate(facts) if fact.reason == reason])
    found: Rows = places[own[:, places].argmax(axis=1)]
    return found


def _tell(told: Told, facts: Sequence[Fact], frame: pd.DataFrame, ids: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return a row per customer and fact told."""
    parts = []
    for place in np.unique(told.fact[told.fact >= 0]):
        rows, ranks = np.nonzero(told.fact == place)
        fact = facts[place]
        en, zh = write_sentences(fact, frame, rows)
        columns = {
            "customer_id": ids[rows],
            "rank": ranks + 1,
            "reason": fact.reason,
            "fact": fact.name,
            "is_stated": fact.is_stated,
            "is_preventable": fact.reason in CAUSES,
            "contribution": told.strength[rows, ranks],
            "share": told.share[rows, ranks],
            "text_en": en,
            "text_zh": zh,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _tell_nothing(told: Told, facts: Facts, ids: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return a row for each customer of whom no fact is told."""
    says = facts.no_single_cause
    row = {"rank": 1, "reason": NO_REASON, "fact": NO_FACT, "is_stated": False, "is_preventable": False}
    row |= {"contribution": np.nan, "share": np.nan, "text_en": says.en, "text_zh": says.zh}
    return pd.DataFrame({"customer_id": ids[(told.fact < 0).all(axis=1)], **row})

"""Why a customer's risk is raised: facts that hold, ranked by what supports them, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from company.facts import Fact, Facts
from company.policy.training import RiskSignal
from company.taxonomy import CAUSES, NO_REASON
from ml.dataset import Feature, Floats, Rows, column
from ml.explaining.contributions import EXACT, Evidence, weigh_model, weigh_rules
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
NO_FACT = "no_single_cause"
TOP = 3  # reasons of a customer
CHUNK = 50_000  # customers explained at once
# How much of the symptoms the causes are credited with: times what they show alone, and of the symptoms' contributions
# at most. Properties of the model's penalties and not of a company, chosen in the simulated worlds of `bench.reasons`.
EXPLAINED, MOST_EXPLAINED = 2.0, 0.9
TINY = 1e-12


def explain_model(
    model: Model,
    table: pa.Table,
    features: Sequence[Feature],
    facts: Facts,
    *,
    as_of: date,
    at_risk: npt.NDArray[np.bool_],
    minimum_share: float,
    exact: bool | None = None,
) -> pa.Table:
    """Return up to `TOP` facts of different reasons per customer `at_risk` (rows of `table`); see `SCHEMA`.

    A reason is given where its features' contributions to the log-odds together raise the risk and one of its facts
    holds, by the fact whose own features have the most evidence. `contribution` is that sum, always above zero.
    Reasons rank by `share`: their part of what raises the customer's risk, symptoms credited to the causes behind them
    (`credit_causes`); none is smaller than `minimum_share`. A customer at risk without any such fact gets one row to
    that effect, without either. Nobody else has a row.

    Contributions are `exact` Shapley values for up to `EXACT` customers, and beyond follow each customer's path
    through the trees, unless `exact` says otherwise.
    """
    risky = table.filter(pa.array(at_risk))
    shapley = risky.num_rows <= EXACT if exact is None else exact
    chunks = [risky.slice(start, CHUNK) for start in range(0, risky.num_rows, CHUNK)]
    weighed = ((chunk, weigh_model(model, chunk, exact=shapley)) for chunk in chunks)
    return _explain(weighed, features, facts, as_of=as_of, minimum_share=minimum_share)


def explain_rules(
    signals: Sequence[RiskSignal],
    table: pa.Table,
    features: Sequence[Feature],
    facts: Facts,
    *,
    as_of: date,
    at_risk: npt.NDArray[np.bool_],
    minimum_share: float,
    silence: Floats,
    log_odds_per_weight: float,
) -> pa.Table:
    """Return the same as `explain_model` for scores without a model; see `weigh_rules` for the evidence."""
    evidence = weigh_rules(signals, table, silence, log_odds_per_weight=log_odds_per_weight)
    weighed = [(table.filter(pa.array(at_risk)), evidence.filter(at_risk))]
    return _explain(weighed, features, facts, as_of=as_of, minimum_share=minimum_share)


def _explain(
    weighed: Iterable[tuple[pa.Table, Evidence]],
    features: Sequence[Feature],
    facts: Facts,
    *,
    as_of: date,
    minimum_share: float,
) -> pa.Table:
    parts = [SCHEMA.empty_table().to_pandas()]
    for data, evidence in weighed:
        known = [fact for fact in facts.facts if fact.columns <= set(data.column_names)]
        frame = read_figures(data, known)
        chosen = choose_facts(evidence, features, known, frame, minimum_share=minimum_share)
        ids = np.array(column(data, "customer_id").cast(pa.string()).to_pylist(), dtype=object)
        parts += [_write_facts(chosen, known, frame, ids), _write_no_cause(chosen, facts, ids)]
    filled = [part for part in parts if len(part)] or parts[:1]
    rows = pd.concat(filled, ignore_index=True).assign(as_of=as_of).sort_values(["customer_id", "rank"])
    return pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)


@dataclass(frozen=True)
class Chosen:
    """For each customer (rows) and rank (columns, `TOP` at most): the place of the fact given, -1 where there is none.

    `contribution` is that of its reason to the log-odds, `share` the part of the raised risk that it is credited with.
    """

    fact: npt.NDArray[np.intp]
    contribution: Floats
    share: Floats


def choose_facts(
    evidence: Evidence, features: Sequence[Feature], facts: Sequence[Fact], frame: pd.DataFrame, *, minimum_share: float
) -> Chosen:
    """Choose the facts that explain each customer's risk (rows of `evidence` and `frame`)."""
    reasons = tuple(dict.fromkeys(fact.reason for fact in facts))
    names = [frozenset(each.name for each in features if each.reason == reason) for reason in reasons]
    contribution = np.column_stack([evidence.sum_contributions(each) for each in names])
    alone = np.column_stack([evidence.sum_causes(each) for each in names])
    holds = np.column_stack([find_holding(fact, frame) for fact in facts])
    own = [evidence.sum_contributions(fact.supporting) + evidence.sum_causes(fact.supporting) for fact in facts]
    supported = np.where(holds, np.column_stack(own), -np.inf)
    best = np.column_stack([_best(supported, facts, reason) for reason in reasons])
    given = np.isfinite(np.take_along_axis(supported, best, axis=1)) & (contribution > 0)
    credit = credit_causes(contribution, np.where(given, alone, 0.0), np.isin(reasons, CAUSES))
    share = credit / np.maximum(credit.sum(axis=1, keepdims=True), TINY)
    given &= share >= minimum_share
    order = np.argsort(np.where(given, -credit, np.inf), axis=1, kind="stable")[:, :TOP]

    def rank(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.take_along_axis(values, order, axis=1)

    return Chosen(np.where(rank(given), rank(best), -1), rank(contribution), rank(share))


def credit_causes(contribution: Floats, alone: Floats, is_cause: npt.NDArray[np.bool_]) -> Floats:
    """Return what raises the risk by reason (customers x reasons), symptoms handed over to the causes behind them.

    Who is served badly falls silent, and a model that reads both gives the risk to the silence. What the causes show
    `alone` is what of it they explain: so much, times `EXPLAINED` since a penalty holds their slopes down, but no more
    than `MOST_EXPLAINED`, goes from the reasons that are no cause to those that are, in proportion to what each shows.
    The sum stays that of the contributions above 0.
    """
    raising, shown = np.maximum(contribution, 0.0), np.where(is_cause, np.maximum(alone, 0.0), 0.0)
    symptoms = np.where(is_cause, 0.0, raising).sum(axis=1, keepdims=True)
    causes = shown.sum(axis=1, keepdims=True)
    moved = np.minimum(MOST_EXPLAINED * symptoms, EXPLAINED * causes)
    gained, lost = moved / np.maximum(causes, TINY), moved / np.maximum(symptoms, TINY)
    credited: Floats = np.where(is_cause, raising + gained * shown, raising * (1 - lost))
    return credited


def _best(supported: Floats, facts: Sequence[Fact], reason: str) -> Rows:
    """Return the place of the reason's fact with the most evidence of its own (rows)."""
    places = np.array([place for place, fact in enumerate(facts) if fact.reason == reason])
    found: Rows = places[supported[:, places].argmax(axis=1)]
    return found


def _write_facts(
    chosen: Chosen, facts: Sequence[Fact], frame: pd.DataFrame, ids: npt.NDArray[np.object_]
) -> pd.DataFrame:
    """Return a row per customer and fact."""
    parts = []
    for place in np.unique(chosen.fact[chosen.fact >= 0]):
        rows, ranks = np.nonzero(chosen.fact == place)
        fact = facts[place]
        en, zh = write_sentences(fact, frame, rows)
        columns = {
            "customer_id": ids[rows],
            "rank": ranks + 1,
            "reason": fact.reason,
            "fact": fact.name,
            "is_stated": fact.is_stated,
            "is_preventable": fact.reason in CAUSES,
            "contribution": chosen.contribution[rows, ranks],
            "share": chosen.share[rows, ranks],
            "text_en": en,
            "text_zh": zh,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _write_no_cause(chosen: Chosen, facts: Facts, ids: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return a row for each customer without a fact."""
    words = facts.no_single_cause
    row: dict[str, object] = {
        "rank": 1,
        "reason": NO_REASON,
        "fact": NO_FACT,
        "is_stated": False,
        "is_preventable": False,
    }
    row |= {"contribution": np.nan, "share": np.nan, "text_en": words.en, "text_zh": words.zh}
    return pd.DataFrame({"customer_id": ids[(chosen.fact < 0).all(axis=1)], **row})

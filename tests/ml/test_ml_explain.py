from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from company.facts import Facts, read_facts
from company.policy.training import RiskSignal
from ml.dataset import Columns, Feature
from ml.explaining.contributions import weigh_model, weigh_rules
from ml.explaining.reasons import SCHEMA, credit_causes, explain_model, explain_rules
from ml.score import SCHEMA as SCORES
from ml.score import score
from ml.training.config import TrainConfig
from ml.training.grouped import GroupedModel, read_model
from ml.training.train import Fitted, fit

MINIMUM_SHARE = 0.05
ODD = pa.table(
    {
        "customer_id": ["silent", "complains", "fine", "unknown"],
        "recency_days": [90.0, 2.0, 1.0, 80.0],
        "orders_90d": pa.array([2.0, 9.0, 9.0, None]),
        "complaints": [0.0, 3.0, 0.0, 0.0],
        "plan": ["pro", "pro", "pro", None],
    }
)
DAY = date(2025, 7, 1)
EVERYBODY = np.ones(4, dtype=bool)


@pytest.fixture
def facts() -> Facts:
    content = {
        "facts": {
            "silent": {
                "reason": "inactivity",
                "when": "recency_days >= 30",
                "en": "no order for {recency_days} days",
                "zh": "已{recency_days}天未下单",
            },
            "few_orders": {
                "reason": "spend_fall",
                "when": "orders_90d <= 3",
                "unless": "recency_days < 30",
                "en": "only {orders_90d:1=one order|# orders} in three months",
                "zh": "近三个月仅{orders_90d}单",
            },
            "complained": {
                "reason": "service",
                "when": "complaints >= 1",
                "stated": True,
                "en": "complained {complaints:1=once|# times}",
                "zh": "投诉{complaints}次",
            },
            "buys": {
                "reason": "service",
                "when": "complaints >= 0",
                "from": ["orders_90d"],
                "en": "buys",
                "zh": "购买",
            },
        },
        "no_single_cause": {"en": "no single cause", "zh": "没有单一原因"},
    }
    return read_facts(content, path=Path("facts.yaml"))


def test_a_fact_that_holds_and_raises_the_risk_is_told_in_both_languages_with_the_customers_own_figures(
    small: Fitted, features: tuple[Feature, ...], facts: Facts
) -> None:
    found = explain_model(small.model, ODD, features, facts, as_of=DAY, at_risk=EVERYBODY, minimum_share=MINIMUM_SHARE)

    assert found.schema == SCHEMA
    rows = {row["customer_id"]: row for row in found.to_pylist() if row["rank"] == 1}
    silent, complains = rows["silent"], rows["complains"]
    assert (silent["reason"], silent["fact"], silent["as_of"]) == ("inactivity", "silent", DAY)
    assert (silent["text_en"], silent["text_zh"]) == ("no order for 90 days", "已90天未下单")
    assert (complains["text_en"], complains["text_zh"]) == ("complained 3 times", "投诉3次")
    assert [(row["is_stated"], row["is_preventable"]) for row in (silent, complains)] == [(False, False), (True, True)]


def test_who_is_not_at_risk_has_no_reason_and_who_is_without_a_fact_is_told_so(
    small: Fitted, features: tuple[Feature, ...], facts: Facts
) -> None:
    at_risk = np.array([False, False, True, True])

    found = explain_model(
        small.model, ODD, features, facts, as_of=DAY, at_risk=at_risk, minimum_share=MINIMUM_SHARE
    ).to_pylist()

    said = [(row["customer_id"], row["reason"], row["text_en"], row["contribution"]) for row in found]
    assert said[0] == ("fine", "other", "no single cause", None)
    assert said[1][:3] == ("unknown", "inactivity", "no order for 80 days")
    nobody = explain_model(
        small.model, ODD, features, facts, as_of=DAY, at_risk=~EVERYBODY, minimum_share=MINIMUM_SHARE
    )
    assert (nobody.num_rows, nobody.schema) == (0, SCHEMA)


def test_only_what_raises_the_risk_is_told_the_strongest_first_and_shares_are_of_all_that_raises_it(
    small: Fitted, features: tuple[Feature, ...], facts: Facts, table: pa.Table
) -> None:
    everybody = np.ones(table.num_rows, dtype=bool)
    numbered = table.set_column(1, "customer_id", pa.array([f"{row:05}" for row in range(table.num_rows)]))

    told = explain_model(
        small.model, numbered, features, facts, as_of=DAY, at_risk=everybody, minimum_share=MINIMUM_SHARE
    )

    frame = told.to_pandas().dropna(subset=["contribution"])
    assert (frame["contribution"] > 0).all()
    assert frame["share"].between(MINIMUM_SHARE, 1 + 1e-9).all()
    assert (frame.groupby("customer_id")["share"].diff().dropna() <= 0).all()
    assert {1, 2} <= set(frame["rank"]) <= {1, 2, 3}
    evidence = weigh_model(small.model, numbered, exact=True)
    own = evidence.sum_contributions(frozenset({"recency_days"}))
    silent = frame[frame["reason"] == "inactivity"]
    np.testing.assert_allclose(silent["contribution"], own[silent["customer_id"].astype(int)])


def test_of_the_facts_of_a_reason_the_one_with_the_most_evidence_tells_it(
    small: Fitted, features: tuple[Feature, ...], facts: Facts
) -> None:
    found = explain_model(
        small.model, ODD, features, facts, as_of=DAY, at_risk=EVERYBODY, minimum_share=MINIMUM_SHARE
    ).to_pylist()

    assert {row["fact"] for row in found if row["reason"] == "service"} <= {"complained"}


def test_what_is_missing_supports_no_reason(small: Fitted) -> None:
    evidence = weigh_model(small.model, ODD.slice(3, 1), exact=True)
    contributions, _ = small.model.contributions(ODD.slice(3, 1))

    gone = [small.model.features.index(name) for name in ("orders_90d", "plan")]
    assert contributions[0, gone].all()
    assert not (evidence.contributions + evidence.causes)[0, gone].any()


def _fit_symptom_and_cause(features: tuple[Feature, ...], *, causes: tuple[str, ...]) -> Fitted:
    """Learn from customers whom a complaint makes silent before they leave; the silence predicts all of it."""
    draw = np.random.default_rng(0)
    complaints = (draw.random(4000) < 0.2).astype(float)
    recency = draw.exponential(10 + 60 * complaints).round()
    churned = draw.random(4000) < 1 / (1 + np.exp(3.5 - 0.06 * recency))
    table = pa.table({"recency_days": recency, "complaints": complaints, "churned": churned})
    named = [each.name for each in features if each.name in {"recency_days", "complaints"}]
    config = TrainConfig(candidates=("xgboost",), folds=2)
    return fit(table, Columns("churned", features=named, causes=causes), config)


def test_a_cause_comes_before_the_symptom_that_hides_it(features: tuple[Feature, ...], facts: Facts) -> None:
    with_causes = _fit_symptom_and_cause(features, causes=("complaints",)).model
    without = _fit_symptom_and_cause(features, causes=()).model
    asked = pa.table({"customer_id": ["a", "b"], "recency_days": [45.0, 90.0], "complaints": [1.0, 0.0]})
    both = np.ones(2, dtype=bool)

    told, before = (
        explain_model(model, asked, features, facts, as_of=DAY, at_risk=both, minimum_share=MINIMUM_SHARE).to_pylist()
        for model in (with_causes, without)
    )

    assert [row["reason"] for row in told if row["rank"] == 1] == ["service", "inactivity"]
    assert [row["reason"] for row in before if row["rank"] == 1] == ["inactivity", "inactivity"]
    np.testing.assert_array_equal(with_causes.predict(asked), without.predict(asked))


def test_symptoms_are_credited_to_the_causes_behind_them_and_the_sum_stays() -> None:
    contribution = np.array([[1.0, 0.5, 0.2, -0.3], [1.0, 0.5, 0.2, -0.3], [1.0, 0.5, 0.2, 0.1]])
    alone = np.array([[0.0, 0.0, 0.1, 0.2], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0]])

    credit = credit_causes(contribution, alone, np.array([False, False, True, True]))

    np.testing.assert_allclose(credit.sum(axis=1), [1.7, 1.7, 1.8])
    np.testing.assert_allclose(credit[0], [0.6, 0.3, 0.4, 0.4])
    np.testing.assert_allclose(credit[1], [1.0, 0.5, 0.2, 0.0])
    np.testing.assert_allclose(credit[2], [0.1, 0.05, 1.55, 0.1])


def test_causes_are_written_and_read_back_with_the_model(features: tuple[Feature, ...]) -> None:
    model = _fit_symptom_and_cause(features, causes=("complaints",)).model
    asked = pa.table({"recency_days": [30.0, 90.0], "complaints": [1.0, 0.0], "part": ["a", "b"]})
    by_part = GroupedModel("part", model, {"b": model})

    alone = model.cause_contributions(asked)

    assert alone[0, 1] > 0 > alone[1, 1]
    assert not alone[:, 0].any()
    for each in (model, by_part):
        again = read_model(each.to_bytes())
        np.testing.assert_array_equal(again.cause_contributions(asked), each.cause_contributions(asked))
    np.testing.assert_array_equal(by_part.cause_contributions(asked)[:, :2], alone)


def test_without_a_model_facts_are_told_by_the_rules_that_show_and_by_an_unusual_silence(
    features: tuple[Feature, ...], facts: Facts
) -> None:
    signals = (RiskSignal(en="a complaint", zh="有投诉", feature="complaints", weight=3.0, at_least=1.0),)
    table = ODD.drop_columns(["plan"])
    silence = np.array([0.9, 0.1, 0.1, np.nan])

    found = explain_rules(
        signals,
        table,
        features,
        facts,
        as_of=DAY,
        at_risk=EVERYBODY,
        minimum_share=MINIMUM_SHARE,
        silence=silence,
        log_odds_per_weight=0.1,
    )

    said = [(row["customer_id"], row["text_en"], row["contribution"]) for row in found.to_pylist()]
    assert said == [
        ("complains", "complained 3 times", pytest.approx(0.3)),
        ("fine", "no single cause", None),
        ("silent", "no order for 90 days", pytest.approx(np.log(9) * 4 / 3)),
        ("unknown", "no single cause", None),
    ]
    assert not weigh_rules(signals, table, np.full(4, np.nan), log_odds_per_weight=0.1).contributions[:, -1].any()


def test_a_score_is_a_hundred_times_the_probability_and_carries_its_version(small: Fitted) -> None:
    found = score(small.model, ODD, as_of=date(2025, 7, 1), horizon_days=30, model_version="7")

    assert found.schema == SCORES
    np.testing.assert_allclose(found.column("score"), 100 * small.model.predict(ODD))
    assert found.select(["customer_id", "as_of", "horizon_days", "model_version"]).to_pylist()[0] == {
        "customer_id": "silent",
        "as_of": date(2025, 7, 1),
        "horizon_days": 30,
        "model_version": "7",
    }


def test_importance_names_every_feature_and_sums_to_one(
    fitted: Fitted, table: pa.Table, names: tuple[str, ...]
) -> None:
    found = fitted.model.importance(table)

    assert tuple(found) == names
    assert sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=lambda name: found[name]) == "recency_days"


def test_beyond_the_limit_reasons_follow_the_path_through_the_trees(
    fitted: Fitted,
    features: tuple[Feature, ...],
    facts: Facts,
    table: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some, everybody = table.slice(0, 60), np.ones(60, dtype=bool)

    def explain(*, exact: bool | None = None) -> pa.Table:
        return explain_model(
            fitted.model, some, features, facts, as_of=DAY, at_risk=everybody, minimum_share=MINIMUM_SHARE, exact=exact
        )

    shapley = explain()
    monkeypatch.setattr("ml.explaining.reasons.EXACT", 59)

    found = explain()

    assert found.equals(explain(exact=False))
    assert shapley.equals(explain(exact=True))
    assert not found.equals(shapley)
    monkeypatch.setattr("ml.explaining.reasons.CHUNK", 7)
    assert found.equals(explain())

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Columns, DatasetError, Feature
from ml.explaining.contributions import SCHEMA, explain
from ml.score import SCHEMA as SCORES
from ml.score import score
from ml.training.config import TrainConfig
from ml.training.grouped import GroupedModel, read_model
from ml.training.train import Fitted, fit

ODD = pa.table(
    {
        "customer_id": ["silent", "complains", "fine", "unknown"],
        "recency_days": [90.0, 2.0, 1.0, 80.0],
        "orders_90d": pa.array([2.0, 9.0, 9.0, None]),
        "complaints": [0.0, 3.0, 0.0, 0.0],
        "plan": ["pro", "pro", "pro", None],
    }
)


def test_the_strongest_reason_is_given_in_both_languages_with_the_customers_own_figures(
    small: Fitted, features: tuple[Feature, ...]
) -> None:
    found = explain(small.model, ODD, features, as_of=date(2025, 7, 1)).to_pylist()

    assert found[0] == {
        "customer_id": "silent",
        "as_of": date(2025, 7, 1),
        "rank": 1,
        "reason": "inactivity",
        "feature": "recency_days",
        "value": 90.0,
        "contribution": pytest.approx(found[0]["contribution"]),
        "text_en": "no purchase for 90 days",
        "text_zh": "90 天未购买",
    }
    first = {row["customer_id"]: row["reason"] for row in found if row["rank"] == 1}
    assert first["complains"] == "service"


def test_only_what_raises_the_risk_is_a_reason_and_ranks_follow_the_contributions(
    small: Fitted, table: pa.Table, features: tuple[Feature, ...]
) -> None:
    found = explain(small.model, table, features, as_of=date(2025, 7, 1), top=2)

    assert found.schema == SCHEMA
    frame = found.to_pandas()
    assert (frame["contribution"] > 0).all()
    assert set(frame["rank"]) == {1, 2}
    by_rank = frame.assign(row=(frame["rank"] == 1).cumsum()).pivot_table(
        index="row", columns="rank", values="contribution"
    )
    assert (by_rank[2].dropna() <= by_rank.loc[by_rank[2].notna(), 1]).all()


def test_a_reason_sums_the_contributions_of_its_features(small: Fitted, features: tuple[Feature, ...]) -> None:
    merged = [type(each)(each.name, each.family, each.unit, "all", each.en, each.zh) for each in features]

    found = explain(small.model, ODD, merged, as_of=date(2025, 7, 1)).to_pylist()

    values, _ = small.model.contributions(ODD)
    assert found[0]["contribution"] == pytest.approx(values[0].sum())


def test_what_is_missing_is_no_reason(small: Fitted, features: tuple[Feature, ...]) -> None:
    only = ODD.slice(3, 1)
    merged = [type(each)(each.name, "", "", each.name, each.en, each.zh) for each in features]
    contributions, _ = small.model.contributions(only)
    raising = {name for name, value in zip(small.model.features, contributions[0], strict=True) if value > 0}
    assert raising & {"orders_90d", "plan"}

    found = explain(small.model, only, merged, as_of=date(2025, 7, 1), top=4).to_pylist()

    assert {row["feature"] for row in found} == raising - {"orders_90d", "plan"}


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


def test_a_cause_comes_before_the_symptom_that_hides_it(features: tuple[Feature, ...]) -> None:
    with_causes = _fit_symptom_and_cause(features, causes=("complaints",)).model
    without = _fit_symptom_and_cause(features, causes=()).model
    asked = pa.table({"customer_id": ["a", "b"], "recency_days": [45.0, 90.0], "complaints": [1.0, 0.0]})

    reasons = explain(with_causes, asked, features, as_of=date(2025, 7, 1)).to_pylist()
    before = explain(without, asked, features, as_of=date(2025, 7, 1)).to_pylist()

    assert [row["reason"] for row in reasons if row["rank"] == 1] == ["service", "inactivity"]
    assert [row["reason"] for row in before if row["rank"] == 1] == ["inactivity", "inactivity"]
    np.testing.assert_array_equal(with_causes.predict(asked), without.predict(asked))
    parts = {(row["customer_id"], row["reason"]): row["contribution"] for row in reasons}
    assert parts["a", "inactivity"] == pytest.approx(with_causes.contributions(asked)[0][0, 0])


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


def test_a_sentence_of_a_missing_figure_says_so(small: Fitted, features: tuple[Feature, ...]) -> None:
    words = [type(each)(each.name, "", "", each.name, "{value} of {orders_90d}", each.zh) for each in features]

    found = explain(small.model, ODD.slice(3, 1), words, as_of=date(2025, 7, 1), top=4).to_pylist()

    assert found
    assert {row["text_en"] for row in found} == {f"no record: {row['feature'].replace('_', ' ')}" for row in found}


def test_a_feature_without_words_is_named(small: Fitted, features: tuple[Feature, ...]) -> None:
    with pytest.raises(DatasetError, match="the model reads plan, for which no words"):
        explain(small.model, ODD, features[:3], as_of=date(2025, 7, 1))


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
    fitted: Fitted, features: tuple[Feature, ...], table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, day = table.slice(0, 60), date(2025, 7, 1)
    shapley = explain(fitted.model, some, features, as_of=day)
    monkeypatch.setattr("ml.explaining.contributions.EXACT", 59)

    found = explain(fitted.model, some, features, as_of=day)

    assert found.equals(explain(fitted.model, some, features, as_of=day, exact=False))
    assert shapley.equals(explain(fitted.model, some, features, as_of=day, exact=True))
    assert not found.equals(shapley)

import numpy as np
import pyarrow as pa
import pytest

from ml.segments import SegmentedModel, fit_segments
from ml.train import fit

GIVEN = {"features": ("silence", "spend"), "candidates": ("logistic_regression",)}


def world(*, differs: bool) -> pa.Table:
    """Persons leave after a silence; in the world that differs companies leave when they spend."""
    draw = np.random.default_rng(0)
    rows = 6000
    silence, spend, company = draw.normal(size=rows), draw.normal(size=rows), draw.random(rows) < 0.4
    logit = np.where(company & differs, 1.5 * spend - 1.2 * silence, 1.5 * silence) - 1
    return pa.table(
        {
            "as_of": np.repeat(np.array(["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"]), rows // 4).tolist(),
            "silence": silence,
            "spend": spend,
            "kind": np.where(company, "company", "person").tolist(),
            "churned": draw.random(rows) < 1 / (1 + np.exp(-logit)),
        }
    )


def segmented(table: pa.Table) -> tuple[SegmentedModel, dict[str, bool]]:
    fitted = fit(table, "churned", "as_of", **GIVEN)
    model, verdicts = fit_segments(fitted, table, "churned", "as_of", segment="kind", margin=0.01, **GIVEN)
    return model, {verdict.segment: verdict.kept for verdict in verdicts}


def test_a_group_that_really_differs_gets_a_model_of_its_own_and_is_scored_by_it() -> None:
    table = world(differs=True)

    model, kept = segmented(table)

    assert kept == {"company": True, "person": True}
    company = np.array(table.column("kind").to_pylist()) == "company"
    assert (model.predict(table)[company] == model.own["company"].predict(table)[company]).all()


def test_in_a_world_that_is_the_same_for_all_the_global_model_stays() -> None:
    table = world(differs=False)

    model, kept = segmented(table)

    assert kept == {"company": False, "person": False}
    assert (model.predict(table) == model.shared.predict(table)).all()


def test_a_group_too_small_to_learn_from_is_left_to_the_global_model_with_the_reason() -> None:
    table = world(differs=False)
    kind = ["rare" if row < 12 else "common" for row in range(table.num_rows)]
    few = table.set_column(table.column_names.index("kind"), "kind", pa.array(kind))
    fitted = fit(few, "churned", "as_of", **GIVEN)

    _, verdicts = fit_segments(fitted, few, "churned", "as_of", segment="kind", margin=0.01, **GIVEN)

    rare = next(verdict for verdict in verdicts if verdict.segment == "rare")
    assert not rare.kept
    assert "10 of each are needed" in rare.reason


@pytest.mark.parametrize("unknown", ["never seen", None])
def test_a_customer_of_an_unknown_group_is_scored_by_the_global_model(unknown: str | None) -> None:
    table = world(differs=True)
    model, _ = segmented(table)
    stranger = table.slice(0, 1).set_column(table.column_names.index("kind"), "kind", pa.array([unknown], pa.string()))

    assert model.predict(stranger).tolist() == model.shared.predict(stranger).tolist()

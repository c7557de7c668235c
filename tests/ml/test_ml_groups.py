import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Columns
from ml.explaining.contributions import weigh_model
from ml.training.config import TrainConfig
from ml.training.group_models import fit_groups
from ml.training.grouped import GroupedModel, read_model
from ml.training.pipeline import ChurnModel
from ml.training.train import Fitted, fit

COLUMNS = Columns("churned", "as_of", features=("silence", "spend"))
CONFIG = TrainConfig(candidates=("logistic_regression",), group_margin=0.01)


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


@pytest.fixture(scope="module")
def differing() -> tuple[pa.Table, Fitted, dict[str, bool]]:
    table = world(differs=True)
    return (table, *by_group(table))


@pytest.fixture(scope="module")
def model(differing: tuple[pa.Table, Fitted, dict[str, bool]]) -> GroupedModel:
    found = differing[1].model
    assert isinstance(found, GroupedModel)
    return found


def by_group(table: pa.Table) -> tuple[Fitted, dict[str, bool]]:
    fitted = fit(table, COLUMNS, CONFIG)
    found, comparisons = fit_groups(fitted, table, COLUMNS, CONFIG, group="kind")
    return found, {each.group: each.has_own_model for each in comparisons}


def test_a_group_that_really_differs_gets_a_model_of_its_own_and_is_scored_by_it(
    differing: tuple[pa.Table, Fitted, dict[str, bool]], model: GroupedModel
) -> None:
    table, _, kept = differing

    assert kept == {"company": True, "person": True}
    company = np.array(table.column("kind").to_pylist()) == "company"
    assert (model.predict(table)[company] == model.own["company"].predict(table)[company]).all()


def test_what_groups_gain_shows_in_the_figures_that_promotion_reads(
    differing: tuple[pa.Table, Fitted, dict[str, bool]],
) -> None:
    _, fitted, _ = differing

    figures = fitted.evaluations

    assert fitted.chosen == "logistic_regression by kind"
    assert figures[fitted.chosen].auc > figures["logistic_regression"].auc + 0.05


def test_in_a_world_that_is_the_same_for_all_the_shared_model_stays() -> None:
    table = world(differs=False)

    fitted, kept = by_group(table)

    assert kept == {"company": False, "person": False}
    assert isinstance(fitted.model, ChurnModel)


def test_contributions_add_up_for_customers_of_every_group(
    differing: tuple[pa.Table, Fitted, dict[str, bool]], model: GroupedModel
) -> None:
    table = differing[0]

    values, base = model.contributions(table)

    assert model.features == ("silence", "spend", "kind")
    np.testing.assert_allclose(values.sum(axis=1) + base, model.log_odds(table), atol=1e-9)


def test_a_grouped_model_read_back_scores_to_the_bit_alike_and_explains_them(
    differing: tuple[pa.Table, Fitted, dict[str, bool]], model: GroupedModel
) -> None:
    table = differing[0]
    again = read_model(model.to_bytes())

    assert again.fingerprint == model.fingerprint
    assert (again.predict(table) == model.predict(table)).all()
    assert (
        weigh_model(again, table, exact=True).contributions == weigh_model(model, table, exact=True).contributions
    ).all()


def test_a_group_too_small_to_learn_from_is_left_to_the_shared_model_with_the_reason() -> None:
    table = world(differs=False)
    kind = ["rare" if row < 12 else "common" for row in range(table.num_rows)]
    few = table.set_column(table.column_names.index("kind"), "kind", pa.array(kind))
    fitted = fit(few, COLUMNS, CONFIG)

    found, comparisons = fit_groups(fitted, few, COLUMNS, CONFIG, group="kind")

    rare = next(each for each in comparisons if each.group == "rare")
    assert found is fitted
    assert not rare.has_own_model
    assert "10 of each are needed" in rare.reason


@pytest.mark.parametrize("unknown", ["never seen", None])
def test_a_customer_of_an_unknown_group_is_scored_by_the_shared_model(
    differing: tuple[pa.Table, Fitted, dict[str, bool]], model: GroupedModel, unknown: str | None
) -> None:
    table = differing[0]
    stranger = table.slice(0, 1).set_column(table.column_names.index("kind"), "kind", pa.array([unknown], pa.string()))

    assert model.predict(stranger).tolist() == model.shared.predict(stranger).tolist()

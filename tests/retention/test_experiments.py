from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_changes import adjust, find_resting
from retention.deciding.strategy_files import StrategyError, load_strategies
from retention.measuring.experiments import read_versions
from retention.store.messages import write_messages
from retention.store.store import Store

DAY = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
POLICY = load_policy({"holdout": {"share": 0.3}, "exploration": {"share": 0.0}, "budget": {"amount": 1e6}})
SHORT = {"en": "{amount} off", "zh": "优惠 {amount}"}

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


@pytest.fixture
def tried(make_strategy: Make) -> Strategy:
    return make_strategy(
        versions=[
            {"id": "long", "weight": 3},
            {"id": "short", "message": SHORT},
            {"id": "later", "message": SHORT, "wait_days": 2},
        ]
    )


def _plan(people: pd.DataFrame, strategy: Strategy) -> pd.DataFrame:
    return plan(people, adjust([strategy], [], as_of=DAY), POLICY, spent=0).rows


def test_every_chosen_customer_has_one_version_by_its_weight_and_the_held_out_too(
    make_candidates: Frame, tried: Strategy
) -> None:
    rows = _plan(make_candidates(3000), tried)
    shares = rows.groupby("arm")["version"].value_counts(normalize=True)
    for arm in ("treated", "holdout"):
        assert shares[arm].to_dict() == pytest.approx({"long": 0.6, "short": 0.2, "later": 0.2}, abs=0.05)


def test_a_customer_keeps_the_version_whoever_else_is_there_and_whenever(
    make_candidates: Frame, tried: Strategy
) -> None:
    people = make_candidates(200)
    together = _plan(people, tried).set_index("customer_id")["version"]
    alone = _plan(people.iloc[50:60], tried).set_index("customer_id")["version"]
    assert alone.to_dict() == together.loc[alone.index].to_dict()


def test_what_another_system_has_drawn_decides_the_version_and_never_the_holdout(
    make_candidates: Frame, tried: Strategy
) -> None:
    people = make_candidates(200)
    own = frozenset(people["customer_id"].iloc[:100])
    drawn = adjust([tried], [], as_of=DAY, assigned={tried.id: {"later": own}})
    found = plan(people, drawn, POLICY, spent=0).rows.set_index("customer_id")
    usual = _plan(people, tried).set_index("customer_id").loc[found.index]
    assert set(found.loc[sorted(own), "version"]) == {"later"}
    others = found.index.difference(sorted(own))
    assert found.loc[others, "version"].to_dict() == usual.loc[others, "version"].to_dict()
    assert found["arm"].eq("holdout").to_dict() == usual["arm"].eq("holdout").to_dict()


def test_another_set_of_versions_draws_anew(make_strategy: Make) -> None:
    ids = pd.Series([f"c{number}" for number in range(2000)])
    drawn = [
        make_strategy(versions=[{"id": "a"}, {"id": name, "message": SHORT}]).in_versions()[0].are_open_to(ids)
        for name in ("b", "c")
    ]
    assert (drawn[0] == drawn[1]).mean() == pytest.approx(0.5, abs=0.05)


def test_messages_are_those_of_their_version(make_candidates: Frame, tried: Strategy) -> None:
    strategies = adjust([tried], [], as_of=DAY)
    messages = write_messages(DAY, _plan(make_candidates(60), tried), strategies=strategies, at=AT, is_replay=False)
    found = {(row.version, '"10 off"' in row.body, row.not_before - AT) for row in messages.itertuples()}
    assert found == {("long", False, timedelta(0)), ("short", True, timedelta(0)), ("later", True, timedelta(days=2))}


def test_the_ledger_keeps_the_version_of_the_treated_and_the_held_out(
    sqlite_store: Store, make_candidates: Frame, tried: Strategy
) -> None:
    rows = _plan(make_candidates(60), tried)
    sqlite_store.plans.commit(DAY, rows, strategies=adjust([tried], [], as_of=DAY), at=AT)
    ledger = sqlite_store.ledger.read().set_index("customer_id")["version"]
    assert ledger.sort_index().to_dict() == rows.set_index("customer_id")["version"].sort_index().to_dict()
    assert set(sqlite_store.outbox.read()["version"]) == {"long", "short", "later"}


def test_a_strategy_without_versions_names_none(
    sqlite_store: Store, make_candidates: Frame, make_strategy: Make
) -> None:
    rows = _plan(make_candidates(5), make_strategy())
    sqlite_store.plans.commit(DAY, rows, strategies=[make_strategy()], at=AT)
    assert sqlite_store.ledger.read()["version"].isna().all()
    assert set(sqlite_store.outbox.read()["version"]) == {"1"}


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        ("[{id: a}]", "one version has nothing to be compared with; name two or more under `versions`, or none"),
        ("[{id: a}, {id: b}]", "the versions ['a', 'b'] do not differ"),
        ("[{id: a}, {id: a, channel: sms}]", "the versions ['a', 'a'] have not each an id of its own"),
        ("[{id: a}, {id: b, channel: telegraph}]", "nobody knows what a contact by `telegraph` costs"),
        ("[{id: a}, {id: b, weight: 0, channel: sms}]", "greater than 0"),
        ("[{id: a}, {id: b, every_days: 7}]", "nobody is chosen again within 30 days"),
        ("[{id: a}, {id: b, message: {en: '{name}', zh: 你好}}]", "the message uses ['name']"),
    ],
)
def test_versions_that_cannot_be_compared_are_refused_with_their_line(
    tmp_path: Path, versions: str, fault: str
) -> None:
    path = tmp_path / "plays.yaml"
    path.write_text(
        "strategies:\n  - id: hello\n    name: {en: Hello, zh: 你好}\n    tiers: [high]\n    channel: email\n"
        "    valid_days: 7\n    modules: [{kind: message}]\n    message: {en: Hello, zh: 你好}\n"
        "    effect: {value: 0.05, basis: assumption, source: our own estimate}\n"
        f"    versions: {versions}\n",
        encoding="utf-8",
    )
    with pytest.raises(StrategyError) as refused:
        load_strategies(path, policy=Policy.model_validate(POLICY.model_dump()))
    assert fault in str(refused.value)
    assert "plays.yaml" in str(refused.value)


def _outcomes(strategy: Strategy, kept: dict[tuple[str, str], float], *, each: int = 4000) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"churned": [number >= share * each for number in range(each)]}).assign(
            customer_id=[f"{arm} {version} {number}" for number in range(each)],
            strategy_id=strategy.id, arm=arm, version=version, is_mature=True, as_of=DAY,
            outcome_until=date(2018, 1, 1),
        )
        for (arm, version), share in kept.items()
    ]  # fmt: skip
    return pd.concat(parts)


def test_a_version_is_compared_with_its_own_untreated_and_with_the_first_version(tried: Strategy) -> None:
    outcomes = _outcomes(
        tried,
        {
            ("treated", "long"): 0.70, ("treated", "short"): 0.80, ("treated", "later"): 0.70,
            ("holdout", "long"): 0.70, ("holdout", "short"): 0.70, ("holdout", "later"): 0.80,
        },
    )  # fmt: skip
    found = read_versions(outcomes, [tried], POLICY, today=date(2018, 1, 1)).set_index(["version", "against"])
    assert found["verdict"].to_dict() == {
        ("long", "holdout"): "no_effect_found",
        ("short", "holdout"): "works",
        ("later", "holdout"): "harms",
        ("short", "long"): "works",
        ("later", "long"): "no_effect_found",
    }


@pytest.mark.parametrize("difference", [{"channel": "sms"}, {"every_days": 90}])
def test_versions_by_which_the_plan_decides_are_not_compared_with_each_other(
    difference: dict[str, object], make_strategy: Make
) -> None:
    strategy = make_strategy(versions=[{"id": "a"}, {"id": "b", **difference}])
    found = read_versions(_outcomes(strategy, {("treated", "a"): 0.7}), [strategy], POLICY, today=DAY)
    assert set(found["against"]) == {"holdout"}


def test_how_often_a_customer_gets_a_strategy_is_a_version_of_it(make_strategy: Make) -> None:
    usual, seldom = make_strategy(versions=[{"id": "usual"}, {"id": "seldom", "every_days": 90}]).in_versions()
    last = {(f"c{number:03}", "voucher"): number % 100 for number in range(200)}
    resting = find_resting(last, [usual, seldom], cooldown_days=30)
    assert resting == {pair for pair, days in last.items() if days < (90 if seldom.is_open_to(pair[0]) else 30)}
    assert {each for each in resting if last[each] >= 30}


def test_without_versions_there_is_nothing_to_read(make_strategy: Make) -> None:
    strategy = make_strategy()
    found = read_versions(_outcomes(strategy, {("treated", "a"): 0.7}), [strategy], POLICY, today=DAY)
    assert found.empty
    assert list(found.columns[:3]) == ["version", "against", "strategy_id"]

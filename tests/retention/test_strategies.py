from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from company.industries import load_industry, names
from company.policy import Policy, load_policy
from retention.deciding.strategies import Strategy, StrategyError, load_strategies, match

Make = Callable[..., Strategy]

ENTRY = """
  - id: mine
    name: {en: Mine, zh: 我的}
    tiers: [high]
    reasons: [price]
    channel: email
    valid_days: 3
    modules: [{kind: message}]
    effect: {value: 0.1, basis: assumption, source: a test}
    message: {en: "for {valid_days} days", zh: "{valid_days} 天"}
"""


def _file(folder: Path, text: str, *, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", names())
def test_every_industry_has_a_library_that_the_default_policy_can_price(name: str) -> None:
    industry = load_industry(name)
    policy = load_policy(industry.policy)
    strategies = load_strategies(industry.path)
    assert len(strategies) >= 5
    assert all(strategy.cost(policy) >= 0 and "{" not in "".join(strategy.texts().values()) for strategy in strategies)


@pytest.mark.parametrize("name", names())
def test_every_industry_answers_each_of_its_reasons_at_high_risk(name: str) -> None:
    industry = load_industry(name)
    people = pd.DataFrame({"main_reason": list(industry.reasons)}).assign(level="high", value_tier="gold")
    people["allowed_channels"] = ",".join(load_policy().contact_costs)
    answered = pd.concat([strategy.answers(people) for strategy in load_strategies(industry.path)], axis=1).any(axis=1)
    assert people.loc[~answered, "main_reason"].tolist() == []


def test_the_templates_of_three_industries_are_there() -> None:
    kinds = {
        strategy.id: (strategy.tiers, {module.kind for module in strategy.modules})
        for name in ("finance", "ecommerce", "saas")
        for strategy in load_strategies(load_industry(name).path)
    }
    assert kinds["finance_yield_bonus"] == (("high",), {"yield_bonus"})
    assert kinds["ecommerce_coupon_and_discount"] == (("high", "medium"), {"coupon", "discount"})
    assert kinds["saas_longer_trial"] == (("low",), {"trial"})


def test_cost_is_the_contact_and_what_the_modules_cost_on_average(make_strategy: Make, policy: Policy) -> None:
    modules = [{"kind": "agent", "amount": 3}, {"kind": "coupon", "amount": 10, "take_up": 0.3}]
    assert make_strategy(channel="phone", modules=modules).cost(policy) == pytest.approx(4 + 3 + 3)


def test_a_channel_without_a_price_is_named(make_strategy: Make, policy: Policy) -> None:
    with pytest.raises(StrategyError, match="'pigeon', whose cost nobody knows; add it in the policy"):
        make_strategy(channel="pigeon").cost(policy)


def test_a_message_carries_the_figures_of_its_strategy(make_strategy: Make) -> None:
    assert make_strategy().texts() == {"text_en": "10 off for 14 days", "text_zh": "14 天内优惠 10 元"}


def test_matching_goes_by_level_reason_and_value_tier(make_strategy: Make, policy: Policy) -> None:
    people = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "level": ["high", "high", "medium", "none"],
            "main_reason": ["price", "service", "price", "price"],
            "value_tier": ["gold", "gold", "normal", "gold"],
            "allowed_channels": "in_app",
        }
    )
    strategies = [
        make_strategy("anyone", tiers=["high", "medium"]),
        make_strategy("price_only", reasons=["price"], tiers=["high", "medium"]),
        make_strategy("gold_only", value_tiers=["gold"], tiers=["high"]),
    ]
    found = match(people, strategies, policy).groupby("customer_id")["strategy_id"].apply(list).to_dict()
    assert found == {
        "a": ["anyone", "price_only", "gold_only"],
        "b": ["anyone", "gold_only"],
        "c": ["anyone", "price_only"],
    }


def test_no_strategy_reaches_a_customer_by_a_channel_that_is_closed(
    make_strategy: Make, make_candidates: Callable[..., pd.DataFrame], policy: Policy
) -> None:
    people = make_candidates(3, allowed_channels=["", "phone,email", "email"])
    found = match(people, [make_strategy("by_phone", channel="phone"), make_strategy(channel="email")], policy)
    reached = [["c001", "phone"], ["c001", "email"], ["c002", "email"]]
    assert found[["customer_id", "channel"]].to_numpy().tolist() == reached


def test_a_later_file_replaces_a_strategy_and_adds_its_own(tmp_path: Path) -> None:
    first = _file(tmp_path, f"strategies:{ENTRY}", name="first.yaml")
    changed = ENTRY.replace("valid_days: 3", "valid_days: 9")
    second = _file(tmp_path, f"strategies:{changed}{ENTRY.replace('id: mine', 'id: other')}", name="second.yaml")
    found = [(strategy.id, strategy.valid_days) for strategy in load_strategies(first, second)]
    assert found == [("mine", 9), ("other", 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategies: [", "cannot be read"),
        ("[]", "is no mapping; it needs the key `strategies`"),
        (f"strategies:{ENTRY}{ENTRY}", "two strategies have the id 'mine'; rename one of them"),
        (f"strategies:{ENTRY}".replace("price", "prize"), "has a fault at 'reasons.0': Input should be 'inactivity', "),
        (f"strategies:{ENTRY}".replace("email", "E Mail"), "the strategy 'mine' has a fault at 'channel'"),
        (f"strategies:{ENTRY}".replace("valid_days}", "name}"), "only {amount} and {valid_days} are known"),
        (f"strategies:{ENTRY}".replace("reasons", "resons"), "has a fault at 'resons'"),
    ],
)
def test_a_wrong_library_is_refused_with_file_key_and_fix(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(StrategyError, match=message) as raised:
        load_strategies(path)
    assert str(path) in str(raised.value)

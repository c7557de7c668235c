import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from company.file_faults import CompanyError
from company.industries import load_industry, names
from company.policy import Policy, load_policy
from company.taxonomy import REASONS
from company.yaml_file import load_yaml
from dbt_project.library import HERE
from retention.deciding.matching import match
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_files import StrategyError, load_strategies

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]

# Godinho de Matos and others: churn of 17.2 percent without and 15.3 percent with contact, in a randomised trial
MOST_A_TRIAL_HAS_SHOWN = round(1 - 15.3 / 17.2, 2)
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


def _library(industry: str) -> tuple[tuple[Strategy, ...], Policy]:
    preset = load_industry(industry)
    policy = load_policy(preset.policy)
    return load_strategies(preset.path, policy=policy, currency="USD"), policy


def _person_for(strategy: Strategy) -> dict[str, object]:
    """A customer of whom is known what the strategy asks for, and nothing else."""
    lists = ("tiers", "stages", "value_tiers", "kinds", "reasons", "triggers", "topics", "tags")
    first = {name: next(iter(getattr(strategy, name)), None) for name in lists}
    return {
        "customer_id": strategy.id,
        "return_rate": None,
        "tier": first["tiers"] if first["tiers"] != "none" else None,
        "alert_level": None,
        "lifecycle_stage": first["stages"] or "active",
        "value_tier": first["value_tiers"] or "normal",
        "kind": first["kinds"] or "person",
        "main_reason": "other",
        "reasons": f"other,{first['reasons'] or 'lifecycle'}",
        "triggers": first["triggers"] or "",
        "ticket_topic": first["topics"],
        "tags": first["tags"] or "",
        "allowed_channels": strategy.channel if strategy.purpose == "marketing" else "",
        "service_channels": strategy.channel,
    }


@pytest.mark.parametrize("name", names())
def test_every_industry_has_a_library_in_both_languages_that_the_default_policy_can_price(name: str) -> None:
    strategies, policy = _library(name)
    assert len(strategies) >= 8
    texts = [strategy.texts() for strategy in strategies]
    assert all(strategy.cost(policy) >= 0 for strategy in strategies)
    assert not [text for each in texts for text in each.values() if re.search("[{}]", text)]
    assert not [each["text_zh"] for each in texts if re.search(r"[,;!?]|[\u4e00-\u9fff]\.|:", each["text_zh"])]


@pytest.mark.parametrize("name", names())
def test_every_strategy_reaches_somebody_under_the_default_policy(name: str) -> None:
    strategies, policy = _library(name)
    people = pd.DataFrame([_person_for(strategy) for strategy in strategies])
    found = match(people, strategies, policy)
    reached = found.loc[found["strategy_id"] == found["customer_id"], "strategy_id"].tolist()
    assert reached == [strategy.id for strategy in strategies]


@pytest.mark.parametrize("name", names())
def test_every_industry_has_the_plays_of_each_stage_and_trigger(name: str) -> None:
    strategies, _ = _library(name)
    stages = {stage for strategy in strategies for stage in strategy.stages}
    triggers = {trigger for strategy in strategies for trigger in strategy.triggers}
    assert stages == {"new", "active", "dormant", "churned"}
    assert {"payment_failed", "complaint_open", "complaint_closed"} <= triggers


@pytest.mark.parametrize("name", names())
def test_a_strategy_asks_only_for_tags_that_are_declared(name: str) -> None:
    declared = load_yaml(HERE / "dbt_project.yml")["vars"]["tags"]
    wanted = {tag for strategy in _library(name)[0] for tag in strategy.tags}
    assert wanted <= {tag["name"] for tag in declared}


@pytest.mark.parametrize("name", names())
def test_no_assumed_effect_exceeds_what_a_randomised_trial_has_shown(name: str) -> None:
    strategies = _library(name)[0]
    assert [s.id for s in strategies if s.effect.basis != "measured" and s.effect.high > MOST_A_TRIAL_HAS_SHOWN] == []
    only_words = [s for s in strategies if {module.kind for module in s.modules} == {"message"}]
    assert [s.id for s in only_words if s.effect.value > 0.03] == []
    unasked = [s for s in strategies if s.purpose == "marketing"]
    assert [s.id for s in unasked if s.effect.low >= 0] == []


@pytest.mark.parametrize("name", names())
def test_every_reason_is_answered_at_high_risk(name: str) -> None:
    strategies, policy = _library(name)
    person = _person_for(strategies[0]) | {"tier": "high", "value_tier": "gold", "triggers": "complaint_open"}
    channels = ",".join(policy.contact_costs)
    person |= {"ticket_topic": "service", "allowed_channels": channels, "service_channels": channels}
    rows = [person | {"customer_id": each, "reasons": each, "main_reason": each} for each in REASONS]
    people = pd.DataFrame(rows)
    people.loc[people["customer_id"] != "service", ["triggers", "ticket_topic"]] = ["payment_failed", None]
    assert set(match(people, strategies, policy)["customer_id"]) == set(people["customer_id"])


@pytest.mark.parametrize("name", names())
def test_every_reason_that_an_offer_can_answer_has_one_for_everybody_at_risk(name: str) -> None:
    strategies, policy = _library(name)
    person = _person_for(strategies[0]) | {"tier": "high", "value_tier": "normal", "triggers": ""}
    channels = ",".join(policy.contact_costs)
    person |= {"lifecycle_stage": "active", "allowed_channels": channels, "service_channels": ""}
    answered = [reason for reason, by in policy.effects.answered_by.items() if by]
    rows = [person | {"customer_id": each, "reasons": each, "main_reason": each} for each in answered]
    found = match(pd.DataFrame(rows), strategies, policy)
    assert set(found.loc[found["fit"] == 1, "customer_id"]) == set(answered)


def test_the_templates_are_there() -> None:
    found = {
        strategy.id: (strategy.tiers, {module.kind for module in strategy.modules})
        for name in ("finance", "ecommerce", "saas", "retail")
        for strategy in _library(name)[0]
    }
    assert found["finance_yield_bonus"] == (("high",), {"yield_bonus"})
    assert found["ecommerce_coupon_and_discount"] == (("high", "medium"), {"coupon", "discount"})
    assert found["saas_longer_trial"] == (("low",), {"trial"})
    assert found["retail_loyal_membership"] == (("high",), {"privilege"})
    assert found["retail_personal_call"][1] == {"agent", "coupon"}


def test_cost_is_the_contact_and_what_the_modules_cost_on_average(make_strategy: Make, policy: Policy) -> None:
    modules = [{"kind": "agent", "amount": 3}, {"kind": "coupon", "amount": 10, "take_up": 0.3}]
    assert make_strategy(channel="phone", modules=modules).cost(policy) == pytest.approx(4 + 3 + 3)


@pytest.mark.parametrize(
    ("currency", "texts"),
    [
        ("USD", ("$10 off for 14 days", "14 天内优惠 10 美元")),
        ("CNY", ("¥10 off for 14 days", "14 天内优惠 10 元")),
        ("SEK", ("SEK 10 off for 14 days", "14 天内优惠 10 SEK")),
        ("", ("10 off for 14 days", "14 天内优惠 10")),
    ],
)
def test_a_message_carries_the_figures_of_its_strategy(
    make_strategy: Make, currency: str, texts: tuple[str, str]
) -> None:
    found = make_strategy().priced_in(currency).texts()
    assert (found["text_en"], found["text_zh"]) == texts


def test_an_effect_without_bounds_is_given_a_wide_spread(make_strategy: Make) -> None:
    effect = make_strategy(effect={"value": 0.02, "basis": "assumption", "source": "t"}).effect
    assert (effect.low, effect.high) == pytest.approx((-0.03, 0.07))


def test_a_later_file_replaces_a_strategy_and_adds_its_own(tmp_path: Path, policy: Policy) -> None:
    first = _file(tmp_path, f"strategies:{ENTRY}", name="first.yaml")
    changed = ENTRY.replace("valid_days: 3", "valid_days: 9")
    second = _file(tmp_path, f"strategies:{changed}{ENTRY.replace('id: mine', 'id: other')}", name="second.yaml")
    found = [(strategy.id, strategy.valid_days) for strategy in load_strategies(first, second, policy=policy)]
    assert found == [("mine", 9), ("other", 3)]


def _changed(old: str, new: str) -> str:
    assert old in ENTRY
    return f"strategies:{ENTRY}".replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("strategies: [", [", line 2:", "not valid YAML", "Check the indentation"]),
        ("strategeis: []", [":", "has no key `strategies`", "Write `strategies:`"]),
        ("strategies: {mine: 1}", ["line 1, strategies:", "must be a list", "Begin each strategy with `- id:`"]),
        (f"strategies:{ENTRY}{ENTRY}", ["line 12, strategies.1.id:", "have the id `mine`", "Rename one of them"]),
        (_changed("[price]", "[prize]"), ["line 5, strategies.0.reasons.0:", "'prize' does not fit", "Correct"]),
        (
            _changed("email", "pigeon"),
            ["line 6, strategies.0.channel:", "by `pigeon` costs", "contact_costs"],
        ),
        (_changed("valid_days}", "name}"), ["strategies.0", "only {amount} and {valid_days} are known", "Correct"]),
        (_changed("reasons:", "resons:"), ["line 5, strategies.0.resons:", "unknown key", "Did you mean `reasons`?"]),
        (_changed("    channel: email\n", ""), ["strategies.0.channel:", "`channel` is missing", "Add it"]),
        (_changed("value: 0.1", "value: 10"), ["strategies.0.effect.value:", "less than or equal to 1", "Correct"]),
        (_changed("0.1,", "0.1, low: 0.2,"), ["strategies.0.effect:", "between `low` and `high`", "Correct"]),
        (_changed("{valid_days} 天", "soon"), ["strategies.0", "no Chinese in it", "Correct"]),
        (
            _changed("    tiers: [high]\n    reasons: [price]\n", ""),
            ["strategies.0:", "for everybody; name `tiers`", "Correct"],
        ),
        (
            _changed("[high]\n", "[high]\n    value_tiers: [platinium]\n"),
            ["strategies.0.value_tiers:", "`platinium` is no value tier", "Did you mean `platinum`?"],
        ),
    ],
)
def test_a_wrong_library_is_refused_with_file_key_and_fix(
    tmp_path: Path, policy: Policy, text: str, parts: list[str]
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(CompanyError) as raised:
        load_strategies(path, policy=policy)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


def test_every_fault_of_a_file_is_reported_at_once(tmp_path: Path, policy: Policy) -> None:
    text = _changed("[price]", "[prize]").replace("valid_days: 3", "valid_days: 0")
    with pytest.raises(StrategyError) as raised:
        load_strategies(_file(tmp_path, text), policy=policy)
    assert len(raised.value.faults) == 2

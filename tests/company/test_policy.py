from typing import Any

import pytest
from pydantic import ValidationError

from company.policy import PolicyError, load_policy


def test_the_default_policy_holds_both_tier_policies_of_the_contract() -> None:
    policy = load_policy()
    assert (policy.tiers.high, policy.tiers.medium) == (80, 50)
    assert (policy.alerts.low, policy.alerts.medium, policy.alerts.high) == (60, 80, 90)


def test_an_override_changes_its_key_and_leaves_the_neighbours() -> None:
    policy = load_policy({"budget": {"amount": 12}})
    assert policy.budget == load_policy().budget.model_copy(update={"amount": 12.0})


def test_the_last_override_lies_on_top() -> None:
    assert load_policy({"cooldown_days": 60}, {"cooldown_days": 7}).cooldown_days == 7


def test_an_override_never_leaks_into_the_next_policy() -> None:
    load_policy({"capacity": {"phone": 1}})
    assert load_policy().capacity == {"phone": 200}


UNKNOWN = "In the policy the key 'tiers.hgih' is unknown; remove it or use one of these instead: "
NO_MAPPING = "In the policy the key 'tiers' holds 3, but it needs a mapping of keys to values; "
TOGETHER = "In the policy the key 'tiers' cannot hold these values together: high must lie above medium. "
TOO_MUCH = "In the policy the key 'holdout.share' cannot hold 1.5: Input should be less than 1. "


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"tiers": {"hgih": 3}}, f"{UNKNOWN}act_on, high, medium."),
        ({"tiers": 3}, f"{NO_MAPPING}write its keys indented below it, as in company/policy/policy.yaml."),
        ({"tiers": {"high": 40}}, f"{TOGETHER}Correct it under `policy:`."),
        ({"holdout": {"share": 1.5}}, f"{TOO_MUCH}Correct it under `policy:`."),
    ],
)
def test_a_wrong_override_is_one_paragraph_that_names_key_and_mend(override: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load_policy(override)
    assert str(raised.value) == message


def test_a_policy_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        load_policy().budget.amount = 1.0

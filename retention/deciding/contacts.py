"""Whom to contact when nothing but a probability and a value is known: one kind of contact, one budget."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.holdout import draw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy

COLUMNS = (
    "rank", "customer_id", "decision", "decision_reason", "expected_profit", "probability", "value", "contact_cost",
    "break_even_value",
)  # fmt: skip


@dataclass(frozen=True)
class ContactTerms:
    """What one contact costs, the share of the leaving that it keeps, and how many contacts can be made and paid."""

    cost: float
    effect: float
    contacts: int

    @classmethod
    def from_policy(cls, policy: "Policy") -> "ContactTerms":
        """Take the contact of the policy's `expected_profit`, bounded by its budget and the channel's capacity.

        Without a history who comes back anyway is not known: of the leavers kept `losses.lasting_share` count.
        """
        channel = policy.expected_profit.channel
        cost = policy.contact_costs[channel]
        bounds = [policy.budget.amount / cost] if cost else []
        bounds += [policy.capacity[channel]] if channel in policy.capacity else []
        contacts = int(min(bounds)) if bounds else np.iinfo(np.int64).max
        return cls(cost, policy.expected_profit.effect * policy.losses.lasting_share, contacts)


def plan_contacts(customers: "pd.DataFrame", policy: "Policy") -> "pd.DataFrame":
    """Decide for every customer: treat, hold out or do nothing; each with its reason.

    Args:
        customers: one row per customer with customer_id, probability, churned (null where it is not known) and, where
            customers have a value, `value`: what is lost with the customer, in money, null where it is not known.
        policy: `expected_profit`, `contact_costs`, `budget`, `capacity` and `holdout`.

    Returns:
        `COLUMNS`, one row per customer in the order in which to contact. Expected profit is probability x effect x
        value - cost; `break_even_value` is the value at which it is 0. Without a column `value` the order is that of
        the probability, and the expected profit is empty.

    All contacts cost the same, so that the highest expected profits are the best use of the budget. Held-out customers
    take no part of it. Raises ValueError when a probability is missing.
    """
    if customers["probability"].isna().any():
        raise ValueError("a customer without a probability cannot be planned for")
    terms = ContactTerms.from_policy(policy)
    planned = _price(customers, terms)
    is_held_out = draw(planned["customer_id"].astype(str), salt=policy.holdout.salt, share=policy.holdout.share)
    planned["decision_reason"] = _judge(planned, policy, is_held_out=is_held_out, contacts=terms.contacts)
    decisions = {"best_use_of_budget": "treat", "held_out": "hold_out"}
    planned["decision"] = planned["decision_reason"].map(decisions).fillna("do_nothing")
    planned["rank"] = np.arange(1, len(planned) + 1)
    return planned[list(COLUMNS)]


def _price(customers: "pd.DataFrame", terms: ContactTerms) -> "pd.DataFrame":
    """Return the customers with the figures of a contact, the most profitable first."""
    planned = customers.copy()
    kept = planned["probability"] * terms.effect
    planned["value"] = planned["value"].astype(float) if "value" in planned else np.nan
    planned["contact_cost"] = terms.cost
    planned["expected_profit"] = kept * planned["value"] - terms.cost
    planned["break_even_value"] = terms.cost / kept.where(kept > 0)
    planned["has_left"] = planned["churned"].eq(other=True)
    order = ["has_left", "expected_profit", "probability", "customer_id"]
    return planned.sort_values(order, ascending=[True, False, False, True], na_position="last", ignore_index=True)


def _judge(
    planned: "pd.DataFrame",
    policy: "Policy",
    *,
    is_held_out: "NDArray[np.bool_]",
    contacts: int,
) -> "NDArray[np.object_]":
    """Return the reason of each decision; who is held out does not use up a contact."""
    has_values = bool(planned["value"].notna().any())
    is_unknown = planned["value"].isna() & has_values
    earns = planned["expected_profit"] > max(policy.budget.minimum_expected_value, 0)
    is_worth_it = earns | (not has_values)
    is_wanted = ~planned["has_left"] & ~is_unknown & is_worth_it
    used = (is_wanted & ~is_held_out).cumsum()
    return np.select(
        [planned["has_left"], is_unknown, ~is_worth_it, used > contacts, is_held_out],
        ["has_left", "value_unknown", "not_worth_it", "budget_spent", "held_out"],
        "best_use_of_budget",
    ).astype(object)

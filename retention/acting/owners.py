"""Who answers an alert: the customer's own owner, or the member of the level's team whom it suits best."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from company.policy import Policy
    from company.policy.people import Owner

Members = Mapping[str, "Owner"]


def assign_owners(
    customers: Iterable[Mapping[Hashable, object]], policy: "Policy", *, load: Mapping[str, int], day: date
) -> list[str]:
    """Return the owner of each alert, in the order of the customers, the most urgent first.

    Args:
        customers: level, and as far as known owner, region, value_tier and main_reason.
        policy: teams by level, and their members.
        load: unfinished alerts of each owner so far; those given here are added to it one by one.
        day: decides who is on duty.

    A customer's own owner comes first. Else of the team's members on duty who take the customer's region and value tier
    and have room, the one who prefers the main reason, then the one with the most room; the team where there is none.
    """
    counts, found = Counter(load), []
    for customer in customers:
        own = customer.get("owner")
        team = getattr(policy.responses, str(customer["level"])).owner
        name = own if isinstance(own, str) and own else choose_member(team, customer, policy, load=counts, day=day)
        counts[name] += 1
        found.append(name)
    return found


def choose_member(
    team: str, customer: Mapping[Hashable, object], policy: "Policy", *, load: Mapping[str, int], day: date
) -> str:
    """Return the member of a team who takes a customer, or the team."""
    members = {name: owner for name, owner in policy.owners.items() if owner.team == team}
    open_to = {
        name: owner
        for name, owner in _on_duty(members, day).items()
        if _takes(owner, customer) and (owner.capacity is None or load.get(name, 0) < owner.capacity)
    }
    if not open_to:
        return team

    def rank(name: str) -> tuple[bool, float, str]:
        owner = open_to[name]
        is_preferred = customer.get("main_reason") in owner.prefers
        return not is_preferred, load.get(name, 0) / (owner.capacity or 1), name

    return min(open_to, key=rank)


def _on_duty(members: Members, day: date) -> Members:
    """Return those on duty; without a roster for the day everybody is."""
    on_duty = {
        name: owner for name, owner in members.items() if any(each.first <= day <= each.last for each in owner.duty)
    }
    return on_duty or {name: owner for name, owner in members.items() if not owner.duty}


def _takes(owner: "Owner", customer: Mapping[Hashable, object]) -> bool:
    takes_region = not owner.regions or customer.get("region") in owner.regions
    return takes_region and (not owner.value_tiers or customer.get("value_tier") in owner.value_tiers)

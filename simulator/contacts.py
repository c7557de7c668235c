"""What the platform's gateway received, as the simulated customers take it: actions that change what happens next."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from simulator.calendar import Month
from simulator.hazard import Risk
from simulator.response import Strength, effect, find_action, relieve
from simulator.streams import Flags, Floats, Indices
from simulator.systems.directory import Directory
from simulator.world import World

_NONE = -1
NEEDED = ("customer_id", "channel", "arrived_at", "offers")


class ContactsError(ValueError):
    """The contacts cannot be used; the message is one paragraph that names file, line and fix."""


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """Messages that reached customers: who, on which day counted from the world's first, and which action they are."""

    customer: Indices
    day: Indices
    action: Indices

    def known_by(self, month: Month, size: int) -> Flags:
        """Tell whom any message reached before a month ends."""
        known = np.zeros(size, dtype=np.bool_)
        known[self.customer[self.day < month.offset + month.days]] = True
        return known

    def change(
        self, world: World, risk: Risk, month: Month, leaving_day: Indices, *, strength: Strength
    ) -> tuple[Floats, Floats]:
        """Return the change of log-odds that a month's first message makes for each customer, and what it takes away.

        The second is causes x customers, as `relieve` gives it. A message that comes after the day on which the
        customer leaves anyway changes nothing.
        """
        actions = self._first_actions(world, month, leaving_day)
        change, taken = np.zeros(world.size, dtype=np.float32), np.zeros_like(risk.contributions)
        for number, name in enumerate(world.parameters.actions):
            has = actions == number
            change[has] = effect(world, risk, name, strength=strength)[has]
            taken[:, has] = relieve(world, risk, name, strength=strength)[:, has]
        return change, taken

    def _first_actions(self, world: World, month: Month, leaving_day: Indices) -> Indices:
        """Return the action of the first message that each customer got in a month and in time, _NONE without one."""
        actions = np.full(world.size, _NONE, dtype=np.int32)
        there = (month.offset <= self.day) & (self.day < month.offset + month.days)
        in_time = np.flatnonzero(there & (self.day <= leaving_day[self.customer]))
        for row in in_time[np.argsort(-self.day[in_time], kind="stable")]:  # the first message comes last, and holds
            actions[self.customer[row]] = self.action[row]
        return actions


def read_contacts(path: Path, world: World, directory: Directory) -> Contacts:
    """Read JSON lines of messages: customer_id, channel, arrived_at, offers, as `holdfast outbox export` writes.

    Raises ContactsError.
    """
    accounts = {name: int(owner) for name, owner in zip(directory.ids.to_pylist(), directory.owner, strict=True)}
    actions, zone = list(world.parameters.actions), ZoneInfo(world.calendar.timezone)
    first = world.calendar.months[0].first
    rows: list[tuple[int, int, int]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        contact = _read_line(path, number, line)
        if contact["customer_id"] not in accounts:
            fix = "Pass the contacts of an instance that reads this world, with its seed and size."
            raise ContactsError(f"{path}, line {number}: this world has no customer {contact['customer_id']!r}. {fix}")
        arrived = datetime.fromisoformat(contact["arrived_at"]).astimezone(zone).date()
        name = find_action([offer["kind"] for offer in contact["offers"]], channel=contact["channel"])
        rows.append((accounts[contact["customer_id"]], (arrived - first).days, actions.index(name)))
    customer, day, action = np.array(rows, dtype=np.int32).reshape(-1, 3).T
    return Contacts(customer=customer, day=day, action=action)


def _read_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        contact = json.loads(line)
    except json.JSONDecodeError:
        contact = None
    if not isinstance(contact, dict) or any(name not in contact for name in NEEDED):
        raise ContactsError(
            f"{path}, line {number}: this is no contact; each line is a JSON object with {', '.join(NEEDED)}. "
            "Write the file anew with `holdfast outbox export`."
        )
    return contact

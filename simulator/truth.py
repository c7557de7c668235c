"""What nobody in the company knows: written apart from everything that is served, for tests and benchmarks only."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.calendar import Month
from simulator.hazard import STAYS, Fate, Risk, State
from simulator.parameters.schema import CAUSES
from simulator.response import KINDS, Response
from simulator.streams import Floats, Indices
from simulator.systems.directory import Directory
from simulator.systems.sheets import Sheet, named, numbered
from simulator.world import World

CAUSE_NAMES = (*CAUSES, "other")


class Truth:
    """Writes hazard, cause, response, identity and the hidden traits of one world below `folder`."""

    def __init__(self, folder: Path, world: World, directory: Directory) -> None:
        """Prepare the sheets."""
        self.folder, self._world, self._directory = folder, world, directory
        self._hazard = Sheet(folder / "hazard.parquet")
        self._response = Sheet(folder / "response.parquet")

    def write_month(self, month: Month, risk: Risk, fate: Fate, *, label: Floats, response: Response) -> None:
        """Append one row per customer known before the month who is there, or left within the churn window.

        `hazard` is the probability of leaving within the month (1 for those who already left), `label_probability`
        that of being seen as churned by the industry's definition, for one who knows every hidden trait but, like the
        company, sees a customer's leaving only by its silence.
        """
        window = self._world.parameters.churn.active_within_days
        gone = (left_day := self._left_day) != STAYS
        recent = gone & ~fate.known & (left_day < month.offset) & (left_day >= month.offset - window)
        is_silent = self._world.parameters.churn.definition == "inactivity"
        rows = np.flatnonzero(fate.known | (recent & is_silent))
        picked = pa.array(rows)
        alive = fate.known[rows]
        self._hazard.add(
            pa.table(
                {
                    "as_of": pa.repeat(pa.scalar(month.first, pa.date32()), len(rows)),
                    "customer_id": self._directory.ids.take(picked),
                    "is_alive": alive,
                    "hazard": np.where(alive, risk.hazard[rows], 1).astype(np.float32),
                    "label_probability": label[rows].astype(np.float32),
                    "cause": named(CAUSE_NAMES, risk.cause[rows]),
                    "leaves": fate.left[rows],
                    **{f"log_odds_{cause}": risk.contributions[place][rows] for place, cause in enumerate(CAUSES)},
                }
            )
        )
        self._write_response(month, response, np.flatnonzero(fate.known))

    _left_day: Indices

    def remember(self, state: State) -> None:
        """Look at who had left before the month begins."""
        self._left_day = state.left_day.copy()

    def _write_response(self, month: Month, response: Response, rows: Indices) -> None:
        actions = list(self._world.parameters.actions)
        treated = {f"probability_{name}": response.treated[place][rows] for place, name in enumerate(actions)}
        kinds = {f"kind_{name}": named(KINDS, response.kinds[place][rows]) for place, name in enumerate(actions)}
        self._response.add(
            pa.table(
                {
                    "as_of": pa.repeat(pa.scalar(month.first, pa.date32()), len(rows)),
                    "customer_id": self._directory.ids.take(pa.array(rows)),
                    "draw": response.draw[rows],
                    "probability_untreated": response.untreated[rows],
                    **treated,
                    **kinds,
                }
            )
        )

    def close(self, state: State, facts: dict[str, object]) -> None:
        """Write what holds for the whole world and finish every file."""
        self._hazard.close()
        self._response.close()
        self._write("identity", self._identities())
        self._write("customers", self._customers(state))
        text = json.dumps(facts, indent=2, ensure_ascii=False, sort_keys=True, default=str)
        (self.folder / "world.json").write_text(text + "\n", encoding="utf-8")

    def _write(self, name: str, table: pa.Table) -> None:
        sheet = Sheet(self.folder / f"{name}.parquet")
        sheet.add(table)
        sheet.close()

    def _identities(self) -> pa.Table:
        """One row per account of the customer system: whose it is, and with whom that customer shares a home."""
        directory, world = self._directory, self._world
        contact = np.arange(len(directory.owner)) >= len(directory.owner) - directory.count_contacts
        person = np.where(contact, np.arange(len(directory.owner)), directory.owner)
        home = np.where(world.in_household, np.arange(world.size) // 2, -1)[directory.owner]
        return pa.table(
            {
                "account": directory.ids,
                "person_id": directory.ids.take(pa.array(person)),
                "company_id": directory.ids.take(pa.array(directory.owner, mask=~contact)),
                "household": pa.array(np.where(contact, -1, home), mask=contact | (home < 0)),
                "desk_user_id": numbered("", 500_000 + np.arange(len(directory.owner))),
            }
        )

    def _customers(self, state: State) -> pa.Table:
        world = self._world
        left = state.left_day != STAYS
        days = world.calendar.day_ms(np.where(left, state.left_day, 0)) // 86_400_000
        return pa.table(
            {
                "customer_id": self._directory.ids.slice(0, world.size),
                "appetite": world.appetite,
                "order_rate": world.order_rate,
                "visit_rate": world.visit_rate,
                "price_sensitivity": world.price_sensitivity,
                "misfit": world.misfit,
                "rival_pull": world.rival_pull,
                "receptive": world.receptive,
                "inertia": world.inertia,
                "left_on": pa.array(days.astype(np.int32), mask=~left).cast(pa.date32()),
                "left_cause": named(CAUSE_NAMES, np.where(left, state.cause, -1)),
            }
        )

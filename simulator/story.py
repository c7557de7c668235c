"""The story of one company, lived month by month and written to disk as it happens.

Where customers were contacted, the story is lived twice: untouched, and as it went. Whoever was never contacted has the
tickets and campaigns of the first, so that contact changes nothing for anybody else.
"""

import copy
import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from simulator import hazard
from simulator.behaviour.backoffice import bill, deliver
from simulator.behaviour.marketing import recommend, run_campaigns
from simulator.behaviour.orders import FAILED, expected_orders, place_orders
from simulator.behaviour.presence import Columns, Presence, be_present
from simulator.behaviour.service import ask_opinions, open_tickets
from simulator.behaviour.usage import read_meters
from simulator.behaviour.visits import browse
from simulator.calendar import DAY_MS, Calendar, Month
from simulator.contacts import read_contacts
from simulator.defects import Ledger
from simulator.hazard import Bills, Fate, Risk, State, expit
from simulator.parameters import Parameters
from simulator.response import Strength, calibrate_strength, respond
from simulator.silence import Silence
from simulator.streams import Flags, Floats, Indices, generator
from simulator.systems.clicks import ClickLogs
from simulator.systems.database import Database
from simulator.systems.desk import DeskRecords
from simulator.systems.directory import create_directory
from simulator.systems.drops import MarketingDrops
from simulator.truth import Truth
from simulator.world import World, create_world

START = date(2025, 1, 1)
_NOW = 0.7


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a simulation wrote: counts of rows, and the share of customers who left in each month."""

    customers: int
    orders: int
    order_lines: int
    events: int
    tickets: int
    defects: int
    left_share: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """A month as it would have gone without any contact; `contacted` are those whom contact has reached by its end."""

    contacted: Flags
    tickets: Columns
    severity: Floats
    touches: Columns
    touch: Floats

    def splice(self, own: Columns, untouched: Columns, *, order: tuple[str, ...]) -> Columns:
        """Return the rows of the contacted from `own` and those of everybody else from `untouched`."""
        kept = [self.contacted[own["customer"]], ~self.contacted[untouched["customer"]]]
        rows = {name: np.concatenate([own[name][kept[0]], untouched[name][kept[1]]]) for name in own}
        place = np.lexsort([rows[name] for name in order])
        return {name: values[place] for name, values in rows.items()}


@dataclass(frozen=True, kw_only=True)
class Lived:
    """What a month brought: who is there in what mood by its end, tickets with their severity, deliveries and bills."""

    presence: Presence
    tickets: Columns
    severity: Floats
    trouble: Indices
    bills: Bills


class Story:
    """One company from its first to its last month. `write` writes everything below `folder`."""

    def __init__(
        self, parameters: Parameters, folder: Path, *, customers: int, months: int, seed: int,
        span: int = 0, contacts: Path | None = None, reduction: float | None = None,
    ) -> None:  # fmt: skip
        """Create the world and its systems; nothing has happened yet."""
        calendar = Calendar(start=START, count=months, timezone=parameters.timezone, span=span)
        self.world: World = create_world(parameters, calendar, customers=customers, seed=seed)
        directory = create_directory(self.world)
        sources, truth = folder / "sources", folder / "truth"
        self._ledger = Ledger(truth / "defects.parquet")
        self._database = Database(sources / "database", self.world, directory, self._ledger)
        self._clicks = ClickLogs(sources / "clicks", self.world, directory, self._ledger)
        self._desk = DeskRecords(sources / "desk", self.world, directory, self._ledger)
        self._drops = MarketingDrops(sources / "marketing", self.world, directory, self._ledger)
        self._truth = Truth(truth, self.world, directory)
        self._counts = dict.fromkeys(("orders", "order_lines", "events", "tickets"), 0)
        self._left_share: list[float] = []
        self._silence = Silence.fresh(customers, rhythm=parameters.orders.rhythm)
        self._contacts = read_contacts(contacts, self.world, directory) if contacts else None
        self._reduction = reduction

    def write(self) -> Summary:
        """Live through every month and write it; returns what was written."""
        state = hazard.burn_in(self.world)
        intercept = hazard.calibrate(self.world, state)
        untouched = None if self._contacts is None else copy.deepcopy(state)
        strength = calibrate_strength(self.world, state, intercept=intercept, reduction=self._reduction)
        for month in self.world.calendar.months:
            self._live(state, month, intercept, strength=strength, untouched=untouched)
        self._database.close(state)
        self._desk.close()
        self._truth.close(state, self._facts(intercept))
        self._ledger.close()
        return Summary(
            customers=self.world.size,
            defects=self._ledger.count,
            left_share=tuple(self._left_share),
            **self._counts,
        )

    def _live(
        self, state: State, month: Month, intercept: float, *, strength: Strength, untouched: State | None
    ) -> None:
        world = self.world
        risk = hazard.assess(world, state, month=month.index, intercept=intercept)
        self._truth.remember(state)
        base = None if untouched is None else self._live_untouched(untouched, month, intercept)
        felt = self._feel(state, risk, month, strength=strength)
        fate = hazard.depart(world, state, felt, month=month)
        self._left_share.append(round(float(fate.left.sum() / max(fate.known.sum(), 1)), 5))
        lived = self._experience(state, month, risk.contributions, base)
        self._desk.write_month(month, lived.tickets, ask_opinions(lived.presence))
        self._counts["tickets"] += len(lived.tickets["customer"])
        self._write_truth(risk, fate, lived.presence)
        self._act(state, month, risk, lived, base)

    def _feel(self, state: State, risk: Risk, month: Month, *, strength: Strength) -> Risk:
        """Return the month's hazard with what the contacts in it change, and remember what they eased."""
        if self._contacts is None:
            return risk
        alone = copy.deepcopy(state)
        hazard.depart(self.world, alone, risk, month=month)
        change, taken = self._contacts.change(self.world, risk, month, alone.left_day, strength=strength)
        state.eased = hazard.remember_relief(self.world, state, taken)
        log_odds = risk.log_odds + change
        return replace(risk, log_odds=log_odds, hazard=np.where(change == 0, risk.hazard, expit(log_odds)))

    def _live_untouched(self, state: State, month: Month, intercept: float) -> Untouched:
        """Let the month pass as if nobody was ever contacted; return what comes of it for those who were not."""
        world = self.world
        risk = hazard.assess(world, state, month=month.index, intercept=intercept)
        hazard.depart(world, state, risk, month=month)
        lived = self._experience(state, month, risk.contributions, None)
        _, touches, state.touch = run_campaigns(lived.presence, risk)
        assert self._contacts is not None  # noqa: S101 - without contacts there is nothing to compare with
        contacted = self._contacts.known_by(month, world.size)
        return Untouched(
            contacted=contacted, tickets=lived.tickets, severity=lived.severity, touches=touches, touch=state.touch
        )

    def _experience(self, state: State, month: Month, before: Floats, base: Untouched | None) -> Lived:
        """Let the month happen to everyone."""
        world, rng = self.world, generator(self.world.seed, "experience", month.index)
        state.need = hazard.fade_need(world, state, rng)
        state.product, incident = hazard.disappoint(world, state, rng)
        state.price, surprised = hazard.raise_price(world, state, rng, month=month.index)
        state.rival = hazard.attract(world, state, rng, month=month.index)
        bills = hazard.pay(world, state, generator(world.seed, "payments", month.index), surprised=surprised)
        state.price = state.price + hazard.annoyance(world, bills)
        trouble = hazard.let_down(world, generator(world.seed, "trouble", month.index))
        early = be_present(world, state, month, felt=hazard.contributions(world, state), surprised=surprised)
        tickets, severity = open_tickets(early, incident=incident)
        if base is not None:
            tickets = base.splice(tickets, base.tickets, order=("customer",))
            severity = np.where(base.contacted, severity, base.severity)
        state.service = hazard.complain(world, state, severity + hazard.trouble_severity(world, trouble))
        after = hazard.contributions(world, state)
        mood = ((1 - _NOW) * before + _NOW * after).astype(np.float32)
        presence = be_present(world, state, month, felt=mood, surprised=surprised)
        return Lived(presence=presence, tickets=tickets, severity=severity, trouble=trouble, bills=bills)

    def _write_truth(self, risk: Risk, fate: Fate, presence: Presence) -> None:
        before = replace(presence, felt=risk.contributions)
        label = self._forecast(presence.month, risk, expected_orders(before))
        self._truth.write_month(presence.month, risk, fate, label=label, response=respond(self.world, risk, fate.draw))

    def _forecast(self, month: Month, risk: Risk, rate: Floats) -> Floats:
        """Return the probability that the industry's definition will see each customer as churned."""
        churn = self.world.parameters.churn
        if churn.definition != "inactivity":
            return risk.hazard
        return self._silence.forecast(
            risk.hazard, rate * self._paid * self._season_ahead(month), months=churn.horizon_days / 30
        )

    @property
    def _paid(self) -> float:
        """The share of orders whose payment does not fail."""
        return 1 - self.world.parameters.orders.failure_rate

    def _season_ahead(self, month: Month) -> float:
        """Return the mean demand of the months that the churn horizon covers, relative to the first of them."""
        parameters = self.world.parameters
        ahead = range(round(parameters.churn.horizon_days / 30))
        factors = [parameters.season[(month.season + step) % len(parameters.season)] for step in ahead]
        return sum(factors) / len(factors) / factors[0]

    def _watch(self, risk: Risk, presence: Presence, orders: Columns) -> None:
        """Let the best forecaster see who bought, and when last."""
        last = np.zeros(self.world.size, dtype=np.int64)
        paid = orders["status"] != FAILED
        np.maximum.at(last, orders["customer"][paid], orders["at"][paid])
        end = presence.first_ms + presence.month.days * DAY_MS
        since = (end - last) / (presence.month.days * DAY_MS)
        self._silence.live(risk.hazard, expected_orders(presence) * self._paid, bought=last > 0, since=since)

    def _act(self, state: State, month: Month, risk: Risk, lived: Lived, base: Untouched | None) -> None:
        world, presence = self.world, lived.presence
        orders, lines = place_orders(presence, state)
        if world.parameters.churn.definition == "inactivity":
            self._watch(risk, presence, orders)
        deliveries = deliver(world, orders, lines, trouble=lived.trouble, month=month.index)
        invoices = bill(world, orders, lived.bills)
        self._database.write_month(
            month, orders, lines, read_meters(presence), deliveries=deliveries, invoices=invoices
        )
        self._database.write_referrals(month, recommend(presence))
        events = browse(presence, orders)
        self._clicks.write_month(month, events)
        campaigns, touches, state.touch = run_campaigns(presence, risk)
        if base is not None:
            touches = base.splice(touches, base.touches, order=("customer", "campaign"))
            state.touch = np.where(base.contacted, state.touch, base.touch)
        self._drops.write_month(month, campaigns, touches)
        self._counts["orders"] += len(orders["customer"])
        self._counts["order_lines"] += len(lines["order"]) if lines else 0
        self._counts["events"] += len(events["at"])

    def _facts(self, intercept: float) -> dict[str, object]:
        parameters, calendar = self.world.parameters, self.world.calendar
        return {
            "industry": parameters.industry,
            "seed": self.world.seed,
            "customers": self.world.size,
            "first_day": calendar.months[0].first,
            "days": calendar.days,
            "intercept": round(intercept, 6),
            "left_share": self._left_share,
            "counts": self._counts,
            "shocks": json.loads(parameters.shocks.model_dump_json()),
            "bundles": parameters.catalogue.bundles if parameters.catalogue else 0,
        }


def simulate(
    parameters: Parameters, folder: Path, *, customers: int, months: int, seed: int,
    span: int = 0, contacts: Path | None = None, reduction: float | None = None,
) -> Summary:  # fmt: skip
    """Write a company with `customers` customers over `months` months below `folder`.

    `folder/sources` holds what the company's systems hold, `folder/truth` what nobody knows. The same arguments give
    the same files, byte for byte. `span` is how many months the world will last, `months` unless it is more: with the
    same span more months are the same world simulated further. With `contacts`, messages that the company's customers
    got (see `simulator.contacts`), the same world is lived through as it would have gone with them; `reduction` is the
    share by which an action lowers the churn of those at highest risk, instead of what the parameters hold.
    Raises FileExistsError when the folder already holds a world, and ContactsError.
    """
    for part in ("sources", "truth"):
        if (folder / part).exists():
            raise FileExistsError(f"`{folder / part}` exists already; name an empty folder, or remove that one first")
    return Story(
        parameters, folder, customers=customers, months=months, seed=seed, span=span, contacts=contacts,
        reduction=reduction,
    ).write()  # fmt: skip

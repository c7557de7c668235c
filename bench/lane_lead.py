"""Leavers whom the event lane finds before a night would have, and false alarms, in simulated companies with events.

A company is lived day by day: every night a boosted model, learned on the company's first months, scores everybody on
what happened until then, and is published; between the nights the real lane follows the events of the day, a quarter of
a day at a time. The first nights teach the lane its weights. Then a month is measured: whom of those not yet on an
alert level at its start the nights alone reach first, and whom the lane, with declared and with learned weights. Both
act from the line above which 5 % of the customers stand. A leaver leaves within 30 days of being found.
"""

import argparse
import copy
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.desk import TABLES
from bench.figures import at_most, without_bar
from company.policy import load_policy
from company.policy.lane import declared_weights
from ml.lane_delta import LEARNED, Weights, calibrate, learn_weights
from retention.store.store import Store
from serving.access import read_access
from serving.lane.follow import Lane
from serving.lane.log import FIELDS, SqliteLog
from serving.snapshot import Snapshot
from simulator.behaviour.orders import FAILED, place_orders
from simulator.behaviour.presence import Columns
from simulator.behaviour.visits import PAGES, TYPES
from simulator.calendar import DAY_MS, Month
from simulator.hazard import STAYS, Risk, State
from simulator.parameters import load_parameters
from simulator.story import START, Lived, Story, Untouched

INDUSTRIES = ("ecommerce", "retail", "saas", "telecom", "finance")
MONTHS, SEED = 10, 20260101
LEARNED_UNTIL, TAUGHT_UNTIL, ENDS, HORIZON = 210, 240, 270, 30
LINES = {"high": 0.02, "medium": 0.05}
QUARTERS, PUBLISHED_HOUR = 4, 6  # parts of a day in which the lane is followed; when a night's scores are out
WINDOWS = (3, 7, 30, 90)
BEGIN_MS = int(datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp() * 1000)
POLICY = load_policy()
Numbers = npt.NDArray[np.float64]


class Kept:
    """Keeps a company's clicks in the place of its click logs, thousands of hourly files that nobody reads here."""

    def __init__(self) -> None:
        """Begin with none."""
        self.months: list[Columns] = []

    def write_month(self, _month: Month, events: Columns) -> None:
        """Keep the events of a month."""
        self.months.append(events)


class Watched(Story):
    """A company whose events are kept as the lane would get them: who, when, of which type, on which page."""

    def __init__(self, industry: str, folder: Path, *, customers: int) -> None:
        """Create the company."""
        super().__init__(load_parameters(industry), folder, customers=customers, months=MONTHS, seed=SEED)
        self.clicks = Kept()
        self._clicks = self.clicks  # type: ignore[assignment]
        self.events: list[pd.DataFrame] = []
        self.left_day: Any = None

    def _act(self, state: State, month: Month, risk: Risk, lived: Lived, base: Untouched | None) -> None:
        orders, _ = place_orders(lived.presence, copy.deepcopy(state))
        super()._act(state, month, risk, lived, base)
        browsed, tickets = self.clicks.months[-1], lived.tickets
        failed = orders["status"] == FAILED
        self.events += [
            _list_events(browsed["customer"], browsed["at"], np.array(TYPES)[browsed["type"]],
                         page=np.array(PAGES)[browsed["page"]]),
            _list_events(tickets["customer"], tickets["opened"],
                         np.where(tickets["is_complaint"], "complaint", "consultation")),
            _list_events(orders["customer"][failed], orders["at"][failed], "payment_failed"),
        ]  # fmt: skip
        self.left_day = state.left_day


def _list_events(customer: Any, at: Any, kind: Any, *, page: Any = None) -> pd.DataFrame:  # noqa: ANN401 - arrays
    return pd.DataFrame({"customer": customer, "at": at, "type": kind, "page": page})


@dataclass(frozen=True, kw_only=True)
class Company:
    """What a company's customers did, and when they came and left, in days since its first one."""

    events: pd.DataFrame
    signed_day: npt.NDArray[np.int64]
    left_day: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int32]

    @property
    def size(self) -> int:
        """How many customers it ever has."""
        return len(self.signed_day)

    def is_there(self, day: int) -> npt.NDArray[np.bool_]:
        """Return who is a customer at the start of a day."""
        return (self.signed_day < day) & ((self.left_day == STAYS) | (self.left_day >= day))

    def leaves(self, day: int) -> npt.NDArray[np.bool_]:
        """Return who leaves within the horizon from a day on."""
        return (self.left_day != STAYS) & (self.left_day >= day) & (self.left_day < day + HORIZON)

    def describe(self, day: int) -> Numbers:
        """Return what a night knows of everybody: counts in windows until a day, days since anything, and tenure."""
        known = self.counts[:, :, :day].astype(np.int64).cumsum(axis=2)
        windows = [known[:, :, -1] - known[:, :, -1 - days] for days in WINDOWS]
        any_day = self.counts[:, :, :day].any(axis=1)
        since = np.where(any_day.any(axis=1), np.argmax(any_day[:, ::-1], axis=1), day)
        return np.column_stack([*windows, since, day - self.signed_day]).astype(float)


def live(industry: str, folder: Path, *, customers: int) -> Company:
    """Return a company that was lived through."""
    story = Watched(industry, folder, customers=customers)
    story.write()
    events = pd.concat(story.events, ignore_index=True).sort_values("at", kind="stable", ignore_index=True)
    signals = list(POLICY.lane.signals.items())
    code = np.full(len(events), -1)
    for number, (_, signal) in enumerate(signals):
        code[(code < 0) & events["type"].isin(signal.types).to_numpy()] = number
    for number, (_, signal) in enumerate(signals):
        code[events["page"].isin(signal.pages).to_numpy()] = number
    days = ((events["at"] - BEGIN_MS) // DAY_MS).to_numpy()
    signed_day = np.asarray(story.world.signed_day, dtype=np.int64)
    counts = np.zeros((len(signed_day), len(signals), int(days.max()) + 1), dtype=np.int32)
    np.add.at(counts, (events["customer"].to_numpy()[code >= 0], code[code >= 0], days[code >= 0]), 1)
    return Company(
        events=events.assign(day=days), signed_day=signed_day,
        left_day=np.asarray(story.left_day, dtype=np.int64), counts=counts,
    )  # fmt: skip


def score_nights(company: Company) -> dict[int, Numbers]:
    """Return the probability of everybody (nan for whom is not there) by night, from a model of the first months."""
    from xgboost import XGBClassifier

    days = range(100, LEARNED_UNTIL - HORIZON + 1, 10)
    there = {day: company.is_there(day) for day in days}
    rows = np.concatenate([company.describe(day)[there[day]] for day in days])
    labels = np.concatenate([company.leaves(day)[there[day]] for day in days])
    model = XGBClassifier(n_estimators=120, max_depth=4, learning_rate=0.06, subsample=0.8, random_state=SEED, n_jobs=1)
    model.fit(rows, labels)
    return {
        day: np.where(company.is_there(day), model.predict_proba(company.describe(day))[:, 1], np.nan)
        for day in range(LEARNED_UNTIL, ENDS + 1)
    }


def publish(path: Path, day: int, probability: Numbers, lines: dict[str, float], weights: pd.DataFrame) -> None:
    """Publish a night's scores, lines and learned weights in the place of the one before."""
    new, as_of = path.with_suffix(".new"), (START + timedelta(days=day)).isoformat()
    scores = pd.DataFrame({"customer_id": [name(n) for n in range(len(probability))], "p": probability})
    cutoffs = pd.DataFrame({"cutoff_level": list(lines), "cutoff_score": [100 * line for line in lines.values()]})
    new.unlink(missing_ok=True)
    with duckdb.connect(str(new)) as connection:
        for table, frame in {"scores": scores, "cutoff_lines": cutoffs, "lane_weights": weights}.items():
            connection.register(f"{table}_frame", frame)
            connection.execute(f"create table {table} as from {table}_frame")
        for table in ("customers", "about"):
            query = TABLES[table].format(seed=SEED, size=len(probability)).replace("2026-01-01", as_of)
            connection.execute(f"create table {table} as {query}")
        for column in ("probability", "score"):
            connection.execute(f"alter table customers alter {column} type double")
        scored = "update customers set probability = p, score = 100 * p from scores"
        connection.execute(f"{scored} where scores.customer_id = customers.customer_id")
        connection.execute("drop table scores")
        connection.execute("create index by_id on customers(customer_id)")
    new.replace(path)


def name(number: int) -> str:
    """Return the id of a customer."""
    return f"c{number:07d}"


def follow(
    company: Company, nights: dict[int, Numbers], folder: Path, *, days: range, weights: Weights | None
) -> Store:
    """Let the lane follow some days, and return the store with its alerts and lessons."""
    folder.mkdir()
    path, log, at = folder / "h.duckdb", SqliteLog(folder / "events.db"), [moment(days.start)]
    store = Store(f"sqlite:///{folder / 'store.db'}")
    store.migrate()
    learned = pd.DataFrame({"lane_feature": pd.Series(dtype=str), "lane_weight": pd.Series(dtype=float)})
    if weights is not None and weights.state == LEARNED:
        learned = pd.DataFrame({"lane_feature": weights.names, "lane_weight": weights.log_odds})
    lane: Lane | None = None
    for day in days:
        publish(path, day, nights[day], find_lines(nights), learned)
        if lane is None:
            grant = read_access().grant("lane")
            lane = Lane(
                log=log, store=store, snapshot=Snapshot(path=path), grant=grant, policy=POLICY, now=lambda: at[0]
            )
            lane.catch_up()
        lane.refresh()
        for quarter in range(QUARTERS):
            at[0] = moment(day + (quarter + 1) / QUARTERS)
            log.append(list_rows(company, day, quarter), received_at=int(at[0].timestamp() * 1000))
            while lane.step():
                pass
    publish(path, days.stop, nights[days.stop], find_lines(nights), learned)
    if lane is not None:
        lane.refresh()
    return store


def list_rows(company: Company, day: int, quarter: int) -> list[Any]:
    """Return the events of a quarter of a day as the log takes them."""
    begins = BEGIN_MS + day * DAY_MS + quarter * DAY_MS // QUARTERS
    events = company.events
    first, last = np.searchsorted(events["at"], [begins, begins + DAY_MS // QUARTERS])
    return [
        tuple({"event_id": f"e{row.Index}", "customer_id": name(row.customer), "occurred_at": int(row.at),
               "type": row.type, "page": row.page}.get(field) for field in FIELDS)
        for row in events.iloc[first:last].itertuples()
    ]  # fmt: skip


def find_lines(nights: dict[int, Numbers]) -> dict[str, float]:
    """Return the probability above which the share of each level stands in the first night."""
    first = nights[LEARNED_UNTIL]
    return {level: float(np.nanquantile(first, 1 - share)) for level, share in LINES.items()}


def moment(day: float) -> datetime:
    """Return the moment of a day since the company's first one."""
    return datetime.fromtimestamp((BEGIN_MS + day * DAY_MS) / 1000, tz=UTC)


def find_by_nights(nights: dict[int, Numbers]) -> Numbers:
    """Return when a night first had each customer on an alert level, in days; inf for never."""
    line, found = find_lines(nights)["medium"], np.full(len(nights[ENDS]), np.inf)
    for day in range(ENDS, TAUGHT_UNTIL, -1):
        found[np.nan_to_num(nights[day]) >= line] = day + PUBLISHED_HOUR / 24
    return found


def find_by_lane(store: Store, *, size: int) -> Numbers:
    """Return when the lane first alerted about each customer, in days; inf for never."""
    found = np.full(size, np.inf)
    alerts = store.alerts.read()
    days = (pd.to_datetime(alerts["raised_at"], utc=True) - moment(0)) / pd.Timedelta(days=1)
    np.minimum.at(found, alerts["customer_id"].str[1:].astype(int).to_numpy(), days.to_numpy())
    return found


def read_lessons(store: Store) -> pd.DataFrame:
    """Return a lane's lessons with what was seen as `features`."""
    lessons = store.lane.read_lessons(upto=START + timedelta(days=ENDS))
    return lessons.assign(features=[json.loads(text) for text in lessons["lane_features"]])


def measure_company(industry: str, folder: Path, *, customers: int) -> list[dict[str, Any]]:
    """Return the figures of one company."""
    company = live(industry, folder / "world", customers=customers)
    nights = score_nights(company)
    taught = follow(company, nights, folder / "taught", days=range(LEARNED_UNTIL, TAUGHT_UNTIL), weights=None)
    learned = learn_weights(read_lessons(taught), declared_weights(POLICY.lane), POLICY.lane.learning)
    month = range(TAUGHT_UNTIL, ENDS)
    stores = {
        "declared": follow(company, nights, folder / "declared", days=month, weights=None),
        "learned": follow(company, nights, folder / "learned", days=month, weights=learned),
    }
    calm = company.is_there(TAUGHT_UNTIL) & (np.nan_to_num(nights[TAUGHT_UNTIL], nan=1) < find_lines(nights)["medium"])
    by_night = np.where(calm, find_by_nights(nights), np.inf)
    figures = describe_alarms(company, industry, "nights alone", by_night)
    for which, store in stores.items():
        by_lane = np.where(calm, find_by_lane(store, size=company.size), np.inf)
        figures += describe_lead(company, industry, f"lane, {which} weights", by_lane=by_lane, by_night=by_night)
        figures += describe_gap(industry, which, read_lessons(store), state=learned.state)
        store.close()
    taught.close()
    return figures


def is_right(company: Company, found: Numbers) -> npt.NDArray[np.bool_]:
    """Return who was found and left within the horizon after it."""
    left = np.where(company.left_day == STAYS, np.inf, company.left_day + 1)
    return np.isfinite(found) & (left > found) & (left <= found + HORIZON)


def describe_alarms(company: Company, industry: str, who: str, found: Numbers) -> list[dict[str, Any]]:
    """Return how many were found, and which share of them did not leave."""
    count, right = int(np.isfinite(found).sum()), int(is_right(company, found).sum())
    size = f"{company.size:,} customers, a month, {count} found, {right} of them leavers"
    share = 100 * (count - right) / max(count, 1)
    return [{"name": f"lead, {industry}: false alarms, {who}", "unit": "%", "size": size, **without_bar(share)}]


def describe_lead(
    company: Company, industry: str, who: str, *, by_lane: Numbers, by_night: Numbers
) -> list[dict[str, Any]]:
    """Return how many days before the nights the lane found leavers, and how many only it found."""
    right = is_right(company, by_lane)
    earlier = right & (by_lane < by_night) & is_right(company, by_night)
    alone = right & ~is_right(company, by_night)
    days = by_night[earlier] - by_lane[earlier]
    size = f"{earlier.sum()} leavers found earlier, {alone.sum()} by the lane alone"
    mean, most = (float(days.mean()), float(np.quantile(days, 0.9))) if len(days) else (0.0, 0.0)
    about = {"unit": "days", "size": size}
    return [
        {"name": f"lead, {industry}: days before the nights, mean, {who}", **about, **without_bar(mean)},
        {"name": f"lead, {industry}: days before the nights, of the first tenth, {who}", **about, **without_bar(most)},
        {"name": f"lead, {industry}: leavers whom only it found, {who}", "unit": "leavers", "size": size,
         **without_bar(int(alone.sum()))},
        *describe_alarms(company, industry, who, by_lane),
    ]  # fmt: skip


def describe_gap(industry: str, which: str, lessons: pd.DataFrame, *, state: str) -> list[dict[str, Any]]:
    """Return how far the lane's log-odds lay above the next night's, and the night's change per unit of delta."""
    gap = lessons["log_odds_before"] + lessons["lane_delta"] - lessons["log_odds_night"]
    raised = lessons["lane_delta"] > 0
    slope = float(calibrate(lessons).groupby("as_of")["slope"].first().mean())
    size = f"{len(lessons):,} customers seen in a month of nights, {int(raised.sum()):,} of them raised; {state}"
    about, learning = {"size": size, "unit": "log-odds"}, POLICY.lane.learning
    inside = learning.least_slope <= slope <= learning.most_slope
    bar = {"bar": f"{learning.least_slope} to {learning.most_slope}", "holds": inside}
    name_ = f"gap, {industry}, {which} weights"
    return [
        {"name": f"{name_}: lane above the next night, mean of all", **about, **without_bar(float(gap.mean()))},
        {"name": f"{name_}: lane above the next night, mean of the raised", **about,
         **at_most(abs(float(gap[raised].mean())), POLICY.lane.most_gap), "value": float(gap[raised].mean())},
        {"name": f"{name_}: slope of the night's change on the delta", "unit": "", "size": size, "value": slope, **bar},
    ]  # fmt: skip


def measure_lead(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the figures of the industries that are asked for."""
    figures: list[dict[str, Any]] = []
    for industry in given.industries:
        (folder / industry).mkdir()
        figures += measure_company(industry, folder / industry, customers=given.customers)
    return figures

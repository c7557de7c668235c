"""The customers of a world: what they are, what they want and what would make them go. None of it is ever served."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from simulator.calendar import Calendar, shift
from simulator.parameters import Parameters
from simulator.streams import Flags, Floats, Indices, generator, lognormal, normal, pick

_DAYS_OF_MONTH = 28
_OLDEST_MONTHS = 180


@dataclass(frozen=True, kw_only=True)
class World:
    """Customers as arrays of `size`; days are counted from the world's first, negative before it.

    `order_rate` and `visit_rate` are events a month of an undisturbed customer; `appetite` has mean 1 and scales spend
    and usage; `price_sensitivity`, `misfit`, `rival_pull` and `inertia` are standard scores; `term` is the committed
    contract length in months (1 is rolling, 0 without contracts).
    """

    parameters: Parameters
    calendar: Calendar
    seed: int
    size: int
    is_company: Flags
    region: Indices
    city: Indices
    acquisition: Indices
    signed_month: Indices
    signed_day: Indices
    appetite: Floats
    order_rate: Floats
    visit_rate: Floats
    price_sensitivity: Floats
    misfit: Floats
    rival_pull: Floats
    loudness: Floats
    receptive: Floats
    inertia: Floats
    plan: Indices
    term: Indices
    seats: Indices
    speaks_english: Flags
    in_household: Flags

    @property
    def day_of_month(self) -> Indices:
        """Day within the month, 0 to 27, on which the customer signed up and is billed."""
        return np.asarray(self.signed_day - _month_days(self.calendar)[self.signed_month + _OLDEST_MONTHS])

    def month_start(self, month: int) -> int:
        """The first day of a month, counted from the world's first day."""
        return int(_month_days(self.calendar)[month + _OLDEST_MONTHS])

    def month_starts(self, months: Indices) -> Indices:
        """First days of many months, counted from the world's first day."""
        return np.asarray(_month_days(self.calendar)[months + _OLDEST_MONTHS])


def _month_days(calendar: Calendar) -> Indices:
    origin = date(calendar.start.year, calendar.start.month, 1)
    span = range(-_OLDEST_MONTHS, calendar.lasts + _OLDEST_MONTHS)
    return np.array([(shift(origin, month) - origin).days for month in span], dtype=np.int32)


def _signed_months(rng: np.random.Generator, parameters: Parameters, calendar: Calendar, size: int) -> Indices:
    population = parameters.population
    before = -1 - np.minimum(rng.exponential(population.tenure_months, size), _OLDEST_MONTHS - 2).astype(np.int32)
    during = rng.integers(0, calendar.lasts, size, dtype=np.int32)
    return np.where(rng.random(size) < population.arrivals_share, during, before).astype(np.int32)


def _places(rng: np.random.Generator, parameters: Parameters, size: int) -> tuple[Indices, Indices]:
    regions = list(parameters.regions.values())
    region = pick(rng, [item.weight for item in regions], size)
    counts = np.array([len(item.cities) for item in regions])
    city = (rng.random(size) ** 2 * counts[region]).astype(np.int32)
    return region, city


def _households(rng: np.random.Generator, is_company: Flags, share: float) -> Flags:
    """Mark pairs of neighbours (2k, 2k+1), both persons, who share a home and its telephone."""
    size = len(is_company)
    pairs = size // 2
    chosen = np.zeros(size, dtype=np.bool_)
    both = rng.random(pairs) < share
    persons = ~is_company[: 2 * pairs : 2] & ~is_company[1 : 2 * pairs : 2]
    chosen[: 2 * pairs] = np.repeat(both & persons, 2)
    return chosen


def _contracts(rng: np.random.Generator, parameters: Parameters, size: int) -> tuple[Indices, Indices]:
    if parameters.contracts is None:
        return np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    plan = pick(rng, [item.weight for item in parameters.contracts.plans.values()], size)
    lengths = np.array(list(parameters.contracts.terms), dtype=np.int32)
    return plan, lengths[pick(rng, list(parameters.contracts.terms.values()), size)]


def _seats(rng: np.random.Generator, parameters: Parameters, is_company: Flags) -> Indices:
    mean = parameters.contracts.seats if parameters.contracts else 1.0
    drawn = 1 + rng.poisson(np.maximum(mean - 1, 0) * lognormal(rng, len(is_company), spread=0.9))
    return np.where(is_company, drawn, 1).astype(np.int32)


def create_world(parameters: Parameters, calendar: Calendar, *, customers: int, seed: int) -> World:
    """Draw `customers` persons and companies; those who arrive during the world are among them."""
    rng = generator(seed, "world")
    is_company = rng.random(customers) < parameters.population.company_share
    region, city = _places(rng, parameters, customers)
    acquisitions = list(parameters.population.acquisition.values())
    acquisition = pick(rng, [item.weight for item in acquisitions], customers)
    signed_month = _signed_months(rng, parameters, calendar, customers)
    day_of_month = rng.integers(0, _DAYS_OF_MONTH, customers, dtype=np.int32)
    plan, term = _contracts(rng, parameters, customers)
    appetite = lognormal(rng, customers, spread=parameters.orders.spread) * np.where(is_company, 1.6, 1.0)
    own_pace = lognormal(rng, customers, spread=parameters.visits.spread)
    misfit = 0.6 * normal(rng, customers) + np.array([item.misfit for item in acquisitions])[acquisition]
    return World(
        parameters=parameters,
        calendar=calendar,
        seed=seed,
        size=customers,
        is_company=is_company,
        region=region,
        city=city,
        acquisition=acquisition,
        signed_month=signed_month,
        signed_day=_month_days(calendar)[signed_month + _OLDEST_MONTHS] + day_of_month,
        appetite=appetite.astype(np.float32),
        order_rate=(parameters.orders.monthly * appetite).astype(np.float32),
        visit_rate=(parameters.visits.monthly * np.sqrt(appetite) * own_pace).astype(np.float32),
        price_sensitivity=normal(rng, customers),
        misfit=misfit.astype(np.float32),
        rival_pull=normal(rng, customers),
        loudness=lognormal(rng, customers, spread=0.7),
        receptive=np.clip(1 + 0.4 * normal(rng, customers), 0, 2),
        inertia=normal(rng, customers),
        plan=plan,
        term=term,
        seats=_seats(rng, parameters, is_company),
        speaks_english=rng.random(customers) < parameters.service.english_share,
        in_household=_households(rng, is_company, parameters.population.household_share),
    )

"""Parameter files as frozen, validated types; `common.yaml` holds what the five industries share."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from company.yaml_file import load_yaml

INDUSTRIES = ("retail", "ecommerce", "finance", "telecom", "saas")
CAUSES = ("service", "price", "product", "rival", "need")
DeliveryTrouble = Literal["late", "lost", "out_of_stock"]
_HERE = Path(__file__).parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Frozen):
    """A sales region: its share of the customers and its cities."""

    weight: float
    cities: tuple[str, ...]


class Acquisition(_Frozen):
    """Where customers come from, what one costs, and how badly the product fits them on average."""

    weight: float
    cost: float
    misfit: float = 0.0


class Population(_Frozen):
    """Who the customers are."""

    company_share: float
    contacts_per_company: float
    arrivals_share: float
    tenure_months: float
    household_share: float
    levels: dict[str, float]
    preferences: tuple[str, ...]
    acquisition: dict[str, Acquisition]


class Plan(_Frozen):
    """A contract's monthly price and its share of the customers."""

    price: float
    weight: float


class Contracts(_Frozen):
    """Contracts: plans, committed terms in months (1 is rolling) and what commitment does to the log-odds."""

    plans: dict[str, Plan]
    terms: dict[int, float]
    locked: float
    renewal: float
    seats: float = 1.0
    closing_words: dict[str, str]


class Orders(_Frozen):
    """Payments: baskets bought at a rate, or invoices on a billing day."""

    kind: Literal["baskets", "invoices"]
    monthly: float
    rhythm: int = 1
    spread: float
    basket: float
    basket_spread: float
    lines: float
    online_share: float
    stores: int
    fade: float
    discount_share: float
    failure_rate: float
    payments: dict[str, float]


class Billing(_Frozen):
    """Invoices: days until they are due, and how late they are paid.

    `early_days` is how long before the due day one is usually paid; `late_days` how late for each log-odds of price
    pain or fading need, and once more where the customer contests the bill, as a share `contests` of the surprised do.
    `annoys` is the price pain of a reminder, sent `dunned_after_days` after the due day.
    """

    payable_days: int
    early_days: float
    late_days: float
    contests: float
    dunned_after_days: int
    annoys: float


class Fulfilment(_Frozen):
    """Deliveries: the promise in days, the share that slips by a day unnoticed, and what goes wrong.

    `trouble` is the chance of each kind in a month in which the customer orders, `severity` how much service pain it
    leaves; `remote` is the spread of that chance between customers, `delay_days` the mean delay of a late one.
    """

    promise_days: int
    slips: float
    remote: float
    delay_days: float
    trouble: dict[DeliveryTrouble, float]
    severity: dict[DeliveryTrouble, float]


class Catalogue(_Frozen):
    """Products: how many, in which categories, and how often a bundle's second half is bought with its first."""

    size: int
    categories: dict[str, str]
    price: float
    bundles: int
    bundle_share: float


class Visits(_Frozen):
    """Visits to app, web and mini-program."""

    monthly: float
    spread: float
    pages: float
    fade: float
    first: str
    mix: dict[str, float]
    channels: dict[str, float]
    features: tuple[str, ...]
    cart_left: float
    leave_page: float
    compare_page: float
    decay_events: float


class Metric(_Frozen):
    """A usage reading taken every week."""

    base: float
    spread: float
    noise: float
    fade: float
    unit: str


class Service(_Frozen):
    """The service desk: how often, how fast, how well."""

    monthly: float
    complaint_share: float
    response_hours: float
    resolution_hours: float
    unsolved_share: float
    rated_share: float
    survey_monthly: float
    review_monthly: float
    english_share: float
    topics: dict[str, float]
    channels: dict[str, float]


class Signs(_Frozen):
    """How visibly what hurts shows before a customer leaves.

    `reveals` is the share of tickets about what hurts most; `asks` how many times more questions come for each
    log-odds of an ill-fitting product; `surprise` how much dearer a surprising basket or bill is; `compares` how
    often a page compares offers without a reason, and `price_compares` how far a price that hurts makes one compare
    next to a rival's offer; `narrows` and `narrows_unfit` how much fewer product features are used for each
    log-odds of all pain, and of misfit.
    """

    reveals: float
    asks: float
    surprise: float
    compares: float
    price_compares: float
    narrows: float
    narrows_unfit: float


class Shock(_Frozen):
    """Something that happens in one month, to one region where `region` is given."""

    month: int
    size: float
    share: float = 1.0
    region: str | None = None


class Shocks(_Frozen):
    """What happens to the world."""

    outage: Shock
    price_rise: Shock
    rival: Shock


class Need(_Frozen):
    """Fading need: the monthly chance that it fades, by how much, and how much of it lasts to the next month."""

    starts: float
    size: float
    lasts: float


class Hazard(_Frozen):
    """Log-odds of leaving within a month: weight of each cause, tenure's relief, and how long pain lasts."""

    weights: dict[str, float]
    tenure: float
    lasts: dict[str, float]
    product_incidents: float
    price_incidents: float
    price_surprise: float
    rival_incidents: float
    rival_offer: float


class Action(_Frozen):
    """An offer: the share of each cause's pain it relieves, how much it wakes the inert, and its cost."""

    relief: dict[str, float]
    wakes: float
    cost: float


class Marketing(_Frozen):
    """Campaigns of the marketing tool."""

    monthly: int
    reach: float
    opened: float
    clicked: float
    redeemed: float
    strength: float
    channels: dict[str, float]


class Referrals(_Frozen):
    """Recommendations a month and customer whom nothing hurts, and the share of them who become customers."""

    monthly: float
    joins: float


class Lexicon(_Frozen):
    """Sentences per topic and language; `{n}` is a number of hours or days, `{item}` a product."""

    items: dict[str, tuple[str, ...]]
    complaints: dict[str, dict[str, tuple[str, ...]]]
    questions: dict[str, tuple[str, ...]]
    tails: dict[str, tuple[str, ...]]
    praise: dict[str, tuple[str, ...]]
    blame: dict[str, tuple[str, ...]]


class Churn(_Frozen):
    """How the industry observes that a customer left; days."""

    definition: str
    active_within_days: int
    horizon_days: int


class Parameters(_Frozen):
    """Everything that makes one industry's company."""

    industry: str
    company: str
    timezone: str
    currency: str
    country: str
    prefix: str
    churn: Churn
    base_rate: float
    regions: dict[str, Region]
    population: Population
    contracts: Contracts | None = None
    orders: Orders
    billing: Billing | None = None
    fulfilment: Fulfilment | None = None
    catalogue: Catalogue | None = None
    visits: Visits
    usage: dict[str, Metric]
    service: Service
    signs: Signs
    season: tuple[float, ...]
    hours: tuple[float, ...]
    shocks: Shocks
    need: Need
    hazard: Hazard
    actions: dict[str, Action]
    marketing: Marketing
    referrals: Referrals | None = None
    defects: dict[str, float]
    lexicon: Lexicon


class Surname(_Frozen):
    """A family name as written and as spelled."""

    zh: str
    en: str


class People(_Frozen):
    """Names and addresses to draw from."""

    surnames: tuple[Surname, ...]
    given: tuple[Surname, ...]
    trades: tuple[Surname, ...]
    streets: tuple[str, ...]
    domains: tuple[str, ...]


def _read(name: str) -> dict[str, Any]:
    path = _HERE / f"{name}.yaml"
    return dict(load_yaml(path))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def load_parameters(industry: str) -> Parameters:
    """Return the parameters of one of INDUSTRIES; raises ValueError naming the industry when there is no such file."""
    if industry not in INDUSTRIES:
        known = ", ".join(INDUSTRIES)
        raise ValueError(f"there is no industry {industry!r}; choose one of {known}")
    return Parameters.model_validate(_merged(_read("common"), _read(industry)))


def load_people() -> People:
    """Return the names and addresses that customers are given."""
    return People.model_validate(_read("people"))

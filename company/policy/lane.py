"""What the event lane goes by: which events count as what, what each says of a customer's risk, and its limits."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from company.policy.units import Level, Section
from company.taxonomy import Reason

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
# What makes an acknowledged event durable, and an offset that the broker forgot an error: nobody may loosen it.
_SET_BY_LANE = {
    "bootstrap.servers", "group.id", "acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset",
    "isolation.level",
}  # fmt: skip
SEEN = "anything"  # the feature of whoever was seen at all since the score
_SECRET_ENDINGS = ("password", "secret", ".pem", "username")


class Signal(Section):
    """Events of some types, or on some pages, and the log-odds of churn that each adds, up to `most` of them.

    `en` and `zh` describe one of them to a person, `en_more` and `zh_more` several ({count}); a signal without words
    moves the risk and is given as no reason.
    """

    types: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    weight: float
    most: Positive
    reason: Reason = "other"
    en: str = ""
    en_more: str = ""
    zh: str = ""
    zh_more: str = ""

    @model_validator(mode="after")
    def _names_events(self) -> Self:
        if not (self.types or self.pages):
            raise ValueError("it names neither `types` nor `pages` of events")
        return self


class Rule(Section):
    """Signals that mean more together: `all_of` so many each within days; adds log-odds, or raises to a level."""

    all_of: Annotated[dict[str, Positive], Field(min_length=1)]
    within_days: Positive
    weight: float = 0.0
    at_least: Level | None = None

    @property
    def name(self) -> str:
        """What it asks for, in one word of a table."""
        return " and ".join(f"{signal} {count}" for signal, count in self.all_of.items())


class Collector(Section):
    """What the collector accepts: origins of web pages, size of a body, events of a request, waiting events, clocks."""

    origins: tuple[str, ...]
    largest_body_kb: Positive
    events_per_request: Positive
    most_queued: Positive
    most_waiting: Positive
    retry_after_seconds: Positive
    ahead_seconds: Positive


class Learning(Section):
    """When the weights of signals and rules are learned from nights, of whom, and how strongly declared ones hold.

    Weights are learned once so many `nights` with so many `customers` are known, from the last `keep_nights`, of at
    most `customers_per_night`; the declared weights count like `prior_customers` of the risk that is usual. A night
    that changes risks by less than `least_slope` of the lane's delta, or more than `most_slope`, is warned of.
    """

    nights: Annotated[int, Field(ge=2)]
    customers: Positive
    keep_nights: Positive
    customers_per_night: Positive
    prior_customers: Annotated[float, Field(gt=0)]
    least_slope: float
    most_slope: float


class Broker(Section):
    """A broker that speaks the Kafka protocol, and its topic, which is the log of events and has one partition.

    `settings` are properties of librdkafka, such as `security.protocol`; `secrets` give further ones by the names of
    the environment variables that hold them.
    """

    servers: Annotated[str, Field(min_length=1)]
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    settings: dict[str, str | int | bool] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _leaves_the_rest_to_the_lane(self) -> Self:
        for name in sorted({*self.settings, *self.secrets} & _SET_BY_LANE):
            raise ValueError(f"`{name}` is set by the lane itself; leave it out")
        for name in sorted(name for name in self.settings if name.endswith(_SECRET_ENDINGS)):
            raise ValueError(f"`{name}` is a secret; name its environment variable under `secrets`")
        return self


class Surges(Section):
    """When a rate over all customers is an incident: window, days compared with, chance, and what a plunge is."""

    window_minutes: Annotated[int, Field(ge=10, multiple_of=10)]
    past_days: Annotated[int, Field(ge=4)]
    chance: Annotated[float, Field(gt=0, lt=1)]
    plunge_share: Annotated[float, Field(gt=0, lt=1)]
    fewest_usual: Positive


class Lane(Section):
    """The event lane: memory, bounds of its delta and of its gap to the night, signals, rules, surges, collector."""

    memory_days: Annotated[int, Field(ge=2, le=31)]
    log_days: Positive
    most_delta: Annotated[float, Field(gt=0)]
    events_per_step: Positive
    checkpoint_minutes: Seconds
    silent_after_seconds: Seconds
    most_gap: Annotated[float, Field(gt=0)]
    signals: Annotated[dict[str, Signal], Field(min_length=1)]
    rules: tuple[Rule, ...]
    learning: Learning
    surges: Surges
    broker: Broker | None
    collector: Collector

    @model_validator(mode="after")
    def _rules_name_signals(self) -> Self:
        for rule in self.rules:
            if unknown := sorted(set(rule.all_of) - set(self.signals)):
                raise ValueError(f"a rule names the signal {unknown[0]!r}, which `signals` does not have")
            if rule.within_days > self.memory_days:
                raise ValueError(f"a rule looks back {rule.within_days} days, but `memory_days` is {self.memory_days}")
        return self


def declared_weights(policy: Lane) -> dict[str, float]:
    """Return the declared log-odds of each feature: the signals, the rules, and that anything was seen at all."""
    signals = {name: signal.weight for name, signal in policy.signals.items()}
    return {**signals, **{rule.name: rule.weight for rule in policy.rules}, SEEN: 0.0}

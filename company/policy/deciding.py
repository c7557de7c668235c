"""What retention decides by: tiers and alerts, who is left untreated, the budget."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from company.policy.units import LEVELS, Count, Days, Level, Money, Period, Score, Section, Share
from company.taxonomy import Offer, Reason

if TYPE_CHECKING:
    import numpy.typing as npt


class Tiers(Section):
    """Lower bounds of the tiers on the 0-100 score; below `medium` is low."""

    high: Score
    medium: Score
    act_on: tuple[Level, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.high <= self.medium:
            raise ValueError("high must lie above medium")
        return self

    def lines(self) -> dict[Level, float]:
        """Return the lower bound of each tier that has one, the highest first."""
        return {"high": self.high, "medium": self.medium}


class Planning(Section):
    """Whether a person has to approve a plan before anything of it leaves."""

    approval: Literal["none", "required"]


class Alerts(Section):
    """Lower bounds of the alert levels on the 0-100 score; below `low` there is no alert."""

    high: Score
    medium: Score
    low: Score
    act_on: tuple[Level, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if not self.high > self.medium > self.low:
            raise ValueError("the thresholds must fall from high over medium to low")
        return self

    def lines(self) -> dict[Level, float]:
        """Return the lower bound of each level, the highest first."""
        return {"high": self.high, "medium": self.medium, "low": self.low}


class Feedback(Section):
    """What users' answers to alerts may change: see `retention.deciding.feedback`."""

    minimum_answers: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]
    tolerated_wrong: Annotated[float, Field(gt=0, lt=1)]
    most_points: Count


class Cutoffs(Section):
    """How the lines that move are chosen, from earlier scores whose outcome is known.

    `capacity` is the largest share of the customers on or above the line of a level, `channels` how a level's customers
    are contacted, which gives the cost. Below `minimum_churners` known leavers the tiers hold. An alert of a level in
    `confirm` needs a reason that holds, as well as its score; `feedback` bounds what users' answers demand beyond that.
    """

    minimum_churners: Annotated[int, Field(ge=1)]
    capacity: dict[Level, Share]
    channels: dict[Level, str]
    confirm: tuple[Level, ...]
    feedback: Feedback

    @model_validator(mode="after")
    def _every_level(self) -> Self:
        for name, given in (("capacity", self.capacity), ("channels", self.channels)):
            if missing := [level for level in LEVELS if level not in given]:
                raise ValueError(f"{name} does not name the level {missing[0]}")
        return self


class Response(Section):
    """What an alert level asks of people; `priority` 1 is the most urgent."""

    respond_within_hours: Annotated[float, Field(gt=0)]
    owner: str
    priority: Annotated[int, Field(ge=1)]


class Responses(Section):
    """One response per alert level."""

    high: Response
    medium: Response
    low: Response


class Holdout(Section):
    """The untreated group: its share of the candidates, the salt of its hash, and from when it is drawn anew yearly.

    Decisions of the first `washout_days` of such a year count for no verdict: the draw before it still shows.
    """

    share: Annotated[float, Field(ge=0, lt=1)]
    salt: Annotated[str, Field(min_length=1)]
    rotates_from: Annotated[int, Field(ge=2000, le=9999)] | None
    washout_days: Days


class Exploration(Section):
    """The planned customers who get an option drawn at random, so that what is not chosen today is still measured."""

    share: Annotated[float, Field(ge=0, le=0.5)]
    salt: Annotated[str, Field(min_length=1)]


class Budget(Section):
    """One amount per calendar period for all strategies together, and further ones for single strategies.

    An option must be expected to bring `minimum_expected_value`, and `minimum_return` per money spent.
    """

    amount: Money
    period: Period
    minimum_expected_value: Money
    minimum_return: Money
    strategies: dict[str, Money]


class Team(Section):
    """The hours a team has for one plan, and the hours one contact takes, by channel."""

    hours: Money
    hours_per_contact: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]


class Effects(Section):
    """How measured effects are joined with declared ones; see policy.yaml."""

    group_by: tuple[
        Literal[
            "value_tier", "tier", "level", "main_reason", "lifecycle_stage", "lifecycle_phase", "cluster_kind", "kind",
            "region",
        ],
        ...,
    ]  # fmt: skip
    group_spread: Annotated[float, Field(gt=0, le=1)]
    declared_spread: Annotated[float, Field(gt=0, le=1)]
    level_spread: Annotated[float, Field(ge=0)]
    harm_probability: Annotated[float, Field(ge=0.5, le=1)]
    minimum_rows: Annotated[int, Field(ge=20)]
    minimum_group_rows: Annotated[int, Field(ge=2)]
    folds: Annotated[int, Field(ge=2)]
    answered_by: dict[Reason, tuple[Offer, ...]]
    unanswered_share: Share
    still_felt: Annotated[float, Field(ge=0, lt=1)]

    def windows_felt(self, probability: "npt.ArrayLike") -> "npt.NDArray[np.float64]":
        """Return how many windows' worth of its first an effect is, by the probability of leaving within a window.

        Whoever stays feels `still_felt` of it in the next window, may leave in that, and so on: a geometric series. One
        where the probability is missing: who comes back comes back once.
        """
        stays = np.nan_to_num(1 - np.asarray(probability, dtype=np.float64), nan=0.0)
        return np.asarray(1 / (1 - self.still_felt * stays), dtype=np.float64)

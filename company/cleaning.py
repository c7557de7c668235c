"""What is plausible and what is repaired: ranges of numbers, spellings, fills, and how late a row may come."""

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bound(_Part):
    """The range of plausible values of a number, both ends included, or of one `metric` of the table `usage`."""

    table: str
    column: str
    metric: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    low: float | None = None
    high: float | None = None


class Returns(_Part):
    """How the company's systems write what customers sent back; neither way is a purchase.

    `negative_amounts`: rows of `orders` and `order_lines` with a negative amount are credit notes, which lower what
    they take back. `refunded_status`: orders whose status is `refunded`, however it is spelled, were taken back whole.
    """

    negative_amounts: bool = False
    refunded_status: bool = False


class Cleaning(_Part):
    """What a company adds to the product's cleaning rules, which stand in `dbt_project/dbt_project.yml`.

    `bounds` take the place of the industry's for the same column; a row outside of them is quarantined. `vocabulary`
    adds spellings: table, column, the word that is meant, and how it is also written. `fills` says by table and column
    what stands for a missing value. Identical clicks within `duplicate_seconds` count once; rows that come up to
    `late_days` after they happened still change the day they belong to. `returns` says how returns are written.
    """

    duplicate_seconds: float | None = Field(default=None, gt=0)
    late_days: int | None = Field(default=None, ge=0)
    bounds: tuple[Bound, ...] = ()
    vocabulary: dict[str, dict[str, dict[str, tuple[str, ...]]]] = Field(default_factory=dict)
    fills: dict[str, dict[str, str]] = Field(default_factory=dict)
    returns: Returns = Returns()

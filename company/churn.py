"""Churn definitions: what losing a customer means, how far ahead it is looked for, and which table it reads."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["inactivity", "contract_end", "spend_fall", "account_closed"]
TABLE_OF: dict[Kind, str] = {
    "inactivity": "orders",
    "spend_fall": "orders",
    "contract_end": "subscriptions",
    "account_closed": "subscriptions",
}

FINAL: tuple[Kind, ...] = ("contract_end", "account_closed")


class ChurnDefinition(BaseModel):
    """What losing a customer means: who counts as active, and how far ahead the loss is looked for, in days.

    `inactivity`: nothing is bought within the horizon. `contract_end`: no contract runs at its end. `account_closed`:
    by then notice was given for every contract. `spend_fall`: what is spent within the horizon falls by at least
    `fall_share` below what was spent in as many days before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    definition: Kind
    active_within_days: int = Field(default=60, ge=1)
    horizon_days: int = Field(default=30, ge=1)
    lead_days: int = Field(default=0, ge=0)
    fall_share: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _share_belongs_to_spend(self) -> Self:
        if (self.definition == "spend_fall") != (self.fall_share is not None):
            raise ValueError("`fall_share` belongs to the definition `spend_fall`, and that needs one, such as 0.8")
        return self

    @property
    def table(self) -> str:
        """The canonical table that the definition reads."""
        return TABLE_OF[self.definition]

    @property
    def is_final(self) -> bool:
        """Whether who leaves by it is gone: who is silent or spends less may come back."""
        return self.definition in FINAL

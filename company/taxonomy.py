"""How features are sorted: the side of a customer that they describe, and the reason for leaving that they support."""

from typing import Literal, get_args

Family = Literal["satisfaction", "service", "purchase", "lifecycle", "retention", "value", "market"]
Reason = Literal[
    "inactivity",
    "spend_fall",
    "service",
    "price",
    "product",
    "engagement",
    "rival",
    "payment",
    "contract",
    "lifecycle",
    "other",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
REASONS: tuple[Reason, ...] = get_args(Reason)
CAUSES: tuple[Reason, ...] = ("payment", "price", "product", "rival", "service")  # reasons that a company can answer
NO_REASON: Reason = "other"  # of a customer at risk for whom no fact holds

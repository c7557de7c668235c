"""The lists of the API: one entry per relation of the snapshot that programs may read or export."""

from serving.access import Order
from serving.api.listing import Resource

CUSTOMERS = Resource(
    name="customers", relation="customers", action="customers", key=(Order(column="position"),),
    description="Customers, the most money at risk first.",
)  # fmt: skip
ALERTS = Resource(
    name="alerts", relation="alerts", action="alerts", key=(Order(column="position"),),
    description="Alerts, the most urgent first.",
)  # fmt: skip
PLAN = Resource(
    name="plan", relation="plans", action="plan", key=(Order(column="rank"),),
    description="The plan: what is decided for every customer, and why; the highest expected value first.",
)  # fmt: skip
PRICES = Resource(
    name="prices", relation="plan_prices", action="plan", key=(Order(column="resource"),),
    description="What one more unit of every limit of the plan would bring.",
)  # fmt: skip
PLAN_CHANGES = Resource(
    name="plan changes", relation="plan_changes", action="plan", key=(Order(column="position"),),
    description="Whom this plan or the one before it contacts, and what became of them.",
)  # fmt: skip
INCIDENTS = Resource(
    name="incidents", relation="incidents", action="incidents", key=(Order(column="position"),),
    description="Incidents, the newest first.",
)  # fmt: skip
PERIODS = Resource(
    name="periods", relation="periods", action="money",
    key=(Order(column="period_start", descending=True), Order(column="period"), Order(column="strategy_id"),
         Order(column="effect_group")),
    description="Results of plans by day, week and month, per strategy and group, the newest first.",
)  # fmt: skip
RESOURCES = {each.name: each for each in (CUSTOMERS, ALERTS, PLAN, PRICES)}

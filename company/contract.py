"""The canonical source tables: what a company may bring, column by column.

Every reader delivers these tables and nothing else downstream knows where a row came from. Timestamps are UTC;
amounts are in the company's currency; identifiers are text. Only `customers` and one of `orders` or `subscriptions`
are required; a table that a company does not connect is absent everywhere.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

# Days on which moments are believed: from the first one on, up to some days after the landing, and ends longer.
EARLIEST_MOMENT = "1950-01-01"
AHEAD_DAYS = 731
END_AHEAD_DAYS = 18_263


class ColumnType(StrEnum):
    """The types a canonical column may have, named as the warehouse names them."""

    TEXT = "varchar"
    INTEGER = "bigint"
    NUMBER = "double"
    FLAG = "boolean"
    MOMENT = "timestamp"
    DAY = "date"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One canonical column.

    `personal` columns never reach the warehouse in clear: ingestion replaces them by keyed tokens; what `is_prose` is
    read for its sentiment and topic on the way. `low` and `high` are
    inclusive bounds of what a value can be; one that `is_credited` may be negative where the company declares credit
    notes. A value that cannot be read or cannot be costs its row where the column is
    required or `is_essential`; elsewhere only the value is emptied, and counted. `is_end` marks moments at which
    something ends: one that nobody believes means that it has not ended. `earliest` is the first believable day (ISO)
    of personal data: a day before it, or after the landing, is emptied and counted, and its row stays.
    """

    name: str
    type: ColumnType
    description: str
    is_required: bool = False
    personal: bool = False
    is_prose: bool = False
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    earliest: str | None = None
    is_essential: bool = False
    is_end: bool = False
    is_credited: bool = False

    @property
    def costs_row(self) -> bool:
        """Tell whether a value that cannot be read or cannot be costs the row."""
        return self.is_required or self.is_essential


@dataclass(frozen=True, kw_only=True)
class Table:
    """One canonical table: `grain` in words, `key` as columns, `moment` the column that places a row in time."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    moment: str | None = None

    def column(self, name: str) -> Column:
        """Return the column called `name`; raises KeyError when the table has none."""
        return {column.name: column for column in self.columns}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in their declared order."""
        return tuple(column.name for column in self.columns)


def _text(name: str, description: str, *, required: bool = False, personal: bool = False) -> Column:
    return Column(name=name, type=ColumnType.TEXT, description=description, is_required=required, personal=personal)


def _prose(name: str, description: str) -> Column:
    return replace(_text(name, description, personal=True), is_prose=True)


def _moment(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name=name, type=ColumnType.MOMENT, description=description, is_required=required, unit="UTC")


def _end(name: str, description: str, *, essential: bool = False) -> Column:
    return replace(_moment(name, description), is_end=True, is_essential=essential)


def _amount(name: str, description: str, *, essential: bool = False) -> Column:
    amount = Column(name=name, type=ColumnType.NUMBER, description=description, unit="currency", low=0.0)
    return replace(amount, is_essential=essential)


def _number(
    name: str,
    description: str,
    *,
    unit: str | None = None,
    low: float | None = None,
    high: float | None = None,
    required: bool = False,
) -> Column:
    return Column(
        name=name,
        type=ColumnType.NUMBER,
        description=description,
        unit=unit,
        low=low,
        high=high,
        is_required=required,
    )


def _flag(name: str, description: str) -> Column:
    return Column(name=name, type=ColumnType.FLAG, description=description)


_FIRST_BIRTH = "1900-01-01"
_CUSTOMER = _text("customer_id", "the customer's id in this source", required=True)

CUSTOMERS = Table(
    name="customers",
    grain="one row per customer, a person or a company",
    key=("customer_id",),
    columns=(
        _CUSTOMER,
        _text("kind", "person or company"),
        _text("parent_customer_id", "the company that a contact person belongs to"),
        _text("name", "full name", personal=True),
        _text("email", "e-mail address", personal=True),
        _text("email_domain", "the e-mail address after the @, filled in when it is not mapped"),
        _text("phone", "telephone number", personal=True),
        _text("address", "postal address", personal=True),
        Column(
            name="birth_date",
            type=ColumnType.TEXT,
            description="date of birth",
            personal=True,
            earliest=_FIRST_BIRTH,
        ),
        _text("city", "city, no finer"),
        _text("region", "sales region"),
        _text("country", "country"),
        _text("gender", "as the source has it"),
        _text("age_band", "age band, such as 25-34"),
        _text("income_band", "income band"),
        _text("household", "household composition"),
        _text("level", "customer level, such as gold"),
        _text("preference", "declared preference"),
        _moment("signed_up_at", "when the customer came"),
        _text("acquisition_channel", "where the customer came from"),
        _amount("acquisition_cost", "what winning the customer cost"),
        _text("owner", "the responsible employee or team"),
        _flag("is_test", "the company's own tester; every row of a tester is taken out in staging"),
    ),
    moment="signed_up_at",
)

IDENTITIES = Table(
    name="identities",
    grain="one row per other id of a customer",
    key=("customer_id", "kind", "value"),
    columns=(
        _CUSTOMER,
        _text("kind", "account, device, email, phone or another system's name", required=True),
        _text("value", "the other id", required=True, personal=True),
        _flag("is_verified", "the customer proved to own it"),
        _moment("seen_at", "when the link was seen"),
    ),
    moment="seen_at",
)

ORDERS = Table(
    name="orders",
    grain="one row per order or basket",
    key=("order_id",),
    columns=(
        _text("order_id", "the order's id", required=True),
        _CUSTOMER,
        _moment("ordered_at", "when it was placed", required=True),
        replace(_amount("amount", "paid amount after discounts", essential=True), is_credited=True),
        _amount("discount", "all discounts together"),
        _number("count_lines", "order lines", unit="lines", low=0),
        _text("channel", "app, web, store, delivery platform"),
        _text("store", "store or site"),
        _text("payment_method", "how it was paid"),
        _text("status", "paid, failed, cancelled, refunded"),
        _flag("is_test", "placed to try the till; taken out in staging"),
    ),
    moment="ordered_at",
)

ORDER_LINES = Table(
    name="order_lines",
    grain="one row per order and line",
    key=("order_id", "line_number"),
    columns=(
        _text("order_id", "the order", required=True),
        Column(name="line_number", type=ColumnType.INTEGER, description="line within the order", is_required=True),
        _CUSTOMER,
        _moment("ordered_at", "when the order was placed", required=True),
        _text("product_id", "the product"),
        replace(_number("quantity", "pieces, in the source's unit", low=0), is_essential=True, is_credited=True),
        replace(_amount("amount", "paid amount after discounts", essential=True), is_credited=True),
        _amount("discount", "all discounts together"),
    ),
    moment="ordered_at",
)

PRODUCTS = Table(
    name="products",
    grain="one row per product",
    key=("product_id",),
    columns=(
        _text("product_id", "the product", required=True),
        _text("name", "product name"),
        _text("category", "category"),
        _text("department", "department, above category"),
        _text("brand", "brand"),
        _amount("list_price", "list price"),
    ),
)

SUBSCRIPTIONS = Table(
    name="subscriptions",
    grain="one row per contract or plan period",
    key=("subscription_id",),
    columns=(
        _text("subscription_id", "the contract's id", required=True),
        _CUSTOMER,
        _text("plan", "plan or product"),
        _moment("started_at", "when it began", required=True),
        _end("renews_at", "next renewal or contract end", essential=True),
        _end("cancelled_at", "when notice took effect", essential=True),
        _text("cancel_reason", "reason given"),
        _amount("amount_monthly", "recurring amount a month", essential=True),
        _number("count_seats", "seats or lines", low=0),
        _flag("is_auto_renewing", "renews without an action"),
        _text("status", "active, paused, cancelled, expired"),
    ),
    moment="started_at",
)

USAGE = Table(
    name="usage",
    grain="one row per customer, day and metric",
    key=("customer_id", "used_at", "metric"),
    columns=(
        _CUSTOMER,
        _moment("used_at", "the day or moment measured", required=True),
        _text("metric", "balance, call_minutes, data_gb, api_calls, seats_active, trades", required=True),
        _number("value", "the measurement", required=True),
        _text("unit", "its unit"),
    ),
    moment="used_at",
)

EVENTS = Table(
    name="events",
    grain="one row per behaviour event",
    key=("event_id",),
    columns=(
        _text("event_id", "the event's id", required=True),
        _CUSTOMER,
        _moment("occurred_at", "when it happened", required=True),
        _text(
            "type", "visit, view, search, add_to_cart, checkout, pay, login, feature, unfollow, leave_group, uninstall"
        ),
        _text("channel", "app, web, mini-program, store"),
        _text("session_id", "visit or session"),
        _text("device_id", "device, as the source names it", personal=True),
        _text("page", "page or screen; `compare` where offers are compared, `leave` where it explains how to leave"),
        _text("product_id", "product looked at"),
        _text("feature", "product feature used"),
        _number("dwell_seconds", "time spent", unit="seconds", low=0),
        _flag("is_test", "made by the company's own testers; taken out in staging"),
    ),
    moment="occurred_at",
)

TICKETS = Table(
    name="tickets",
    grain="one row per ticket",
    key=("ticket_id",),
    columns=(
        _text("ticket_id", "the case's id", required=True),
        _CUSTOMER,
        _moment("opened_at", "when it was opened", required=True),
        _moment("first_response_at", "first answer"),
        _end("resolved_at", "when it was solved"),
        _text("kind", "consultation or complaint"),
        _text("topic", "what the case is about: price, product, rival, or any code of the source"),
        _text("channel", "phone, chat, e-mail, store"),
        _text("priority", "low, normal, high"),
        _prose("body", "what the customer wrote"),
        _text("language", "zh or en"),
        _number("satisfaction", "satisfaction after the case", unit="1 to 5", low=1, high=5),
    ),
    moment="opened_at",
)

FEEDBACK = Table(
    name="feedback",
    grain="one row per review, survey answer or social post",
    key=("feedback_id",),
    columns=(
        _text("feedback_id", "its id", required=True),
        _CUSTOMER,
        _moment("given_at", "when it was given", required=True),
        _text("kind", "review, survey, nps or social"),
        _number("rating", "rating given", unit="1 to 5; nps 0 to 10", low=0, high=10),
        _prose("body", "what was written"),
        _text("language", "zh or en"),
        _text("product_id", "product reviewed"),
    ),
    moment="given_at",
)

CAMPAIGNS = Table(
    name="campaigns",
    grain="one row per marketing campaign",
    key=("campaign_id",),
    columns=(
        _text("campaign_id", "the campaign's id", required=True),
        _text("name", "name or type"),
        _text("channel", "channel used"),
        _moment("started_at", "first day"),
        _end("ended_at", "last day"),
        _amount("cost", "cost of the campaign"),
    ),
    moment="started_at",
)

TOUCHES = Table(
    name="touches",
    grain="one row per message or contact of a campaign to a customer",
    key=("touch_id",),
    columns=(
        _text("touch_id", "the contact's id", required=True),
        _CUSTOMER,
        _text("campaign_id", "its campaign"),
        _moment("touched_at", "when it was sent", required=True),
        _text("channel", "channel used"),
        _flag("is_opened", "the customer opened it"),
        _flag("is_clicked", "the customer clicked it"),
    ),
    moment="touched_at",
)

REDEMPTIONS = Table(
    name="redemptions",
    grain="one row per coupon or offer redeemed",
    key=("redemption_id",),
    columns=(
        _text("redemption_id", "its id", required=True),
        _CUSTOMER,
        _text("campaign_id", "its campaign"),
        _text("coupon_id", "the coupon"),
        _moment("redeemed_at", "when it was redeemed", required=True),
        _amount("amount", "value redeemed", essential=True),
    ),
    moment="redeemed_at",
)

CONSENTS = Table(
    name="consents",
    grain="one row per consent given or withdrawn",
    key=("customer_id", "purpose", "channel", "changed_at"),
    columns=(
        _CUSTOMER,
        _text("purpose", "marketing, profiling, service", required=True),
        _text("channel", "channel it holds for"),
        replace(_flag("is_granted", "given or withdrawn"), is_essential=True),
        _moment("changed_at", "when", required=True),
    ),
    moment="changed_at",
)

INVOICES = Table(
    name="invoices",
    grain="one row per invoice",
    key=("invoice_id",),
    columns=(
        _text("invoice_id", "the invoice's id", required=True),
        _CUSTOMER,
        _moment("issued_at", "when it was issued", required=True),
        _moment("due_at", "when it is to be paid"),
        _end("paid_at", "when it was paid in full"),
        _moment("dunned_at", "first reminder to pay"),
        _moment("disputed_at", "when the customer contested it"),
        replace(_amount("amount", "invoiced amount"), is_credited=True),
    ),
    moment="issued_at",
)

DELIVERIES = Table(
    name="deliveries",
    grain="one row per delivery, or per product of an order that was delivered apart or not at all",
    key=("delivery_id",),
    columns=(
        _text("delivery_id", "the delivery's id", required=True),
        _CUSTOMER,
        _text("order_id", "the order"),
        _moment("ordered_at", "when it was ordered", required=True),
        _moment("promised_at", "when it was promised to arrive"),
        _end("delivered_at", "when it arrived"),
        _end("failed_at", "when it was given up"),
        _text("failure", "why it was given up: out of stock, lost, damaged, refused"),
        _text("product_id", "the product, where it is about one"),
    ),
    moment="ordered_at",
)

REFERRALS = Table(
    name="referrals",
    grain="one row per recommendation of us by a customer",
    key=("referral_id",),
    columns=(
        _text("referral_id", "its id", required=True),
        replace(_CUSTOMER, description="the customer who recommended us"),
        _moment("referred_at", "when", required=True),
        _moment("joined_at", "when who was recommended became a customer"),
    ),
    moment="referred_at",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        CUSTOMERS,
        IDENTITIES,
        ORDERS,
        ORDER_LINES,
        PRODUCTS,
        SUBSCRIPTIONS,
        USAGE,
        EVENTS,
        INVOICES,
        DELIVERIES,
        TICKETS,
        FEEDBACK,
        REFERRALS,
        CAMPAIGNS,
        TOUCHES,
        REDEMPTIONS,
        CONSENTS,
    )
}

"""The tables of the operational store, as SQLAlchemy sees them; the migrations make them."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

METADATA = MetaData()
# An erased customer's rows go; of a column marked so only the id goes: the row records what a colleague did, or is
# another customer's.
ON_ERASURE, BLANK = "on_erasure", "blank"


class Moment(TypeDecorator[datetime]):
    """A moment in UTC: refuses what has no time zone, stores UTC, returns it aware."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn an aware moment into UTC without a zone, as it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The moment {value} has no time zone; pass an aware datetime.")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return a stored moment as an aware one."""
        return None if value is None else value.replace(tzinfo=UTC)


PLANS = Table(
    "plans",
    METADATA,
    Column("as_of", Date, primary_key=True),
    Column("committed_at", Moment, nullable=False),
    Column("count_rows", Integer, nullable=False),
    Column("count_treated", Integer, nullable=False),
    Column("count_holdout", Integer, nullable=False),
    Column("amount_committed", Double, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    comment="one row per committed plan; never changed",
)

PLAN_APPROVALS = Table(
    "plan_approvals",
    METADATA,
    Column("as_of", Date, ForeignKey("plans.as_of"), primary_key=True),
    Column("is_approved", Boolean, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    comment="one row per plan that a person approved or refused; append-only",
)

PLAN_ROWS = Table(
    "plan_rows",
    METADATA,
    Column("as_of", Date, ForeignKey("plans.as_of"), primary_key=True),
    Column("customer_id", String, primary_key=True),
    Column("strategy_id", String),
    Column("arm", String, nullable=False),
    Column("channel", String),
    Column("cost", Double, nullable=False),
    Column("expected_value", Double),
    Column("rank", Integer, nullable=False),
    Column("decision", String, nullable=False),
    Column("decision_reason", String, nullable=False),
    Column("level", String),
    Column("score", Double),
    Column("probability", Double),
    Column("main_reason", String),
    Column("value_tier", String),
    Column("money_at_risk", Double),
    Column("propensity", Double, nullable=False),
    Column("model_version", String),
    Column("planned_strategy_id", String),
    Column("effect", Double),
    Column("effect_group", String),
    Column("propensities", String),
    Column("best_rejected", String),
    Column("rejected_because", String),
    Column("version", String),
    Column("kept_share", Double),
    comment="one row per plan and candidate; never changed",
)

PLAN_PRICES = Table(
    "plan_prices",
    METADATA,
    Column("as_of", Date, ForeignKey("plans.as_of"), primary_key=True),
    Column("resource", String, primary_key=True),
    Column("amount", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("price", Double, nullable=False),
    Column("text_en", Text, nullable=False),
    Column("text_zh", Text, nullable=False),
    comment="one row per plan and limit: what one more unit of it would have brought; never changed",
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("idempotency_key", String(64), primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("customer_id", String, nullable=False),
    Column("strategy_id", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("version", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("is_replay", Boolean, nullable=False),
    Column("useful_until", Date, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Moment),
    Column("claimed_by", String(32)),
    Column("claimed_at", Moment),
    Column("lease_until", Moment),
    Column("left_at", Moment),
    Column("left_on", Date),
    Column("updated_at", Moment, nullable=False),
    Column("receipt", String),
    Column("trouble", Text),
    Column("settled_by", String),
    UniqueConstraint("customer_id", "strategy_id", "occasion", "version", name="uq_outbox_message"),
    Index("ix_outbox_state", "state", "not_before"),
    Index("ix_outbox_left_on", "customer_id", "left_on"),
    comment="one row per message: planned, claimed, sent, unknown, failed, late, capped or held",
)

RECIPIENTS = Table(
    "recipients",
    METADATA,
    Column("customer_id", String, primary_key=True),
    Column("language", String),
    Column("email_source", String),
    Column("email_account", String),
    Column("email_token", String),
    Column("phone_source", String),
    Column("phone_account", String),
    Column("phone_token", String),
    comment="one row per customer for whom a message was planned: language, and tokens of addresses",
)

CONSENTS = Table(
    "consents",
    METADATA,
    Column("consent_id", String(32), primary_key=True),
    Column("customer_id", String, nullable=False, index=True),
    Column("purpose", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("is_granted", Boolean, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("reported_by", String, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    comment="one row per consent given or withdrawn by a customer for whom a message was planned; append-only",
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("entry_id", String(64), primary_key=True),
    Column("as_of", Date, nullable=False, index=True),
    Column("customer_id", String, nullable=False),
    Column("strategy_id", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("event", String, nullable=False),
    Column("channel", String),
    Column("cost", Double, nullable=False),
    Column("score", Double),
    Column("model_version", String),
    Column("idempotency_key", String(64), index=True),
    Column("happened_at", Moment, nullable=False),
    Column("is_replay", Boolean, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("propensity", Double),
    Column("planned_strategy_id", String),
    Column("effect_group", String),
    Column("propensities", String),
    Column("version", String),
    comment="one row per thing done or withheld; append-only",
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("alert_id", String(32), primary_key=True),
    Column("as_of", Date, nullable=False, index=True),
    Column("customer_id", String, nullable=False, index=True),
    Column("rank", Integer, nullable=False),
    Column("level", String, nullable=False),
    Column("tier", String, nullable=False),
    Column("alert_level", String, nullable=False),
    Column("score", Double, nullable=False),
    Column("probability", Double, nullable=False),
    Column("money_at_risk", Double),
    Column("priority", Integer, nullable=False),
    Column("owner", String, nullable=False),
    Column("main_reason", String),
    Column("why_en", Text),
    Column("why_zh", Text),
    Column("raised_at", Moment, nullable=False),
    Column("answer_minutes", Integer, nullable=False),
    Column("due_at", Moment),
    Column("breached_at", Moment),
    Column("is_replay", Boolean, nullable=False),
    Column("incident_id", String(32), index=True),
    Column("state", String, nullable=False, index=True),
    Column("acknowledged_by", String),
    Column("acknowledged_at", Moment),
    Column("closed_by", String),
    Column("closed_at", Moment),
    Column("feedback", String),
    Column("note", Text),
    Column("snoozed_until", Moment),
    comment="one row per alert: open, acknowledged or closed",
)


def _events_of(noun: str) -> Table:
    return Table(
        f"{noun}_events",
        METADATA,
        Column("number", Integer, primary_key=True),
        Column(f"{noun}_id", String(32), ForeignKey(f"{noun}s.{noun}_id"), nullable=False, index=True),
        Column("event", String, nullable=False),
        Column("done_by", String, nullable=False),
        Column("done_at", Moment, nullable=False),
        Column("feedback", String),
        Column("note", Text),
        Column("snoozed_until", Moment),
        Column("owner", String),
        Column("deadline", String),
        Column("message_key", String(64)),
        comment=f"one row per thing done with an {noun}, by people or by its clock; append-only",
    )


ALERT_EVENTS = _events_of("alert")

ALERT_LOOKS = Table(
    "alert_looks",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("looked_at", Moment, nullable=False, index=True),
    Column("count_alerts", Integer, nullable=False),
    Column("count_notices", Integer, nullable=False),
    Column("count_breaches", Integer, nullable=False),
    comment="one row per look at the clocks of alerts; append-only",
)

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("incident_id", String(32), primary_key=True),
    Column("as_of", Date, nullable=False, index=True),
    Column("measure", String, nullable=False),
    Column("group_name", String, nullable=False),
    Column("first_date", Date, nullable=False),
    Column("last_date", Date, nullable=False),
    Column("count_customers", Integer, nullable=False),
    Column("count_expected", Double, nullable=False),
    Column("ratio", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("q_value", Double, nullable=False),
    Column("money_at_risk", Double),
    Column("cause_en", Text, nullable=False),
    Column("cause_zh", Text, nullable=False),
    Column("grade", String, nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("owner", String, nullable=False),
    Column("answer_minutes", Integer, nullable=False),
    Column("due_at", Moment),
    Column("breached_at", Moment),
    Column("is_replay", Boolean, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("acknowledged_by", String),
    Column("acknowledged_at", Moment),
    Column("closed_by", String),
    Column("closed_at", Moment),
    Column("feedback", String),
    Column("note", Text),
    Column("snoozed_until", Moment),
    comment="one row per rate that rose in a group: open, acknowledged or closed",
)

INCIDENT_EVENTS = _events_of("incident")

INCIDENT_CUSTOMERS = Table(
    "incident_customers",
    METADATA,
    Column("incident_id", String(32), ForeignKey("incidents.incident_id"), primary_key=True),
    Column("customer_id", String, primary_key=True),
    comment="one row per incident and customer with the event; grows while the incident is open",
)

GATE_OVERRIDES = Table(
    "gate_overrides",
    METADATA,
    Column("override_id", String(32), primary_key=True),
    Column("seam", String, nullable=False, index=True),
    Column("as_of", Date, nullable=False),
    Column("granted_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("granted_at", Moment, nullable=False),
    comment="one row per gate that a person let pass; append-only",
)

RETRAIN_REQUESTS = Table(
    "retrain_requests",
    METADATA,
    Column("request_id", String(32), primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("trigger", String, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("is_accepted", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    comment="one row per request to retrain, granted or put off; append-only",
)

MODEL_EVENTS = Table(
    "model_events",
    METADATA,
    Column("event_id", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("version", String, nullable=False, index=True),
    Column("event", String, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("comment", Text, nullable=False),
    Column("request_id", String(32)),
    Column("recorded_at", Moment, nullable=False),
    UniqueConstraint("number", name="uq_model_events_number"),
    comment="one row per thing that happened to a model version; append-only",
)

IDENTITY_DECISIONS = Table(
    "identity_decisions",
    METADATA,
    Column("decision_id", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("customer_id", String, nullable=False, index=True),
    Column("other_id", String, info={ON_ERASURE: BLANK}),
    Column("is_apart", Boolean, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    UniqueConstraint("number", name="uq_identity_decisions_number"),
    comment="one row per time a person took customer ids apart, or let them be linked again; append-only",
)

STRATEGY_CHANGES = Table(
    "strategy_changes",
    METADATA,
    Column("change_id", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("strategy_id", String, nullable=False, index=True),
    Column("strength", Double),
    Column("valid_days", Integer),
    Column("is_paused", Boolean),
    Column("customer_id", String),
    Column("campaign", String),
    Column("holds_from", Date),
    Column("holds_until", Date),
    Column("decided_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    UniqueConstraint("number", name="uq_strategy_changes_number"),
    comment="one row per time a person changed a strategy; append-only",
)

STRATEGY_REVIEWS = Table(
    "strategy_reviews",
    METADATA,
    Column("review_id", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("strategy_id", String, nullable=False, index=True),
    Column("as_of", Date, nullable=False),
    Column("state_before", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("suggestion", String, nullable=False),
    Column("verdict", String),
    Column("difference", Double),
    Column("difference_low", Double),
    Column("difference_high", Double),
    Column("needs", Double),
    Column("n_treated", Integer),
    Column("n_holdout", Integer),
    Column("months", Integer, nullable=False),
    Column("is_held", Boolean, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    UniqueConstraint("number", name="uq_strategy_reviews_number"),
    comment="one row per review of a strategy, a month's or a person's, with its evidence; append-only",
)

VERSION_ASSIGNMENTS = Table(
    "version_assignments",
    METADATA,
    Column("customer_id", String, primary_key=True),
    Column("strategy_id", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("assigned_at", Moment, nullable=False),
    Column("imported_by", String, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    comment="one row per customer and strategy whose version another system has drawn; append-only",
)

PLAN_OVERRIDES = Table(
    "plan_overrides",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("customer_id", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("strategy_id", String),
    Column("until", Date),
    Column("decided_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("before", String, nullable=False),
    Column("after", String, nullable=False),
    comment="one row per time a person decided about a customer what plans may do; append-only",
)

USERS = Table(
    "users",
    METADATA,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("owner", String),
    Column("region", String),
    Column("password", String),
    Column("link_digest", String(64)),
    Column("link_expires_at", Moment),
    Column("count_failures", Integer, nullable=False),
    Column("locked_until", Moment),
    Column("is_disabled", Boolean, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("totp_secret", String(64)),
    Column("totp_pending", String(64)),
    Column("totp_step", Integer),
    Column(
        "subject", String, unique=True
    ),  # who a provider of single sign-on says that it is, empty for a local account
    comment="one row per account of the desk; passwords and sign-in links are kept as digests",
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("name", String, ForeignKey("users.name"), nullable=False, index=True),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    comment="one row per sign-in; a session ends by itself, by its user, or when the account changes",
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("owner", String),
    Column("region", String),
    Column("made_by", String, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("revoked_by", String),
    Column("revoked_at", Moment),
    comment="one row per key of a program, kept as a digest; a key expires and can be revoked",
)

API_REQUESTS = Table(
    "api_requests",
    METADATA,
    Column("key_id", String(16), ForeignKey("api_keys.key_id"), primary_key=True),
    Column("idempotency_key", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("begun_at", Moment, nullable=False, index=True),
    Column("answer", Text),
    comment="one row per writing request of a program and its answer, which a retry gets again",
)

WEBHOOK_SUBSCRIPTIONS = Table(
    "webhook_subscriptions",
    METADATA,
    Column("subscription_id", String(16), primary_key=True),
    Column("key_id", String(16), ForeignKey("api_keys.key_id"), nullable=False, index=True),
    Column("url", String, nullable=False),
    Column("events", String, nullable=False),
    Column("secret", String, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("announced_to", Moment, nullable=False),
    Column("ended_at", Moment),
    comment="one row per webhook of a partner's program: where to, which events, and how far they are announced",
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("done_at", Moment, nullable=False),
    Column("done_by", String, nullable=False),
    Column("action", String, nullable=False),
    Column("customer_id", String, index=True, info={ON_ERASURE: BLANK}),
    Column("subject", String),
    Column("detail", Text, nullable=False),
    comment="one row per thing that a person did, was refused, or looked at one by one; append-only",
)

PRIVACY_REQUESTS = Table(
    "privacy_requests",
    METADATA,
    Column("request_id", String(32), primary_key=True),
    Column("kind", String, nullable=False),
    Column("law", String, nullable=False),
    Column("customer_token", String(64), nullable=False, index=True),
    Column("received_on", Date, nullable=False),
    Column("sealed", Text),
    comment="one row per request of a person about their data; the ids are sealed, and gone when it is done",
)

PRIVACY_CALLBACKS = Table(
    "privacy_callbacks",
    METADATA,
    Column("request_id", String(32), ForeignKey("privacy_requests.request_id"), primary_key=True),
    Column("url", String(500), primary_key=True),
    Column("controller_id", String, nullable=False),
    Column("known_status", String),
    Column("known_at", Moment),
    comment="one row per request and address that its sender wants called: the newest status that it took",
)

PRIVACY_EVENTS = Table(
    "privacy_events",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("request_id", String(32), ForeignKey("privacy_requests.request_id"), nullable=False, index=True),
    Column("event", String, nullable=False),
    Column("done_by", String, nullable=False),
    Column("done_at", Moment, nullable=False),
    Column("due_on", Date),
    Column("note", Text, nullable=False),
    Column("evidence", Text),
    comment="one row per step of a request: its states, its extension, and each store that is done; append-only",
)

SUPPRESSED_IDS = Table(
    "suppressed_ids",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("key_check", String(16), nullable=False),
    Column("request_id", String(32), nullable=False),
    Column("suppressed_at", Moment, nullable=False),
    comment="one row per customer id that no ingestion takes in again, as a keyed token",
)

APPEND_ONLY = (
    PLANS, PLAN_APPROVALS, PLAN_ROWS, PLAN_PRICES, LEDGER, CONSENTS, GATE_OVERRIDES, RETRAIN_REQUESTS, MODEL_EVENTS,
    IDENTITY_DECISIONS,
    STRATEGY_CHANGES, STRATEGY_REVIEWS, VERSION_ASSIGNMENTS, PLAN_OVERRIDES, ALERT_EVENTS, ALERT_LOOKS, INCIDENT_EVENTS,
    AUDIT_LOG, PRIVACY_EVENTS,
)  # fmt: skip

LANE_PROGRESS = Table(
    "lane_progress",
    METADATA,
    Column("name", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("log_position", BigInteger, nullable=False),
    Column("as_of", Date),
    Column("beat_at", Moment, nullable=False),
    Column("alert_p50_ms", Double),
    Column("alert_p99_ms", Double),
    comment="one row per reader of the event log: how far its effects reach, and its last sign of life",
)

LANE_LESSONS = Table(
    "lane_lessons",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("as_of", Date, nullable=False, index=True),
    Column("lane_features", Text, nullable=False),
    Column("lane_delta", Double, nullable=False),
    Column("log_odds_before", Double, nullable=False),
    Column("log_odds_night", Double, nullable=False),
    comment="one row per night and customer, without an id: what the event lane saw, and the night's risk after it",
)

LANE_NIGHTS = Table(
    "lane_nights",
    METADATA,
    Column("as_of", Date, primary_key=True),
    Column("group_name", String, primary_key=True),
    Column("count_customers", Integer, nullable=False),
    Column("probability_before", Double, nullable=False),
    Column("probability_lane", Double, nullable=False),
    Column("probability_night", Double, nullable=False),
    Column("log_odds_gap", Double, nullable=False),
    comment="one row per night and group of customers: what the event lane had made of their risk, and the night",
)

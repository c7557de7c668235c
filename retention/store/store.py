"""The operational store: the system of record for what was decided and done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from company.policy import load_policy
from retention.acting import outbox
from retention.deciding.plan import COLUMNS as PLAN_COLUMNS
from retention.deciding.plan import HOLDOUT, TREATED
from retention.store import requests
from retention.store.database import lock_for_migration, open_engine
from retention.store.identity_decisions import IdentityDecision, list_apart, record_decision
from retention.store.requests import GateOverride, ModelEvent, RetrainRequest
from retention.store.tables import (
    ALERTS,
    GATE_OVERRIDES,
    LEDGER,
    MODEL_EVENTS,
    OUTBOX,
    PLAN_ROWS,
    PLANS,
    RETRAIN_REQUESTS,
)

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Delivery, Period
    from retention.acting.channels.base import Channel
    from retention.deciding.strategies import Strategy

_CHUNK = 20_000


class Store:
    """Plans, outbox, ledger and alerts behind one URL: `sqlite:///path` or `postgresql://..`."""

    def __init__(self, url: str) -> None:
        """Open the database at `url`; its tables are there after `migrate`."""
        self.engine = open_engine(url)
        self._reading = self.engine.execution_options(is_reading=True)

    def migrate(self, *, to: str = "head") -> None:
        """Bring the tables forward to a version, the newest by default, in one transaction."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.engine.begin() as connection:
            lock_for_migration(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, to)

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    # plans

    def commit_plan(
        self, as_of: date, plan: "pd.DataFrame", *, strategies: Sequence["Strategy"], at: datetime
    ) -> "pd.DataFrame":
        """Commit a plan for good and return it: one transaction with its ledger entries and its messages.

        Args:
            as_of: the plan's day; once it has a plan, that one is returned and `plan` is ignored.
            plan: output of `plan.plan`.
            strategies: the library that the plan's strategies come from; gives the messages their content.
            at: the moment of the commitment.
        """
        _require_day(as_of, plan)
        messages = _messages(as_of, plan, strategies=strategies, at=at)
        entries = _assigned(as_of, plan, at=at)
        try:
            with self.engine.begin() as connection:
                if _is_committed(connection, as_of):
                    return _read_plan(connection, as_of)
                connection.execute(insert(PLANS).values(_header(as_of, plan, at=at)))
                _insert(connection, PLAN_ROWS, plan.assign(as_of=as_of)[list(PLAN_COLUMNS)])
                _insert(connection, LEDGER, entries)
                _insert(connection, OUTBOX, messages)
                return _read_plan(connection, as_of)
        except IntegrityError:
            if not self.has_plan(as_of):  # otherwise another process was first, and its plan holds
                raise
            return self.read_plan(as_of)

    def has_plan(self, as_of: date) -> bool:
        """Tell whether a plan was committed for the day."""
        with self._reading.connect() as connection:
            return _is_committed(connection, as_of)

    def read_plan(self, as_of: date) -> "pd.DataFrame":
        """Return the committed plan of a day, in its order; raises KeyError when there is none."""
        with self._reading.connect() as connection:
            if not _is_committed(connection, as_of):
                raise KeyError(f"No plan was committed for {as_of}.")
            return _read_plan(connection, as_of)

    def spent(self, as_of: date, *, period: "Period") -> float:
        """Return the money committed in the budget period of `as_of` by the plans of its other days."""
        first, end = period_of(as_of, period)
        here = (LEDGER.c.as_of >= first) & (LEDGER.c.as_of < end) & (LEDGER.c.as_of != as_of)
        with self._reading.connect() as connection:
            return float(connection.scalar(select(func.coalesce(func.sum(LEDGER.c.cost), 0.0)).where(here)) or 0.0)

    def recent_contacts(self, as_of: date, *, days: int) -> set[str]:
        """Return who was chosen, treated or held out, by another day's plan less than `days` away from `as_of`."""
        near = timedelta(days=days)
        here = (LEDGER.c.as_of > as_of - near) & (LEDGER.c.as_of < as_of + near) & (LEDGER.c.as_of != as_of)
        query = select(LEDGER.c.customer_id).distinct().where(here & (LEDGER.c.event == outbox.ASSIGNED))
        with self._reading.connect() as connection:
            return set(connection.scalars(query))

    # sending

    def dispatch(
        self, channels: Mapping[str, "Channel"], *, at: datetime, delivery: "Delivery | None" = None
    ) -> outbox.DispatchReport:
        """Send what is due, each message once; see `outbox.dispatch`. `delivery` is the policy's section."""
        return outbox.dispatch(self.engine, channels, at=at, delivery=delivery or load_policy().delivery)

    def settle(self, key: str, *, delivered: bool, by: str, at: datetime) -> None:
        """Let a person decide an uncertain message; raises ValueError when it is not uncertain."""
        state = outbox.SENT if delivered else outbox.FAILED
        with self.engine.begin() as connection:
            outbox.move(connection, key, since=outbox.UNCERTAIN, to=state, at=at, settled_by=by)
            outbox.record(connection, key, event=state, at=at)

    def read_outbox(self) -> "pd.DataFrame":
        """Return every message with its state, oldest plan first."""
        return self._read(select(OUTBOX).order_by(OUTBOX.c.as_of, OUTBOX.c.rank))

    def ledger(self) -> "pd.DataFrame":
        """Return the whole ledger; `cost` sums to the money committed, because a failure gives its cost back."""
        return self._read(select(LEDGER).order_by(LEDGER.c.as_of, LEDGER.c.entry_id))

    # alerts

    def record_alerts(self, alerts: "pd.DataFrame", *, at: datetime) -> int:
        """Record alerts that are not there yet, open and due counted from `at`; return how many were new."""
        import pandas as pd

        hours = pd.to_timedelta(alerts["respond_within_hours"].astype(float), unit="h")
        rows = alerts.drop(columns="respond_within_hours").assign(
            as_of=pd.to_datetime(alerts["as_of"]).dt.date,
            raised_at=at,
            due_at=[at + hour.to_pytimedelta() for hour in hours],
            state="open",
        )
        with self.engine.begin() as connection:
            days = rows["as_of"].unique().tolist()
            known = connection.scalars(select(ALERTS.c.alert_id).where(ALERTS.c.as_of.in_(days)))
            new = rows.loc[~rows["alert_id"].isin(set(known))]
            _insert(connection, ALERTS, new)
        return len(new)

    def read_alerts(self, as_of: date | None = None) -> "pd.DataFrame":
        """Return the alerts of a day, or all, the newest day and the most money at risk first."""
        query = select(ALERTS).order_by(ALERTS.c.as_of.desc(), ALERTS.c.rank)
        return self._read(query if as_of is None else query.where(ALERTS.c.as_of == as_of))

    def overdue_alerts(self, *, at: datetime) -> "pd.DataFrame":
        """Return the alerts that nobody has answered and that were due before `at`."""
        return self._read(
            select(ALERTS).where((ALERTS.c.state == "open") & (ALERTS.c.due_at < at)).order_by(ALERTS.c.due_at)
        )

    def acknowledge_alert(self, alert_id: str, *, by: str, at: datetime) -> None:
        """Record who takes an alert on; raises ValueError when it is not open."""
        self._move_alert(alert_id, since=("open",), state="acknowledged", acknowledged_by=by, acknowledged_at=at)

    def close_alert(self, alert_id: str, *, by: str, at: datetime, feedback: str, note: str = "") -> None:
        """Close an alert with the feedback of its user; raises ValueError when it is closed already."""
        values = {"closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        self._move_alert(alert_id, since=("open", "acknowledged"), state="closed", **values)

    def _move_alert(self, alert_id: str, *, since: tuple[str, ...], **values: Any) -> None:  # noqa: ANN401
        here = (ALERTS.c.alert_id == alert_id) & ALERTS.c.state.in_(since)
        with self.engine.begin() as connection:
            if connection.execute(update(ALERTS).where(here).values(**values)).rowcount != 1:
                wanted = " or ".join(since)
                raise ValueError(f"The alert {alert_id} is not {wanted}; read the alerts for its state.")

    # what people and sensors ask of the pipeline

    def override_gate(self, seam: str, as_of: date, *, by: str, reason: str, at: datetime) -> GateOverride:
        """Let one gate pass for one day, by name and with a reason; asking again keeps the first answer."""
        if not by.strip() or not reason.strip():
            raise ValueError("Overriding a gate needs the name of a person and a reason; pass both.")
        granted = GateOverride(seam=seam, as_of=as_of, granted_by=by, reason=reason, granted_at=at)
        with self.engine.begin() as connection:
            return requests.record_override(connection, granted)

    def gate_override(self, seam: str, as_of: date) -> GateOverride | None:
        """Return who let a gate pass for a day and why, None when nobody did."""
        with self._reading.connect() as connection:
            return requests.find_override(connection, seam, as_of)

    def gate_overrides(self) -> "pd.DataFrame":
        """Return every override, oldest first."""
        return self._read(select(GATE_OVERRIDES).order_by(GATE_OVERRIDES.c.granted_at))

    def decide_identity(
        self, customer_id: str, *, other_id: str | None = None, is_apart: bool, by: str, reason: str, at: datetime
    ) -> IdentityDecision:
        """Take a customer id apart from another, or from all others, or let it be linked again; by name, for a reason.

        The same decision again changes nothing. Raises ValueError without a name or a reason.
        """
        decision = IdentityDecision(
            customer_id=customer_id, other_id=other_id, is_apart=is_apart, decided_by=by, reason=reason, decided_at=at
        )
        with self.engine.begin() as connection:
            return record_decision(connection, decision)

    def kept_apart(self) -> list[IdentityDecision]:
        """Return the decisions by which customer ids are kept apart now, oldest first."""
        with self._reading.connect() as connection:
            return list_apart(connection)

    def request_retrain(
        self, trigger: str, as_of: date, *, evidence: Mapping[str, Any], cooldown_days: int, at: datetime
    ) -> RetrainRequest:
        """Ask for a new model, with evidence; granted at most once per cool-down, and always to a person.

        Args:
            trigger: drift, performance, monthly or manual; only drift and performance are held back.
            as_of: the day whose check failed.
            evidence: plain values that show why.
            cooldown_days: days between two granted requests.
            at: the moment of the request.

        Returns:
            The request with its decision; the same trigger for the same day gets the same answer again.
        """
        asked = RetrainRequest(trigger=trigger, as_of=as_of, evidence=dict(evidence), requested_at=at)
        with self.engine.begin() as connection:
            return requests.record_request(connection, asked, cooldown_days=cooldown_days)

    def retrain_requests(self) -> "pd.DataFrame":
        """Return every request, granted or put off, oldest first; evidence is JSON."""
        return self._read(select(RETRAIN_REQUESTS).order_by(RETRAIN_REQUESTS.c.as_of, RETRAIN_REQUESTS.c.requested_at))

    def review_model(self, version: str, *, approve: bool, by: str, comment: str, at: datetime) -> ModelEvent:
        """Record a person's verdict on a model version; raises ValueError when it already has the opposite one."""
        if not by.strip():
            raise ValueError("A review needs the name of a person; pass it as `by`.")
        event = requests.APPROVED if approve else requests.REJECTED
        return self._record_model(version, event, by=by, comment=comment, at=at)

    def review_of(self, version: str) -> ModelEvent | None:
        """Return the verdict on a model version, None while it waits for one."""
        with self._reading.connect() as connection:
            return requests.latest_event(connection, kinds=requests.REVIEWS, version=version)

    def record_champion(
        self,
        version: str,
        *,
        by: str,
        comment: str,
        at: datetime,
        rolled_back: bool = False,
        request_id: str | None = None,
    ) -> ModelEvent:
        """Record that a version became the champion, by promotion or by rolling back to it."""
        event = requests.ROLLED_BACK if rolled_back else requests.PROMOTED
        return self._record_model(version, event, by=by, comment=comment, at=at, request_id=request_id)

    def champions(self) -> list[ModelEvent]:
        """Return every move of the champion, oldest first; a rollback goes to the one before the last."""
        query = select(MODEL_EVENTS).where(MODEL_EVENTS.c.event.in_(requests.MOVES)).order_by(MODEL_EVENTS.c.number)
        with self._reading.connect() as connection:
            names = ModelEvent.__dataclass_fields__
            return [ModelEvent(**{name: row[name] for name in names}) for row in connection.execute(query).mappings()]

    def model_events(self) -> "pd.DataFrame":
        """Return everything that happened to model versions, oldest first."""
        return self._read(select(MODEL_EVENTS).order_by(MODEL_EVENTS.c.number))

    def _record_model(
        self, version: str, event: str, *, by: str, comment: str, at: datetime, request_id: str | None = None
    ) -> ModelEvent:
        happened = ModelEvent(
            number=0,
            version=version,
            event=event,
            decided_by=by,
            comment=comment,
            recorded_at=at,
            request_id=request_id,
        )
        with self.engine.begin() as connection:
            return requests.record_event(connection, happened)

    def _read(self, query: Any) -> "pd.DataFrame":  # noqa: ANN401 - any select
        import pandas as pd

        with self._reading.connect() as connection:
            return pd.read_sql(query, connection)


def period_of(as_of: date, period: "Period") -> tuple[date, date]:
    """Return the first day of the calendar period that `as_of` lies in, and the first day after it."""
    if period in {"day", "week"}:
        first = as_of - timedelta(days=as_of.weekday() if period == "week" else 0)
        return first, first + timedelta(days=7 if period == "week" else 1)
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    start = (as_of.month - 1) // months * months
    ahead = start + months
    return date(as_of.year, start + 1, 1), date(as_of.year + ahead // 12, ahead % 12 + 1, 1)


def _require_day(as_of: date, plan: "pd.DataFrame") -> None:
    import pandas as pd

    days = pd.to_datetime(plan["as_of"]).dt.date
    if not days.eq(as_of).all():
        raise ValueError(f"A plan of {sorted(map(str, days.unique()))} cannot be committed for {as_of}.")


def _is_committed(connection: Connection, as_of: date) -> bool:
    return connection.scalar(select(PLANS.c.as_of).where(PLANS.c.as_of == as_of)) is not None


def _read_plan(connection: Connection, as_of: date) -> "pd.DataFrame":
    import pandas as pd

    columns = [PLAN_ROWS.c[name] for name in PLAN_COLUMNS]
    return pd.read_sql(select(*columns).where(PLAN_ROWS.c.as_of == as_of).order_by(PLAN_ROWS.c.rank), connection)


def _header(as_of: date, plan: "pd.DataFrame", *, at: datetime) -> dict[str, Any]:
    from pandas.util import hash_pandas_object

    content = hash_pandas_object(plan[list(PLAN_COLUMNS)], index=False).to_numpy()
    return {
        "as_of": as_of,
        "committed_at": at,
        "count_rows": len(plan),
        "count_treated": int(plan["arm"].eq(TREATED).sum()),
        "count_holdout": int(plan["arm"].eq(HOLDOUT).sum()),
        "amount_committed": float(plan["cost"].sum()),
        "fingerprint": sha256(content.tobytes()).hexdigest(),
    }


def _assigned(as_of: date, plan: "pd.DataFrame", *, at: datetime) -> "pd.DataFrame":
    """One ledger entry for everyone treated and everyone held out."""
    chosen = plan.loc[plan["arm"].isin([TREATED, HOLDOUT])]
    identities = list(zip(chosen["customer_id"], chosen["strategy_id"], chosen["arm"], strict=True))
    ids = [outbox.entry_id(as_of, *identity, outbox.ASSIGNED) for identity in identities]
    keys = np.array(
        [outbox.idempotency_key(as_of, who, what) if arm == TREATED else None for who, what, arm in identities], object
    )
    columns = ["customer_id", "strategy_id", "arm", "channel", "cost", "score", "model_version", "propensity"]
    return chosen[columns].assign(
        entry_id=ids, as_of=as_of, event=outbox.ASSIGNED, idempotency_key=keys, recorded_at=at
    )


def _messages(as_of: date, plan: "pd.DataFrame", *, strategies: Sequence["Strategy"], at: datetime) -> "pd.DataFrame":
    """One pending message for everyone treated; no personal data, a channel asks for an address itself."""
    treated = plan.loc[plan["arm"] == TREATED, ["customer_id", "strategy_id", "channel", "rank"]]
    contents = {strategy.id: _content(strategy) for strategy in strategies}
    missing = sorted(set(treated["strategy_id"]) - set(contents))
    if missing:
        raise ValueError(f"The plan uses the strategies {missing}, which the library passed with it does not have.")
    pairs = list(zip(treated["customer_id"], treated["strategy_id"], strict=True))
    day = as_of.isoformat()
    return treated.assign(
        idempotency_key=[outbox.idempotency_key(as_of, *pair) for pair in pairs],
        as_of=as_of,
        body=[
            json.dumps({"as_of": day, "customer_id": customer, **contents[strategy]}, ensure_ascii=False)
            for customer, strategy in pairs
        ],
        state=outbox.PENDING,
        attempts=0,
        not_before=at,
        updated_at=at,
    )


def _content(strategy: "Strategy") -> dict[str, Any]:
    modules = [module.model_dump(mode="json") for module in strategy.modules]
    head = {"strategy_id": strategy.id, "valid_days": strategy.valid_days, "modules": modules}
    return head | strategy.texts()


def _insert(connection: Connection, table: Table, rows: "pd.DataFrame") -> None:
    for chunk in _records(rows):
        connection.execute(insert(table), chunk)


def _records(rows: "pd.DataFrame") -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), _CHUNK):
        part = rows.iloc[start : start + _CHUNK]
        columns = [part[name].astype(object).where(part[name].notna(), None).tolist() for name in part]
        names = [str(name) for name in part]
        yield [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

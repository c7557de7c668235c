"""Alerts: who answers for which customer, and what became of it."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from retention.store.database import Database, insert_frame
from retention.store.tables import ALERTS

if TYPE_CHECKING:
    import pandas as pd

OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"


class Alerts:
    """One row per alert: open, then acknowledged, then closed."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def record(self, alerts: "pd.DataFrame", *, at: datetime) -> int:
        """Record alerts that are not there yet, open and due counted from `at`; return how many were new."""
        import pandas as pd

        hours = pd.to_timedelta(alerts["respond_within_hours"].astype(float), unit="h")
        rows = alerts.drop(columns="respond_within_hours").assign(
            as_of=pd.to_datetime(alerts["as_of"]).dt.date,
            raised_at=at,
            due_at=[at + hour.to_pytimedelta() for hour in hours],
            state=OPEN,
        )
        with self._database.write() as connection:
            days = rows["as_of"].unique().tolist()
            known = connection.scalars(select(ALERTS.c.alert_id).where(ALERTS.c.as_of.in_(days)))
            new = rows.loc[~rows["alert_id"].isin(set(known))]
            insert_frame(connection, ALERTS, new)
        return len(new)

    def read(self, as_of: date | None = None) -> "pd.DataFrame":
        """Return the alerts of a day, or all, the newest day and the most money at risk first."""
        query = select(ALERTS).order_by(ALERTS.c.as_of.desc(), ALERTS.c.rank)
        return self._database.read_frame(query if as_of is None else query.where(ALERTS.c.as_of == as_of))

    def read_overdue(self, *, at: datetime) -> "pd.DataFrame":
        """Return the alerts that nobody has answered and that were due before `at`."""
        is_overdue = (ALERTS.c.state == OPEN) & (ALERTS.c.due_at < at)
        return self._database.read_frame(select(ALERTS).where(is_overdue).order_by(ALERTS.c.due_at))

    def acknowledge(self, alert_id: str, *, by: str, at: datetime) -> None:
        """Record who takes an alert on; raises ValueError when it is not open."""
        self._move(alert_id, since=(OPEN,), state=ACKNOWLEDGED, acknowledged_by=by, acknowledged_at=at)

    def close(self, alert_id: str, *, by: str, at: datetime, feedback: str, note: str = "") -> None:
        """Close an alert with the feedback of its user; raises ValueError when it is closed already."""
        values = {"closed_by": by, "closed_at": at, "feedback": feedback, "note": note}
        self._move(alert_id, since=(OPEN, ACKNOWLEDGED), state=CLOSED, **values)

    def _move(self, alert_id: str, *, since: tuple[str, ...], **values: Any) -> None:  # noqa: ANN401 - column values
        is_movable = (ALERTS.c.alert_id == alert_id) & ALERTS.c.state.in_(since)
        with self._database.write() as connection:
            if connection.execute(update(ALERTS).where(is_movable).values(**values)).rowcount != 1:
                wanted = " or ".join(since)
                raise ValueError(f"The alert {alert_id} is not {wanted}; read the alerts for its state.")

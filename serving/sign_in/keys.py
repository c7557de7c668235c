"""Keys by which programs ask the API: shown once, kept as digests, with a role, an end, and a way to revoke them."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select, update

from retention.store.database import Database
from retention.store.tables import API_KEYS
from serving.audit import Entry, add_entry
from serving.sign_in.passwords import hash_secret, make_secret
from serving.write_behind import WriteBehind

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

PREFIX = "holdfast"  # so that scanners for secrets recognise one that leaked
_USED_EVERY = timedelta(minutes=1)
_LONGEST_NAME = 80


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What a program may see: a role, and the owner or the region whose customers are its own."""

    name: str
    role: str
    owner: str | None = None
    region: str | None = None
    key_id: str = ""


class ApiKeys:
    """One row per key; whatever is doubtful is refused."""

    def __init__(self, database: Database, *, later: WriteBehind | None = None) -> None:
        """Keep them in `database`; `later` takes when a key was last used."""
        self._database = database
        self._later = later or WriteBehind(database)

    def add(self, key: ApiKey, *, by: str, at: datetime, days: int) -> str:
        """Add a key that holds for some days and return its text, the only time that it is known.

        Raises ValueError when the name is empty or too long.
        """
        if not key.name.strip() or len(key.name) > _LONGEST_NAME:
            raise ValueError("A key needs a name of at most 80 characters: which program uses it.")
        key_id, secret = secrets.token_hex(6), make_secret()
        row = vars(key) | {"key_id": key_id, "digest": hash_secret(secret), "made_by": by, "made_at": at}
        with self._database.write() as connection:
            connection.execute(insert(API_KEYS).values(**row, expires_at=at + timedelta(days=days)))
            detail = f"{key.name}: {key.role}, owner {key.owner or '-'}, region {key.region or '-'}, {days} days"
            add_entry(connection, Entry(done_at=at, done_by=by, action="key", subject=key_id, detail=detail))
        return f"{PREFIX}_{key_id}_{secret}"

    def revoke(self, key_id: str, *, by: str, at: datetime) -> None:
        """End a key at once. Raises ValueError when there is none that still holds."""
        holds = (API_KEYS.c.key_id == key_id) & API_KEYS.c.revoked_at.is_(None)
        with self._database.write() as connection:
            done = connection.execute(update(API_KEYS).where(holds).values(revoked_by=by, revoked_at=at))
            if done.rowcount != 1:
                raise ValueError(f"There is no key {key_id}, or it has been revoked already.")
            add_entry(connection, Entry(done_at=at, done_by=by, action="revoke", subject=key_id))

    def read(self) -> "list[RowMapping]":
        """Return all keys without their digests, the newest first."""
        columns = [column for column in API_KEYS.c if column.name != "digest"]
        with self._database.read() as connection:
            return list(connection.execute(select(*columns).order_by(API_KEYS.c.made_at.desc())).mappings())

    def verify(self, text: str, *, at: datetime) -> ApiKey | None:
        """Return whose key a text is, None when it is unknown, expired or revoked."""
        prefix, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        with self._database.read() as connection:
            row = _find(connection, key_id)
        digest = hash_secret(secret)
        if row is None or prefix != PREFIX or not hmac.compare_digest(row["digest"], digest):
            return None
        key = _as_holding(row, at=at)
        if key is not None:
            self._mark_used(row, at=at)
        return key

    def find(self, key_id: str, *, at: datetime) -> ApiKey | None:
        """Return the key of an id, None when it is unknown, expired or revoked."""
        with self._database.read() as connection:
            row = _find(connection, key_id)
        return None if row is None else _as_holding(row, at=at)

    def _mark_used(self, row: "RowMapping", *, at: datetime) -> None:
        if row["used_at"] is None or at - row["used_at"] > _USED_EVERY:
            is_it = API_KEYS.c.key_id == row["key_id"]
            self._later.execute(update(API_KEYS).where(is_it).values(used_at=at))


def _find(connection: Connection, key_id: str) -> "RowMapping | None":
    return connection.execute(select(API_KEYS).where(API_KEYS.c.key_id == key_id)).mappings().one_or_none()


def _as_holding(row: "RowMapping", *, at: datetime) -> ApiKey | None:
    """Return a key unless it is expired or revoked."""
    if row["revoked_at"] is not None or row["expires_at"] <= at:
        return None
    return ApiKey(**{name: row[name] for name in ("name", "role", "owner", "region", "key_id")})

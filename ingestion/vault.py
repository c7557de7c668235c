"""The vault: clear values of personal columns, encrypted and kept apart from everything that analyses them.

Each customer of a source has an own random key, which encrypts that customer's values (AES-256-GCM) and lies on the
keyring, in another database. Destroying it there erases every copy of the values.
Every asking for a clear value is written to the vault's audit table.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb
import sqlalchemy as sa
from more_itertools import chunked

from ingestion.keyring import (
    KEYS_URL_NAME,
    LEAST_SECRET,
    MASTER_KEY_NAME,
    URL_NAME,
    Keyring,
    Owner,
    VaultError,
    keys_address,
    open_engine,
)

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MASTER_KEY_NAME", "URL_NAME", "Asked", "Sealable", "Vault", "VaultError", "seal_stage"]

_NONCE_BYTES = 12
_CHUNK = 5_000
_OWNERS = 500  # that one statement names

_METADATA = sa.MetaData()
_VALUES = sa.Table(
    "vault_values",
    _METADATA,
    sa.Column("source", sa.String(100), primary_key=True),
    sa.Column("customer_id", sa.String(200), primary_key=True),
    sa.Column("column_name", sa.String(100), primary_key=True),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("sealed_at", sa.DateTime, nullable=False),
)
_ASKINGS = sa.Table(
    "vault_askings",
    _METADATA,
    sa.Column("asking_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("asked_at", sa.DateTime, nullable=False),
    sa.Column("asker", sa.String(200), nullable=False),
    sa.Column("purpose", sa.String(500), nullable=False),
    sa.Column("source", sa.String(100), nullable=False),
    sa.Column("customer_id", sa.String(200), nullable=False),
    sa.Column("column_name", sa.String(100), nullable=False),
    sa.Column("is_answered", sa.Boolean, nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Sealable:
    """A clear value, whose it is, and the token that stands for it elsewhere."""

    source: str
    customer_id: str
    column: str
    token: str
    clear: str

    def __repr__(self) -> str:
        """Show nothing of the value."""
        return f"Sealable({self.source}, {self.column}, {self.token})"


@dataclass(frozen=True, kw_only=True, order=True)
class Asked:
    """Which clear value is asked for: whose, of which column, behind which token."""

    source: str
    customer_id: str
    column: str
    token: str

    @property
    def owner(self) -> dict[str, str]:
        """Whose value it is, by column of the vault."""
        return {"source": self.source, "customer_id": self.customer_id}


class Vault:
    """The vault behind the SQLAlchemy address `url`, opened with `master_key`, any text of 16 characters or more.

    Keys lie at `keys_url`, or where `keys_address` says. A wrong master key opens nothing, and a weak one makes none:
    both raise a VaultError at the first question.
    """

    def __init__(self, url: str, *, master_key: str, keys_url: str | None = None) -> None:
        """Open the vault and create its tables where they are missing."""
        if len(master_key) < LEAST_SECRET:
            raise VaultError(f"`{MASTER_KEY_NAME}` has fewer than {LEAST_SECRET} characters")
        self._url, self._master_key, self._keys_url = url, master_key, keys_url or keys_address(url)

    @staticmethod
    def is_named(secrets: Mapping[str, str]) -> bool:
        """Tell whether the secrets name a vault."""
        return bool(secrets.get(URL_NAME))

    @classmethod
    def from_secrets(cls, secrets: Mapping[str, str]) -> "Self":
        """Return the vault that the secrets name."""
        return cls(
            secrets[URL_NAME], master_key=secrets.get(MASTER_KEY_NAME, ""), keys_url=secrets.get(KEYS_URL_NAME) or None
        )

    @cached_property
    def _engine(self) -> sa.Engine:
        return open_engine(self._url, _METADATA)

    @cached_property
    def _keyring(self) -> Keyring:
        return Keyring(self._keys_url, master_key=self._master_key, values=self._engine)

    def rotate(self, master_key: str) -> int:
        """Wrap every customer's key by another master key, all or none; returns how many there are."""
        return self._keyring.rotate(master_key)

    def seal(self, values: Iterable[Sealable], *, at: datetime) -> int:
        """Encrypt and keep what is not kept yet; returns how many values were added.

        Values come grouped by customer. What belongs to a customer whose key was destroyed is not kept again.
        """
        added = 0
        people = groupby(values, key=lambda value: (value.source, value.customer_id))
        for chunk in chunked(((owner, list(held)) for owner, held in people), _CHUNK):
            with self._engine.begin() as connection:
                added += self._seal_chunk(connection, dict(chunk), at)
        return added

    def reveal(
        self, source: str, customer_id: str, column: str, token: str, *, asker: str, purpose: str, at: datetime
    ) -> str | None:
        """Return the clear value behind `token`, or None when there is none any more; the asking is recorded first."""
        asked = Asked(source=source, customer_id=customer_id, column=column, token=token)
        return self.reveal_all([asked], asker=asker, purpose=purpose, at=at).get(asked)

    def reveal_all(self, asked: Iterable["Asked"], *, asker: str, purpose: str, at: datetime) -> dict["Asked", str]:
        """Return the clear values that are still there; each asking is recorded before its answer leaves the vault."""
        clear: dict[Asked, str] = {}
        who = {"asked_at": at, "asker": asker, "purpose": purpose}
        for chunk in chunked(sorted(set(asked)), _CHUNK):
            with self._engine.begin() as connection:
                answers = self._open(connection, chunk)
                rows = [{**who, **one.owner, "column_name": one.column, "is_answered": one in answers} for one in chunk]
                connection.execute(sa.insert(_ASKINGS), rows)
            clear |= answers
        return clear

    def destroy(self, source: str, customers: Sequence[str], *, at: datetime) -> int:
        """Destroy the customers' keys, so that no copy of the values can be read; returns how many there were."""
        destroyed = self._keyring.destroy([(source, each) for each in customers], at=at)
        gone = sa.delete(_VALUES).filter_by(source=source)
        with self._engine.begin() as connection:
            for piece in chunked(customers, _OWNERS):
                connection.execute(gone.where(_VALUES.c.customer_id.in_(piece)))
        return destroyed

    def askings(self) -> list[dict[str, object]]:
        """Return every asking for a clear value, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_ASKINGS).order_by(_ASKINGS.c.asking_id))
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name

    def _open(self, connection: sa.Connection, asked: Sequence["Asked"]) -> dict["Asked", str]:
        """Return those of the clear values whose keys were not destroyed."""
        wanted, owners = set(asked), sorted({(one.source, one.customer_id) for one in asked})
        keys = self._keyring.read(owners)
        answers = {}
        for row in _of_owners(connection, sa.select(_VALUES), _VALUES, owners):
            one = Asked(source=row.source, customer_id=row.customer_id, column=row.column_name, token=row.token)
            key = keys.get((row.source, row.customer_id))
            if one in wanted and key is not None:
                answers[one] = _decrypt(key, row.nonce, row.ciphertext, f"{one.column} {one.token}")
        return answers

    def _seal_chunk(self, connection: sa.Connection, people: Mapping[Owner, list[Sealable]], at: datetime) -> int:
        keys = self._keyring.read(people)
        open_keys = {**keys, **self._keyring.add([owner for owner in people if owner not in keys], at=at)}
        kept = self._kept(connection, list(people))
        rows = [
            row
            for owner, values in people.items()
            if (key := open_keys[owner]) is not None
            for row in _sealed([one for one in values if (*owner, one.column, one.token) not in kept], key, at)
        ]
        if rows:
            connection.execute(sa.insert(_VALUES), rows)
        return len(rows)

    def _kept(self, connection: sa.Connection, owners: Sequence[Owner]) -> set[tuple[str, str, str, str]]:
        query = sa.select(_VALUES.c.source, _VALUES.c.customer_id, _VALUES.c.column_name, _VALUES.c.token)
        rows = _of_owners(connection, query, _VALUES, owners)
        return {(row.source, row.customer_id, row.column_name, row.token) for row in rows}


def seal_stage(
    connection: duckdb.DuckDBPyConnection, vault: Vault, *, source: str, columns: Sequence[str], at: datetime
) -> int:
    """Seal the clear values of the good rows that stand in the stage; returns how many were new to the vault."""
    parts = [
        f"""select customer_id, '{column}' as name, "{column}" as token, "{column}^" as clear
        from temp.landing_rows where _fault is null and "{column}" is not null"""
        for column in columns
    ]
    query = (
        f"select customer_id, name, token, min(clear) from ({' union all '.join(parts)}) group by all order by 1, 2, 3"
    )
    return vault.seal(_sealables(connection.execute(query), source), at=at)


def _sealables(result: duckdb.DuckDBPyConnection, source: str) -> Iterator[Sealable]:
    while rows := result.fetchmany(_CHUNK):
        for customer_id, column, token, clear in rows:
            yield Sealable(source=source, customer_id=customer_id, column=column, token=token, clear=clear)


def _sealed(values: Sequence[Sealable], key: bytes, at: datetime) -> Iterator[dict[str, object]]:
    """Yield the rows that hold one customer's values, encrypted and bound to their column and token."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(key)
    for value in values:
        nonce = os.urandom(_NONCE_BYTES)
        yield {
            "source": value.source,
            "customer_id": value.customer_id,
            "column_name": value.column,
            "token": value.token,
            "nonce": nonce,
            "ciphertext": cipher.encrypt(nonce, value.clear.encode(), f"{value.column} {value.token}".encode()),
            "sealed_at": at,
        }


def _decrypt(key: bytes, nonce: bytes, ciphertext: bytes, bound: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).decrypt(nonce, ciphertext, bound.encode()).decode()


def _of_owners(
    connection: sa.Connection, query: sa.Select[Any], table: sa.Table, owners: Sequence[Owner]
) -> Iterator[sa.Row[Any]]:
    """Run `query` for the rows of `owners`, in pieces that every database accepts."""
    by_source = groupby(sorted(owners), key=lambda owner: owner[0])
    for source, held in by_source:
        for piece in chunked((customer_id for _, customer_id in held), _OWNERS):
            yield from connection.execute(query.where(table.c.source == source, table.c.customer_id.in_(piece)))

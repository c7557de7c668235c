"""The vault's keys: one per customer, wrapped by a key that is derived from the master key, in a database of their own.

They lie apart from the values, so that a copy of the values cannot be read once a customer's key is destroyed here. No
id of a customer stands next to a key: rows are found by HMAC-SHA-256 (RFC 2104) of source and id, under a random key
that is itself kept wrapped. Since AES key wrap (RFC 3394) is authenticated, that wrapped key is also the check value:
another master key does not open it. The master key is stretched by scrypt (RFC 7914).
"""

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from more_itertools import chunked

from company.company_file import VAULT_KEYS

URL_NAME, MASTER_KEY_NAME, KEYS_URL_NAME = VAULT_KEYS
LEAST_SECRET = 16
FEWEST_SIGNS = 8  # different characters of a secret
MOST_IN_ORDER = 0.5  # share of characters that repeat or continue the one before, as in 1234 and aaaa
COST = {"n": 2**15, "r": 8, "p": 1}  # of scrypt: 32 MiB of memory and a tenth of a second
KEY_BYTES = 32
_SALT_BYTES = 16
_AT_ONCE = 500
_KEYBOARD = "qwertyuiop|asdfghjkl|zxcvbnm|qwertzuiop|azertyuiop"

WRONG_KEY = f"the vault was sealed with another master key than `{MASTER_KEY_NAME}`"

Owner = tuple[str, str]  # source, id of the customer

_METADATA = sa.MetaData()
_SETTINGS = sa.Table(
    "key_settings",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("scrypt_n", sa.Integer, nullable=False),
    sa.Column("scrypt_r", sa.Integer, nullable=False),
    sa.Column("scrypt_p", sa.Integer, nullable=False),
    sa.Column("wrapped_index_key", sa.LargeBinary, nullable=False),
)
_KEYS = sa.Table(
    "customer_keys",
    _METADATA,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=True),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("destroyed_at", sa.DateTime, nullable=True),
)
_BEFORE = sa.Table(  # where keys lay before they had a database of their own, wrapped by the SHA-256 of the master key
    "vault_keys",
    sa.MetaData(),
    sa.Column("source", sa.String(100), primary_key=True),
    sa.Column("customer_id", sa.String(200), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=True),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("destroyed_at", sa.DateTime, nullable=True),
)
_FOREIGN = sa.table("vault_values", sa.column("source"), sa.column("customer_id"))


class VaultError(Exception):
    """The vault cannot do what it was asked; str() says why, without any value."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What the master key opened: the key that wraps customers' keys, and the one that hides whose they are."""

    wrapping: bytes
    index: bytes


class Keyring:
    """The keys behind the SQLAlchemy address `url`, opened with `master_key`.

    `values` is the engine of the vault's values, in which an older vault kept its keys: they are moved once, so that no
    backup of values has a key from then on.
    """

    def __init__(self, url: str, *, master_key: str, values: sa.Engine) -> None:
        """Hold the addresses; nothing is opened before the first question."""
        if len(master_key) < LEAST_SECRET:
            raise VaultError(f"`{MASTER_KEY_NAME}` has fewer than {LEAST_SECRET} characters")
        if sa.make_url(url) == values.url:
            raise VaultError(
                f"`{KEYS_URL_NAME}` names no database of its own: keys that lie with the values are in their backups, "
                "and destroying a key would not erase those. Name another database; keys that are there are moved"
            )
        self._url, self._master_key, self._values = url, master_key, values

    def read(self, owners: Iterable[Owner]) -> dict[Owner, bytes | None]:
        """Return the keys of those who have one; None stands for a destroyed one."""
        named = {self._name(owner): owner for owner in owners}
        found: dict[Owner, bytes | None] = {}
        with self._engine.connect() as connection:
            for piece in chunked(named, _AT_ONCE):
                for row in connection.execute(sa.select(_KEYS).where(_KEYS.c.owner.in_(piece))):
                    found[named[row.owner]] = row.wrapped and _unwrap(self._opened.wrapping, row.wrapped)
        return found

    def add(self, owners: Sequence[Owner], *, at: datetime) -> dict[Owner, bytes]:
        """Make, keep and return a key for each of `owners`, who have none."""
        keys = {owner: os.urandom(KEY_BYTES) for owner in owners}
        if keys:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_KEYS), [self._row(owner, key, at) for owner, key in keys.items()])
        return keys

    def destroy(self, owners: Sequence[Owner], *, at: datetime) -> int:
        """Destroy keys for ever, all or none; returns how many there were."""
        gone = sa.update(_KEYS).where(_KEYS.c.wrapped.is_not(None)).values(wrapped=None, destroyed_at=at)
        with self._engine.begin() as connection:
            pieces = chunked((self._name(owner) for owner in owners), _AT_ONCE)
            return sum(connection.execute(gone.where(_KEYS.c.owner.in_(piece))).rowcount for piece in pieces)

    def rotate(self, master_key: str) -> int:
        """Wrap every key by another master key, all or none; returns how many customers' keys there are."""
        _refuse_weak(master_key)
        settings = _new_settings(master_key, self._opened.index)
        wrapping = _derive(master_key, settings["salt"], **COST)
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(_KEYS.c.owner, _KEYS.c.wrapped).where(_KEYS.c.wrapped.is_not(None)))
            again = [
                {"named": row.owner, "wrapped": _wrap(wrapping, _unwrap(self._opened.wrapping, row.wrapped))}
                for row in rows
            ]
            if again:
                change = sa.update(_KEYS).where(_KEYS.c.owner == sa.bindparam("named"))
                connection.execute(change.values(wrapped=sa.bindparam("wrapped")), again)
            connection.execute(sa.update(_SETTINGS).values(**settings))
        self._master_key = master_key
        self.__dict__.pop("_opened")
        return len(again)

    @cached_property
    def _engine(self) -> sa.Engine:
        return open_engine(self._url, _METADATA)

    @cached_property
    def _opened(self) -> _Opened:
        """Open the ring, after it was made or moved where it is not there yet; raises VaultError for a wrong key."""
        has_keys_of_before = sa.inspect(self._values).has_table(_BEFORE.name)
        if sa.inspect(self._values).has_table(_SETTINGS.name):
            self._move()
        if self._settings() is None:
            self._make(self._read_before() if has_keys_of_before else {})
        if has_keys_of_before:
            _BEFORE.drop(self._values)
            _shrink(self._values)
        settings = self._settings()
        assert settings is not None  # noqa: S101 - made above
        cost = {"n": settings.scrypt_n, "r": settings.scrypt_r, "p": settings.scrypt_p}
        wrapping = _derive(self._master_key, settings.salt, **cost)
        return _Opened(wrapping=wrapping, index=_unwrap(wrapping, settings.wrapped_index_key))

    def _move(self) -> None:
        """Bring the ring here from the database of the values, where it lay on a server; again, it changes nothing."""
        with self._values.connect() as connection:
            rows = {table: connection.execute(sa.select(table)).mappings().all() for table in (_SETTINGS, _KEYS)}
        own, moved = self._settings(), rows[_SETTINGS]
        if own is not None and moved and own.salt != moved[0]["salt"]:
            raise VaultError(
                f"the database that `{KEYS_URL_NAME}` names holds the keys of another vault; name a new one"
            )
        if own is None:
            with self._engine.begin() as connection:
                for table, each in rows.items():
                    if each:
                        connection.execute(sa.insert(table), [dict(row) for row in each])
        _METADATA.drop_all(self._values)
        _shrink(self._values)

    def _settings(self) -> sa.Row[Any] | None:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_SETTINGS)).first()

    def _make(self, before: Mapping[Owner, sa.Row[Any]]) -> None:
        """Make the ring with the keys that lay with the values `before`, in one transaction."""
        if not before:
            _refuse_weak(self._master_key)
        index = os.urandom(KEY_BYTES)
        settings = _new_settings(self._master_key, index)
        wrapping = _derive(self._master_key, settings["salt"], **COST)
        rows = [
            {
                "owner": _name(index, owner),
                "wrapped": key and _wrap(wrapping, key),
                "created_at": before[owner].created_at,
                "destroyed_at": before[owner].destroyed_at,
            }
            for owner, key in self._open_before(before).items()
        ]
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_SETTINGS), {"id": 1, **settings})
            if rows:
                connection.execute(sa.insert(_KEYS), rows)

    def _open_before(self, before: Mapping[Owner, sa.Row[Any]]) -> dict[Owner, bytes | None]:
        """Return the keys of before that this master key opens, the destroyed ones as None.

        A mistyped master key was once accepted for new customers. Their values, which this key cannot open, are deleted
        where they are the fewer: they are sealed again when their table is loaded anew. Raises VaultError otherwise.
        """
        once = hashlib.sha256(self._master_key.encode()).digest()
        opened, foreign = {}, []
        for owner, row in before.items():
            try:
                opened[owner] = row.wrapped and _unwrap(once, row.wrapped)
            except VaultError:
                foreign.append(owner)
        if 2 * len(foreign) > len(before):
            raise VaultError(WRONG_KEY)
        with self._values.begin() as connection:
            for source, customer_id in foreign:
                connection.execute(sa.delete(_FOREIGN).filter_by(source=source, customer_id=customer_id))
        return opened

    def _read_before(self) -> dict[Owner, sa.Row[Any]]:
        with self._values.connect() as connection:
            return {(row.source, row.customer_id): row for row in connection.execute(sa.select(_BEFORE))}

    def _name(self, owner: Owner) -> str:
        return _name(self._opened.index, owner)

    def _row(self, owner: Owner, key: bytes, at: datetime) -> dict[str, object]:
        return {"owner": self._name(owner), "wrapped": _wrap(self._opened.wrapping, key), "created_at": at}


def keys_address(values_url: str) -> str:
    """Return where keys lie when no address is named: in a file next to a SQLite file; on a server nowhere else."""
    url = sa.make_url(values_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return values_url
    stem, dot, suffix = url.database.rpartition(".")
    database = f"{stem}.keys.{suffix}" if dot and "/" not in suffix else f"{url.database}.keys"
    return url.set(database=database).render_as_string(hide_password=False)


def open_engine(url: str, metadata: sa.MetaData) -> sa.Engine:
    """Return the engine of a database with the tables of `metadata`; what a SQLite file deletes is overwritten."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda opened, _: opened.execute("pragma secure_delete = on").close())
    metadata.create_all(engine)
    return engine


def find_weakness(secret: str) -> str | None:
    """Return what makes a secret easy to guess, None where nothing is seen."""
    if len(secret) < LEAST_SECRET:
        return f"has fewer than {LEAST_SECRET} characters"
    text = secret.lower()
    if text in (text + text)[1:-1]:
        return "repeats a shorter text"
    if len(set(text)) < FEWEST_SIGNS:
        return f"has fewer than {FEWEST_SIGNS} different characters"
    in_order = sum(ord(b) - ord(a) in {-1, 0, 1} or a + b in _KEYBOARD for a, b in pairwise(text))
    return "follows the alphabet, the digits or the keyboard" if in_order > MOST_IN_ORDER * (len(text) - 1) else None


def _refuse_weak(master_key: str) -> None:
    if weakness := find_weakness(master_key):
        raise VaultError(f"`{MASTER_KEY_NAME}` {weakness}: take a random one, such as `openssl rand -base64 32` makes")


def _new_settings(master_key: str, index: bytes) -> dict[str, Any]:
    salt = os.urandom(_SALT_BYTES)
    wrapped = _wrap(_derive(master_key, salt, **COST), index)
    return {"salt": salt, "wrapped_index_key": wrapped, **{f"scrypt_{name}": value for name, value in COST.items()}}


@lru_cache(maxsize=8)
def _derive(master_key: str, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(master_key.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=KEY_BYTES)


def _name(index: bytes, owner: Owner) -> str:
    return hmac.new(index, "\0".join(owner).encode(), hashlib.sha256).hexdigest()


def _wrap(wrapping: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    return aes_key_wrap(wrapping, key)


def _unwrap(wrapping: bytes, wrapped: bytes) -> bytes:
    from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

    try:
        return aes_key_unwrap(wrapping, wrapped)
    except InvalidUnwrap:
        raise VaultError(WRONG_KEY) from None


def _shrink(engine: sa.Engine) -> None:
    """Leave nothing of what was dropped in the free pages of a SQLite file."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum")

"""Users of the desk and their sessions, in the operational store."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update

from retention.store.database import Database
from retention.store.tables import SESSIONS, USERS
from serving.audit import Entry, add_entry
from serving.sign_in.passwords import hash_password, hash_secret, make_secret, verify_password
from serving.sign_in.second_factor import find_step, make_totp_secret
from serving.write_behind import WriteBehind

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from company.policy.serving import SignIn

ADMIN = "admin"
NOBODY = "nobody"  # in the audit log: a name that was tried and does not exist is not repeated there


class SignInError(Exception):
    """A sign-in was refused; `reason` is its word in the texts of the desk."""

    def __init__(self, reason: str) -> None:
        """Refuse for a reason: wrong, locked, link, short, code, provider, no_role or taken."""
        super().__init__(f"The sign-in was refused: {reason}.")
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class User:
    """Who somebody is on the desk: their role, and the owner or the region whose customers are theirs."""

    name: str
    role: str
    owner: str | None = None
    region: str | None = None


class Users:
    """Users, their passwords, links and sessions; whatever is doubtful is refused."""

    def __init__(self, database: Database, limits: "SignIn", *, later: WriteBehind | None = None) -> None:
        """Keep them in `database`; `limits` are the policy's, `later` takes when a session was last seen."""
        self._database = database
        self._limits = limits
        self._later = later or WriteBehind(database)

    def make_first_link(self, *, at: datetime) -> str | None:
        """Make the account `admin` and return the secret of its link; None once any account has a password."""
        with self._database.write() as connection:
            count = connection.scalar(select(func.count()).select_from(USERS).where(USERS.c.password.is_not(None)))
            if count:
                return None
            if _find(connection, ADMIN) is None:
                _insert(connection, User(name=ADMIN, role=ADMIN), by=ADMIN, at=at)
            return self._make_link(connection, ADMIN, by=ADMIN, at=at)

    def add(self, user: User, *, by: str, at: datetime) -> str:
        """Add an account and return the secret of the link by which its owner chooses a password.

        Raises ValueError when the name is taken or empty.
        """
        if not user.name.strip() or len(user.name) > _LONGEST_NAME:
            raise ValueError("An account needs a name of at most 80 characters.")
        with self._database.write() as connection:
            if _find(connection, user.name) is not None:
                raise ValueError(f"There is an account {user.name} already.")
            _insert(connection, user, by=by, at=at)
            return self._make_link(connection, user.name, by=by, at=at)

    def change(self, user: User, *, is_disabled: bool, by: str, at: datetime) -> None:
        """Change what an account may see, or close it; its sessions end."""
        values = {"role": user.role, "owner": user.owner, "region": user.region, "is_disabled": is_disabled}
        with self._database.write() as connection:
            before = _find(connection, user.name)
            if before is None:
                raise ValueError(f"There is no account {user.name}.")
            changed = {name: (before[name], value) for name, value in values.items() if before[name] != value}
            _update(connection, user.name, changed_at=at, **values)
            _end_sessions(connection, user.name, at=at)
            detail = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
            add_entry(connection, Entry(done_at=at, done_by=by, action="account", subject=user.name, detail=detail))

    def renew_link(self, name: str, *, by: str, at: datetime) -> str:
        """Return the secret of a new link for an account that has lost its password. Raises ValueError."""
        with self._database.write() as connection:
            if _find(connection, name) is None:
                raise ValueError(f"There is no account {name}.")
            return self._make_link(connection, name, by=by, at=at)

    def read(self) -> "list[RowMapping]":
        """Return all users without their secrets."""
        columns = [
            USERS.c[name] for name in ("name", "role", "owner", "region", "locked_until", "is_disabled", "subject")
        ]
        with self._database.read() as connection:
            return list(connection.execute(select(*columns).order_by(USERS.c.name)).mappings())

    def owns_link(self, secret: str, *, at: datetime) -> str | None:
        """Return whose link it is, None when it is used, old or unknown."""
        with self._database.read() as connection:
            row = _find_link(connection, secret, at=at)
            return None if row is None else str(row["name"])

    def choose_password(self, secret: str, password: str, *, at: datetime) -> str:
        """Use a link: set the password of its account and return the secret of a new session. Raises SignInError."""
        if len(password) < self._limits.minimum_password_length:
            raise SignInError("short")
        digest = hash_password(password)
        with self._database.write() as connection:
            row = _find_link(connection, secret, at=at)
            if row is None:
                raise SignInError("link")
            _update(connection, row["name"], password=digest, link_digest=None, **_FRESH)
            _end_sessions(connection, row["name"], at=at)
            add_entry(connection, Entry(done_at=at, done_by=row["name"], action="password"))
            return self._start(connection, row["name"], at=at)

    def sign_in(self, name: str, password: str, *, at: datetime, code: str = "") -> str:
        """Return the secret of a new session; `code` is that of the second factor of an account that has one.

        Raises SignInError, the same for a wrong name, password and code.
        """
        with self._database.read() as connection:
            row = _find(connection, name)
        is_right = verify_password(password, row["password"] if row else None)
        with self._database.write() as connection:
            row = _find(connection, name)
            reason = self._refuse(row, is_right=is_right and _use_code(connection, row, code, at=at), at=at)
            if row is not None and reason == "wrong" and not row["is_disabled"]:
                self._count_failure(connection, row, at=at)
            who = NOBODY if row is None else name
            add_entry(connection, Entry(done_at=at, done_by=who, action="sign_in", detail=reason or "signed in"))
            secret = None if reason else self._start(connection, name, at=at)
        if secret is None:
            raise SignInError(reason or "wrong")
        return secret

    def enter(self, user: User, *, subject: str, at: datetime) -> str:
        """Return the secret of a new session of somebody whom a provider has identified as `subject`.

        Their account is made the first time, and changed when their claims have. Raises SignInError when it is closed,
        or another account has the name.
        """
        with self._database.write() as connection:
            row = connection.execute(select(USERS).where(USERS.c.subject == subject)).mappings().one_or_none()
            reason = _refuse_entry(connection, row, user)
            if reason is None:
                self._adopt(connection, row, user, subject=subject, at=at)
            who = NOBODY if row is None and reason else user.name if row is None else row["name"]
            add_entry(
                connection,
                Entry(done_at=at, done_by=who, action="sign_in", detail=reason or "signed in by single sign-on"),
            )
            secret = None if reason else self._start(connection, who, at=at)
        if secret is None:
            raise SignInError(reason or "provider")
        return secret

    def has_second_factor(self, name: str) -> bool:
        """Return whether an account needs a code to sign in."""
        with self._database.read() as connection:
            row = _find(connection, name)
            return row is not None and row["totp_secret"] is not None

    def begin_second_factor(self, name: str) -> str:
        """Return a new secret for an account; it is needed from the moment that a code of it has been confirmed."""
        secret = make_totp_secret()
        with self._database.write() as connection:
            _update(connection, name, totp_pending=secret)
        return secret

    def confirm_second_factor(self, name: str, code: str, *, at: datetime) -> None:
        """Need a code from now on. Raises SignInError when the code is not one of the secret handed out last."""
        with self._database.write() as connection:
            row = _find(connection, name)
            pending = None if row is None else row["totp_pending"]
            step = None if pending is None else find_step(pending, code, at=at, after=None)
            if step is None:
                raise SignInError("code")
            _update(connection, name, totp_secret=pending, totp_pending=None, totp_step=step)
            add_entry(connection, Entry(done_at=at, done_by=name, action="second_factor", subject=name))

    def find_session(self, secret: str, *, at: datetime) -> User | None:
        """Return whose session it is; None when it has ended, expired, idled too long, or its account changed."""
        is_it = SESSIONS.c.digest == hash_secret(secret)
        with self._database.read() as connection:
            row = connection.execute(_SESSION_OF_USER.where(is_it)).mappings().one_or_none()
        if row is None or not self._is_alive(row, at=at):
            return None
        if at - row["seen_at"] > _SEEN_EVERY:
            self._later.execute(update(SESSIONS).where(is_it).values(seen_at=at))
        return User(name=row["name"], role=row["role"], owner=row["owner"], region=row["region"])

    def sign_out(self, secret: str, *, at: datetime) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute(update(SESSIONS).where(SESSIONS.c.digest == hash_secret(secret)).values(ended_at=at))

    def _adopt(
        self, connection: Connection, row: "RowMapping | None", user: User, *, subject: str, at: datetime
    ) -> None:
        """Make the account of somebody identified, or give it the rights that their claims name now."""
        if row is None:
            _insert(connection, user, by=user.name, at=at)
            _update(connection, user.name, subject=subject)
            return
        rights = {"role": user.role, "owner": user.owner, "region": user.region}
        changed = {name: (row[name], value) for name, value in rights.items() if row[name] != value}
        if changed:
            _update(connection, row["name"], changed_at=at, **rights)
            _end_sessions(connection, row["name"], at=at)
            detail = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
            entry = Entry(done_at=at, done_by=row["name"], action="account", subject=row["name"], detail=detail)
            add_entry(connection, entry)

    def _is_alive(self, row: "RowMapping", *, at: datetime) -> bool:
        is_fresh = at < row["expires_at"] and at - row["seen_at"] < timedelta(minutes=self._limits.idle_minutes)
        is_unchanged = row["changed_at"] <= row["started_at"] and not row["is_disabled"]
        return row["ended_at"] is None and is_fresh and is_unchanged

    def _refuse(self, row: "RowMapping | None", *, is_right: bool, at: datetime) -> str | None:
        if row is not None and row["locked_until"] is not None and row["locked_until"] > at:
            return "locked"
        return None if is_right and row is not None and not row["is_disabled"] else "wrong"

    def _count_failure(self, connection: Connection, row: "RowMapping", *, at: datetime) -> None:
        failures = row["count_failures"] + 1
        is_last = failures >= self._limits.attempts
        until = at + timedelta(minutes=self._limits.locked_minutes) if is_last else None
        _update(connection, row["name"], count_failures=0 if is_last else failures, locked_until=until)

    def _start(self, connection: Connection, name: str, *, at: datetime) -> str:
        secret = make_secret()
        expires = at + timedelta(hours=self._limits.session_hours)
        session = {"name": name, "started_at": at, "seen_at": at, "expires_at": expires}
        connection.execute(insert(SESSIONS).values(digest=hash_secret(secret), **session))
        _update(connection, name, count_failures=0, locked_until=None)
        return secret

    def _make_link(self, connection: Connection, name: str, *, by: str, at: datetime) -> str:
        secret = make_secret()
        expires = at + timedelta(hours=self._limits.link_hours)
        _update(connection, name, link_digest=hash_secret(secret), link_expires_at=expires)
        add_entry(connection, Entry(done_at=at, done_by=by, action="link", subject=name))
        return secret


_LONGEST_NAME = 80
# what a link gives back to somebody who has lost their password, or the phone with the second factor
_FRESH = {"count_failures": 0, "locked_until": None, "totp_secret": None, "totp_pending": None, "totp_step": None}
_SEEN_EVERY = timedelta(minutes=1)
_SESSION_OF_USER = select(
    *(SESSIONS.c[name] for name in ("started_at", "seen_at", "expires_at", "ended_at")),
    *(USERS.c[name] for name in ("name", "role", "owner", "region", "changed_at", "is_disabled")),
).join_from(SESSIONS, USERS, SESSIONS.c.name == USERS.c.name)


def _find(connection: Connection, name: str) -> "RowMapping | None":
    return connection.execute(select(USERS).where(USERS.c.name == name)).mappings().one_or_none()


def _refuse_entry(connection: Connection, row: "RowMapping | None", user: User) -> str | None:
    """Return why somebody identified does not enter; a name that is taken is somebody else's."""
    if row is not None:
        return "wrong" if row["is_disabled"] else None
    if not user.name.strip() or len(user.name) > _LONGEST_NAME or _find(connection, user.name) is not None:
        return "taken"
    return None


def _use_code(connection: Connection, row: "RowMapping | None", code: str, *, at: datetime) -> bool:
    """Return whether an account has no second factor, or this is a code of it that was not used before; use it up."""
    if row is None or row["totp_secret"] is None:
        return True
    step = find_step(row["totp_secret"], code, at=at, after=row["totp_step"])
    if step is not None:
        _update(connection, row["name"], totp_step=step)
    return step is not None


def _find_link(connection: Connection, secret: str, *, at: datetime) -> "RowMapping | None":
    is_valid = (USERS.c.link_digest == hash_secret(secret)) & (USERS.c.link_expires_at > at) & ~USERS.c.is_disabled
    return connection.execute(select(USERS).where(is_valid)).mappings().one_or_none()


def _insert(connection: Connection, user: User, *, by: str, at: datetime) -> None:
    row = vars(user) | {"count_failures": 0, "is_disabled": False, "changed_at": at}
    connection.execute(insert(USERS).values(**row))
    detail = f"{user.role}, owner {user.owner or '-'}, region {user.region or '-'}"
    add_entry(connection, Entry(done_at=at, done_by=by, action="account", subject=user.name, detail=detail))


def _update(connection: Connection, name: str, **values: Any) -> None:  # noqa: ANN401 - column values
    connection.execute(update(USERS).where(USERS.c.name == name).values(**values))


def _end_sessions(connection: Connection, name: str, *, at: datetime) -> None:
    is_running = (SESSIONS.c.name == name) & SESSIONS.c.ended_at.is_(None)
    connection.execute(update(SESSIONS).where(is_running).values(ended_at=at))

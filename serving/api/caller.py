"""One request of a program: whose key it carries, and how often that key may ask."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.actor import Actor, Desk
from serving.sign_in.keys import ApiKey

_BEARER = HTTPBearer(auto_error=False, description="A key made on the desk, under Accounts, or by `holdfast keys add`.")


class NoKeyError(Exception):
    """There is no key, or it is unknown, expired or revoked."""


class TooManyRequestsError(Exception):
    """The key has asked too often; `wait` is the seconds until it may ask again."""

    def __init__(self, wait: float) -> None:
        """Refuse for so many seconds."""
        super().__init__(f"This key may ask again in {wait:.0f} s.")
        self.wait = wait


@dataclass(kw_only=True)
class Caller(Actor):
    """A program with its key."""

    key: ApiKey
    request: Request


@dataclass(kw_only=True)
class Rates:
    """How often each key has asked: a bucket that holds a minute's requests and fills evenly."""

    per_minute: int
    now: Callable[[], datetime]
    _buckets: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key_id: str) -> None:
        """Count a request of a key. Raises TooManyRequestsError when its bucket is empty."""
        at = self.now()
        with self._lock:
            left, since = self._buckets.get(key_id, (float(self.per_minute), at))
            left = min(left + (at - since).total_seconds() * self.per_minute / 60, self.per_minute)
            if left < 1:
                raise TooManyRequestsError((1 - left) * 60 / self.per_minute)
            self._buckets[key_id] = left - 1, at


def identify(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Caller:
    """Return the program whose key the request carries. Raises NoKeyError and TooManyRequestsError."""
    desk: Desk = request.app.state.desk
    key = desk.keys.verify(credentials.credentials, at=desk.now()) if credentials else None
    if key is None or key.role not in desk.access.roles_of("keys"):
        raise NoKeyError
    request.app.state.rates.take(key.key_id)
    grant = desk.grant(key.role, owner=key.owner, region=key.region)
    caller = Caller(desk=desk, name=f"{key.name} (key {key.key_id})", grant=grant, key=key, request=request)
    request.state.caller = caller
    return caller


Program = Annotated[Caller, Depends(identify)]

"""What channels over HTTP share: one bounded call per message, and what each answer means. It is no kind of its own."""

import json
import socket
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field

from retention.acting.channels.base import (
    AskLaterError,
    Channel,
    ChannelSettings,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    read_secret,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 16_384  # of an answer; a longer one is cut
_NEVER_PROCESSED = frozenset({425, 429})
_MAYBE_PROCESSED = frozenset({408})
_ABSENT = frozenset({404, 410})
_LONGEST_PAUSE = 3600.0


def _check_address(address: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in address):
        raise ValueError("an address holds no space and no control character")
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it is no http or https address")
    if parts.username or parts.password:
        raise ValueError("a password in an address is shown in logs; name a secret by `token` instead")
    _ = parts.port  # raises for a port that is no number
    return address


def _check_lookup(address: str) -> str:
    if "{key}" not in address:
        raise ValueError("it needs {key} where the key belongs")
    return _check_address(address)


Address = Annotated[str, AfterValidator(_check_address)]
LookupAddress = Annotated[str, AfterValidator(_check_lookup)]


class HttpSettings(ChannelSettings):
    """What channels over HTTP are made from.

    Args:
        url: where messages are posted.
        lookup_url: where a message can be asked for, with `{key}` in it; 2xx means taken, 404 or 410 means not.
        is_idempotent: the receiver takes a repeated key only once, so that sending again is safe without asking.
        token: the name of the secret that is sent as a bearer token.
        deadline_seconds: of one call, from the connection to the last byte that is read.
    """

    url: Address
    lookup_url: LookupAddress | None = None
    is_idempotent: bool = False
    token: str | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0

    def headers(self, kind: str, secrets: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of every call; raises ChannelError when the token is not set."""
        return (
            {} if self.token is None else {"Authorization": f"Bearer {read_secret(kind, 'token', self.token, secrets)}"}
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a receiver answered, its body cut at `MOST_BYTES`."""

    status: int
    retry_after: str | None
    body: bytes

    @property
    def is_taken(self) -> bool:
        """Tell whether it is one of the 2xx answers."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the 2xx answers

    @property
    def pause(self) -> float:
        """The seconds that Retry-After asks for, 0 when it names none."""
        is_number = self.retry_after is not None and self.retry_after.isdecimal()
        return min(float(self.retry_after or 0), _LONGEST_PAUSE) if is_number else 0.0


class HttpChannel(Channel):
    """POSTs each message once, as JSON with the header `Idempotency-Key`.

    2xx is delivered. 425 and 429 say that nothing was processed; so does a connection that could not be opened. After
    408, 3xx, 5xx, a broken connection or the deadline nobody knows whether the receiver acted: receivers have taken
    a message and answered 503. Then the look-up decides, else idempotence, else it stays unknown. Other 4xx are
    refused. Redirects are not followed.
    """

    kind: ClassVar[str]

    def __init__(self, settings: HttpSettings, *, secrets: Mapping[str, str]) -> None:
        """Read the secrets that the settings name; raises ChannelError when one is not set."""
        self.settings = settings
        self.headers = settings.headers(self.kind, secrets)

    @property
    def is_askable(self) -> bool:
        """Tell whether the receiver can be asked, or takes a repeated key only once."""
        return self.settings.lookup_url is not None or self.settings.is_idempotent

    @property
    def can_confirm(self) -> bool:
        """Tell whether the receiver can be asked."""
        return self.settings.lookup_url is not None

    @abstractmethod
    def write(self, message: Message) -> dict[str, Any]:
        """Return what is posted."""

    def sign(self, message: Message, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 - what a signature stands on
        """Return further headers of one message."""
        return {}

    def read_reference(self, answer: Answer) -> str:
        """Return the receiver's own reference."""
        return f"http {answer.status}"

    def send(self, message: Message) -> Receipt:
        """Post the message once."""
        body = json.dumps(self.write(message), ensure_ascii=False, default=str).encode()
        headers = {"Idempotency-Key": message.key, **self.headers, **self.sign(message, body)}
        try:
            answer = self._call("POST", self.settings.url, headers, body)
        except _UnreachableError as error:
            raise NotDeliveredError(str(error)) from error
        except (OSError, HTTPException, ValueError) as error:
            raise UnclearError(f"the connection broke ({_name(error)})") from error
        if answer.is_taken:
            return Receipt(key=message.key, reference=self.read_reference(answer))
        raise _explain(answer)

    def find(self, key: str) -> Receipt | None:
        """Ask the receiver for a key; None when it is not there, or when sending again is safe anyway."""
        if self.settings.lookup_url is None:
            if self.settings.is_idempotent:
                return None
            raise UnclearError("the receiver can neither be asked for a key nor takes a repeated key only once")
        address = self.settings.lookup_url.replace("{key}", quote(key, safe=""))
        try:
            answer = self._call("GET", address, self.headers, None)
        except (OSError, HTTPException, ValueError) as error:
            raise AskLaterError(f"the receiver could not be asked ({_name(error)})") from error
        if answer.is_taken:
            return Receipt(key=key, reference=f"found, {self.read_reference(answer)}")
        if answer.status in _ABSENT:
            return None
        raise AskLaterError(f"the receiver was asked and answered {answer.status}")

    def _call(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        parts = urlsplit(address)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc, timeout=self.settings.deadline_seconds)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        try:
            with deadline(connection, self.settings.deadline_seconds):
                connection.request(method, target, body, {"Content-Type": "application/json; charset=utf-8", **headers})
                response = connection.getresponse()
                read = response.read(MOST_BYTES)
                return Answer(status=response.status, retry_after=response.getheader("Retry-After"), body=read)
        finally:
            connection.close()


@contextmanager
def deadline(connection: HTTPConnection, seconds: float) -> "Iterator[None]":
    """Open a connection and cut it when the time is up, however slowly the other side goes on answering."""
    begun = time.monotonic()
    try:
        connection.connect()
    except OSError as error:
        raise _UnreachableError(f"the receiver could not be reached ({_name(error)})") from error
    opened = connection.sock
    timer = Timer(max(seconds - (time.monotonic() - begun), 0.0), cut, [opened])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def cut(opened: socket.socket) -> None:
    """End a connection from another thread, so that whoever reads from it gets an error."""
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended already
        return


class _UnreachableError(OSError):
    """The connection could not be opened, so nothing was sent."""


def _explain(answer: Answer) -> Exception:
    trouble = f"the receiver answered {answer.status}"
    if answer.status in _NEVER_PROCESSED:
        return NotDeliveredError(trouble, retry_after=answer.pause)
    if 400 <= answer.status < 500 and answer.status not in _MAYBE_PROCESSED:  # noqa: PLR2004 - the 4xx answers
        return RefusedError(f"{trouble}: {answer.body[:200].decode('utf-8', 'replace')}")
    return UnclearError(trouble)


def _name(error: Exception) -> str:
    return type(error).__name__

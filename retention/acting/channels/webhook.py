"""Messages to an HTTP endpoint: one POST each, with an idempotency key and honest handling of every answer."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import Field

from retention.acting.channels.base import (
    AskLaterError,
    ChannelError,
    ChannelSettings,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
)

Seconds = Annotated[float, Field(ge=0)]

_NOT_PROCESSED = frozenset({408, 425, 429, 503})
_ABSENT = frozenset({404, 410})
_SERVER_FAULT = 500


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    retry_after: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class WebhookChannel:
    """POSTs messages as JSON with the header `Idempotency-Key`.

    Args:
        url: where messages are posted.
        lookup_url: where a message can be asked for, with `{key}` in it; 2xx means taken, 404 or 410 means not.
        is_idempotent: the receiver takes a repeated key only once, so that sending again is safe without asking.
        headers: added to every request, such as Authorization.
        attempts: tries of one call; between them the pause doubles, or is what Retry-After says.
        pause_seconds: the first pause; longest_pause_seconds: no single pause is longer.
        timeout_seconds: of one request.
        sleep: waits so many seconds.

    2xx is delivered. 408, 425, 429 and 503 say that nothing was processed and are tried again. Other 4xx (and 3xx) are
    refused for good. Other 5xx, timeouts and broken connections leave it open whether the receiver acted: then the
    lookup decides, else idempotence, else it stays unknown and the message is left to a person.
    """

    url: str
    lookup_url: str | None = None
    is_idempotent: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempts: int = 4
    pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    timeout_seconds: float = 10.0
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Refuse addresses that are no HTTP addresses, and a lookup without a place for the key."""
        for key, address in (("url", self.url), ("lookup_url", self.lookup_url)):
            if address is not None and urlsplit(address).scheme not in {"http", "https"}:
                raise ChannelError(f"The webhook's {key} {address!r} is no http or https address; correct it.")
        if self.lookup_url is not None and "{key}" not in self.lookup_url:
            raise ChannelError(f"The webhook's lookup_url {self.lookup_url!r} needs {{key}} where the key belongs.")

    def send(self, message: Message) -> Receipt:
        """Post the message; raises RefusedError, NotDeliveredError, UnclearError or AskLaterError."""
        trouble = ""
        for attempt in range(self.attempts):
            try:
                return self._post(message)
            except _TryAgainError as again:
                trouble = str(again)
                self._pause(attempt, again.retry_after)
        raise NotDeliveredError(f"after {self.attempts} attempts {trouble}")

    def find(self, key: str) -> Receipt | None:
        """Ask the receiver for a key; None when it is not there, or when sending again is safe anyway."""
        if self.lookup_url is None:
            if self.is_idempotent:
                return None
            raise UnclearError("the receiver can neither be asked for a key nor takes a repeated key only once")
        address, trouble = self.lookup_url.replace("{key}", quote(key, safe="")), ""
        for attempt in range(self.attempts):
            try:
                return self._ask(address, key)
            except _TryAgainError as again:
                trouble = str(again)
                self._pause(attempt, again.retry_after)
        raise AskLaterError(f"the receiver was asked for the key {self.attempts} times: {trouble}")

    def _post(self, message: Message) -> Receipt:
        content = {"key": message.key, "channel": message.channel, **message.body}
        body = json.dumps(content, ensure_ascii=False).encode()
        try:
            answer = self._request("POST", self.url, key=message.key, body=body)
        except _UnreachableError as error:
            raise _TryAgainError(str(error)) from error
        except (OSError, HTTPException) as error:
            return self._found_or_again(message.key, f"the connection broke ({type(error).__name__})")
        if _is_taken(answer.status):
            return Receipt(key=message.key, reference=f"http {answer.status}")
        if answer.status in _NOT_PROCESSED:
            raise _TryAgainError(f"the receiver answered {answer.status}", retry_after=answer.retry_after)
        if answer.status < _SERVER_FAULT:
            raise RefusedError(f"the receiver answered {answer.status}: {answer.text[:200]}")
        return self._found_or_again(message.key, f"the receiver answered {answer.status}")

    def _found_or_again(self, key: str, trouble: str) -> Receipt:
        receipt = self.find(key)
        if receipt is None:
            raise _TryAgainError(trouble)
        return receipt

    def _ask(self, address: str, key: str) -> Receipt | None:
        try:
            answer = self._request("GET", address, key=key)
        except (OSError, HTTPException) as error:
            raise _TryAgainError(f"it could not be reached ({type(error).__name__})") from error
        if _is_taken(answer.status):
            return Receipt(key=key, reference=f"found, http {answer.status}")
        if answer.status in _ABSENT:
            return None
        raise _TryAgainError(f"it answered {answer.status}", retry_after=answer.retry_after)

    def _request(self, method: str, address: str, *, key: str, body: bytes | None = None) -> _Answer:
        parts = urlsplit(address)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc, timeout=self.timeout_seconds)
        headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": key, **self.headers}
        try:
            _connect(connection)
            connection.request(method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return _Answer(status=response.status, retry_after=response.getheader("Retry-After"), text=text)
        finally:
            connection.close()

    def _pause(self, attempt: int, retry_after: str | None) -> None:
        if attempt + 1 == self.attempts:
            return
        is_told = retry_after is not None and retry_after.isdigit()
        seconds = float(retry_after or 0) if is_told else self.pause_seconds * 2**attempt
        self.sleep(min(seconds, self.longest_pause_seconds))


class Settings(ChannelSettings):
    """What `WebhookChannel` is made from; `token` names the secret that is sent as a bearer token."""

    url: str
    lookup_url: str | None = None
    is_idempotent: bool = WebhookChannel.is_idempotent
    token: str | None = None
    attempts: Annotated[int, Field(ge=1)] = WebhookChannel.attempts
    pause_seconds: Seconds = WebhookChannel.pause_seconds
    longest_pause_seconds: Seconds = WebhookChannel.longest_pause_seconds
    timeout_seconds: Annotated[float, Field(gt=0)] = WebhookChannel.timeout_seconds

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> WebhookChannel:  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when an address is no address or the token is not set."""
        if self.token is not None and self.token not in secrets:
            raise ChannelError(
                f"The webhook's token {self.token!r} is not among the secrets; set it in the environment."
            )
        headers = {} if self.token is None else {"Authorization": f"Bearer {secrets[self.token]}"}
        return WebhookChannel(headers=headers, **self.model_dump(exclude={"media", "token"}))


class _TryAgainError(Exception):
    """This attempt did nothing; another one is safe."""

    def __init__(self, trouble: str, *, retry_after: str | None = None) -> None:
        super().__init__(trouble)
        self.retry_after = retry_after


class _UnreachableError(OSError):
    """The connection could not be opened, so nothing was sent."""


def _connect(connection: HTTPConnection) -> None:
    try:
        connection.connect()
    except OSError as error:
        raise _UnreachableError(f"the receiver could not be reached ({type(error).__name__})") from error


def _is_taken(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the 2xx answers

"""What a channel is: something that takes a message and can be asked whether it has it, made from its settings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: its idempotency key, the medium it is meant for, and its content without personal data."""

    key: str
    channel: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What proves that a message was taken: its key and the receiver's own reference."""

    key: str
    reference: str


class Channel(Protocol):
    """A way out of the instance."""

    def send(self, message: Message) -> Receipt:
        """Deliver once; raises RefusedError, NotDeliveredError, UnclearError or AskLaterError."""

    def find(self, key: str) -> Receipt | None:
        """Return the receipt of a message already taken, None when sending (again) cannot duplicate it.

        Raises UnclearError when the channel can never know, AskLaterError when it cannot be asked just now.
        """


class ChannelSettings(BaseModel, ABC):
    """What the company file may say about a kind of channel; `media` are the media it takes, all others by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    media: tuple[str, ...] = (ANY,)

    @abstractmethod
    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> Channel:
        """Return the channel; `folder` is the instance's own for messages. Raises ChannelError."""


class ChannelError(Exception):
    """A channel is missing or wrongly set up; the message is one paragraph with the fix."""


class RefusedError(Exception):
    """The receiver will never take this message."""


class NotDeliveredError(Exception):
    """The message provably did not arrive; a later attempt may succeed."""


class UnclearError(Exception):
    """Whether the message arrived cannot be known; a person has to look."""


class AskLaterError(Exception):
    """Whether the message arrived can be known, but not just now."""


def route(channels: Mapping[str, Channel], medium: str) -> Channel:
    """Return the channel for a medium such as sms: the one of that name, else the one called `*`.

    Raises ChannelError when there is neither.
    """
    channel = channels.get(medium, channels.get(ANY))
    if channel is None:
        raise ChannelError(
            f"No channel delivers {medium!r} messages; in company.yaml add one under `channels` that names {medium!r} "
            f"in its `media`, or one without `media`, which takes everything. There are now: {sorted(channels)}."
        )
    return channel

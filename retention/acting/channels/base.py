"""What a channel is: something that takes a message and, if it can, tells whether it has it; made from its settings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

ANY = "*"
AddressKind = Literal["email", "phone"]
# Returns the clear addresses of customers, as far as the vault has them; it writes down who asked for which, and why.
Addresses = Callable[[Collection[str], AddressKind], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: its idempotency key, the medium it is meant for, its content, and to whom it goes.

    `body` holds `text` and what else the receiver gets, without personal data. `address` is given to channels that need
    one, and to no others. `moment` is when it leaves; of a replayed one, the moment of the past that it counts for.
    """

    key: str
    channel: str
    body: Mapping[str, Any]
    moment: datetime
    address: str | None = field(default=None, repr=False)
    is_replay: bool = False


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What proves that a message was taken: its key and the receiver's own reference."""

    key: str
    reference: str


class Channel(ABC):
    """A way out of the instance."""

    needs: ClassVar[AddressKind | None] = None
    per_minute: float | None = None  # messages within a minute at most, all senders together

    @property
    def is_askable(self) -> bool:
        """Tell whether `find` can settle what became of a message."""
        return True

    @property
    def can_confirm(self) -> bool:
        """Tell whether `find` shows that a message arrived."""
        return self.is_askable

    @abstractmethod
    def send(self, message: Message) -> Receipt:
        """Try once to deliver; raises RefusedError, NotDeliveredError or UnclearError."""

    @abstractmethod
    def find(self, key: str) -> Receipt | None:
        """Return the receipt of a message already taken, None when sending it (again) cannot double it.

        Raises UnclearError when the channel can never know, AskLaterError when it cannot be asked just now.
        """


class ChannelSettings(BaseModel, ABC):
    """What the company file may say about any kind of channel.

    `media` are the media it takes, all others by default; `per_minute` limits its messages; `receipt_keys` names the
    secrets with which the receiver signs what it reports, several while keys are changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    media: tuple[str, ...] = (ANY,)
    per_minute: Annotated[float, Field(ge=1)] | None = None
    receipt_keys: tuple[str, ...] = ()

    @abstractmethod
    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> Channel:
        """Return the channel; `folder` is the instance's own for messages. Raises ChannelError."""


class ChannelError(Exception):
    """A channel is missing or wrongly set up; the message is one paragraph with the fix."""


class RefusedError(Exception):
    """The receiver has not taken this message and would not take it again."""


class NotDeliveredError(Exception):
    """The message provably did not arrive; a later attempt may succeed, not before `retry_after` seconds."""

    def __init__(self, trouble: str, *, retry_after: float = 0.0) -> None:
        """Keep the trouble and the pause."""
        super().__init__(trouble)
        self.retry_after = retry_after


class UnclearError(Exception):
    """Whether the message arrived is not known."""


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


def read_secret(kind: str, setting: str, name: str, secrets: Mapping[str, str]) -> str:
    """Return the secret of a name; raises ChannelError when it is not set."""
    if name not in secrets:
        raise ChannelError(
            f"`channels.{kind}.{setting}` names {name!r}, which is not among the secrets; set it in the environment."
        )
    return secrets[name]

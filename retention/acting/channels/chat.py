"""Chat rooms and push services, through apprise: one address names the service, the room and the token."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from retention.acting.channels.base import (
    Channel,
    ChannelError,
    ChannelSettings,
    Message,
    Receipt,
    UnclearError,
    read_secret,
)

if TYPE_CHECKING:
    from apprise import NotifyBase


class Settings(ChannelSettings):
    """Which room; `address` is the name of the secret that holds apprise's address, for there is a token in it.

    `deadline_seconds` is how long is waited for the service to be reached, and again for its answer.
    """

    kind: ClassVar[str] = "chat"

    media: tuple[str, ...] = ("chat",)
    address: str
    deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "ChatChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when the secret is not set or is no address of a service."""
        from apprise import Apprise

        service = Apprise.instantiate(read_secret(self.kind, "address", self.address, secrets))
        if service is None:
            raise ChannelError(
                f"The secret {self.address!r} that `channels.{self.kind}.address` names is no address that apprise "
                "knows; write it as apprise's list of services shows for yours, for example slack://TOKEN/#room."
            )
        service.socket_connect_timeout = service.socket_read_timeout = self.deadline_seconds
        return ChatChannel(service)


class ChatChannel(Channel):
    """Posts the text. A service tells no more than that it took a post, and none can be asked for one."""

    def __init__(self, service: "NotifyBase") -> None:
        """Keep the service."""
        self.service = service

    @property
    def is_askable(self) -> bool:
        """Tell that a room cannot be asked."""
        return False

    def send(self, message: Message) -> Receipt:
        """Post the message once; raises UnclearError unless the service says that it took it."""
        if not self.service.notify(body=str(message.body["text"]), title=str(message.body.get("subject") or "")):
            raise UnclearError("the service did not confirm the message")
        return Receipt(key=message.key, reference=f"taken by {self.service.service_name}")

    def find(self, key: str) -> Receipt | None:  # noqa: ARG002 - whichever it is
        """Raise UnclearError: a room cannot be searched for a key."""
        raise UnclearError("a chat service cannot be asked for a message")

"""Messages to an HTTP endpoint of the company's own: one POST each, signed as Standard Webhooks are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from retention.acting.channels.base import ChannelError, Message, read_secret
from retention.acting.channels.http import HttpChannel, HttpSettings
from retention.acting.signing import read_key, sign


class Settings(HttpSettings):
    """What HTTP channels are made from; `signing_keys` names the secrets that sign, several while keys are changed."""

    signing_keys: tuple[str, ...] = ()

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "WebhookChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when a secret is not set or is no key."""
        return WebhookChannel(self, secrets=secrets)


class WebhookChannel(HttpChannel):
    """POSTs the whole message; the receiver knows the customer by the id, and needs no address of us."""

    kind: ClassVar[str] = "webhook"

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str]) -> None:
        """Read token and signing keys; raises ChannelError."""
        super().__init__(settings, secrets=secrets)
        self.keys = read_keys(self.kind, "signing_keys", settings.signing_keys, secrets)

    def write(self, message: Message) -> dict[str, Any]:
        """Return key, medium and content."""
        return {"key": message.key, "channel": message.channel, **message.body}

    def sign(self, message: Message, body: bytes) -> Mapping[str, str]:
        """Return the headers of the signature, none without a key."""
        return sign(self.keys, key=message.key, at=message.moment, body=body) if self.keys else {}


def read_keys(kind: str, setting: str, names: tuple[str, ...], secrets: Mapping[str, str]) -> list[bytes]:
    """Return signing keys by the names of their secrets; raises ChannelError for one that is not set or is no key."""
    keys = []
    for name in names:
        try:
            keys.append(read_key(read_secret(kind, setting, name, secrets)))
        except ValueError as error:
            raise ChannelError(
                f"The secret {name!r} that `channels.{kind}.{setting}` names is no signing key: {error}; "
                "make one by `openssl rand -base64 32` and write `whsec_` before it."
            ) from None
    return keys

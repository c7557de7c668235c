"""The ways out of the instance, made from the company file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retention.acting.channels.base import (
    ANY,
    AskLaterError,
    Channel,
    ChannelError,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    route,
)
from retention.acting.channels.file import FileChannel
from retention.acting.channels.webhook import WebhookChannel

__all__ = [
    "ANY",
    "AskLaterError",
    "Channel",
    "ChannelError",
    "FileChannel",
    "Message",
    "NotDeliveredError",
    "Receipt",
    "RefusedError",
    "UnclearError",
    "WebhookChannel",
    "build_channels",
    "route",
]

_WEBHOOK_KEYS = frozenset({"url", "lookup_url", "is_idempotent", "attempts", "pause_seconds", "timeout_seconds"})


def build_channels(
    settings: Mapping[str, Mapping[str, Any] | None], *, folder: Path, secrets: Mapping[str, str]
) -> dict[str, Channel]:
    """Make the channels of a company, by the medium they deliver.

    Args:
        settings: `channels` of the company file: `file` and `webhook`, each with its settings. `media` lists the
            media it takes (sms, email, ..); without it, it takes all the others. `token` of a webhook names the
            secret sent as a bearer token. No settings at all mean one file channel.
        folder: where the file channel writes, unless its settings have a `folder`.
        secrets: values of the named secrets.

    Raises ChannelError for an unknown kind, key or secret, and when two channels take the same medium.
    """
    channels: dict[str, Channel] = {}
    for kind, given in (settings or {"file": {}}).items():
        options = dict(given or {})
        media = options.pop("media", [ANY])
        channel = _build(kind, options, folder=folder, secrets=secrets)
        taken = sorted(set(media) & set(channels))
        if taken:
            raise ChannelError(
                f"Two channels in company.yaml take {taken} ({ANY!r} means everything else); "
                f"list under `channels.{kind}.media` what that channel delivers."
            )
        channels |= dict.fromkeys(media, channel)
    return channels


def _build(kind: str, options: dict[str, Any], *, folder: Path, secrets: Mapping[str, str]) -> Channel:
    if kind == "file":
        target = Path(options.pop("folder", folder))
        _require_known(kind, options, known=frozenset({"folder"}))
        return FileChannel(target)
    if kind == "webhook":
        return _build_webhook(options, secrets=secrets)
    raise ChannelError(f"The channel {kind!r} in company.yaml is unknown; use `file` or `webhook`.")


def _build_webhook(options: dict[str, Any], *, secrets: Mapping[str, str]) -> WebhookChannel:
    token = options.pop("token", None)
    _require_known("webhook", options, known=_WEBHOOK_KEYS)
    if "url" not in options:
        raise ChannelError("The webhook channel in company.yaml has no `url`; add `channels.webhook.url`.")
    if token is not None and token not in secrets:
        raise ChannelError(f"The webhook's token {token!r} is not among the secrets; set it in the environment.")
    headers = {} if token is None else {"Authorization": f"Bearer {secrets[token]}"}
    return WebhookChannel(headers=headers, **options)


def _require_known(kind: str, options: Mapping[str, Any], *, known: frozenset[str]) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        raise ChannelError(
            f"The channel {kind!r} in company.yaml has the unknown keys {unknown}; remove them or use one of these: "
            f"{sorted(known | {'media'})}."
        )

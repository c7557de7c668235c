"""The ways out of the instance, made from the company file. A new kind is one new file in this folder."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic import ValidationError

from retention.acting.channels.base import ANY, Channel, ChannelError, ChannelSettings, Message, Receipt, route

__all__ = [
    "ANY",
    "Channel",
    "ChannelError",
    "ChannelSettings",
    "Message",
    "Receipt",
    "build_channels",
    "kinds",
    "parse_settings",
    "route",
]


def kinds() -> dict[str, type[ChannelSettings]]:
    """Return the settings model of every kind of channel; a kind is a module in this folder with `Settings`."""
    names = sorted(module.name for module in iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module.Settings for name, module in modules.items() if hasattr(module, "Settings")}


def parse_settings(settings: Mapping[str, Mapping[str, Any] | None]) -> dict[str, ChannelSettings]:
    """Return the settings of the company file's `channels`, by kind; none at all mean the built-in gateway.

    Raises ChannelError, one paragraph per fault, for an unknown kind or a wrong setting.
    """
    faults, parsed = [], {}
    for kind, content in (settings or {"gateway": {}}).items():
        try:
            parsed[kind] = _parse(kind, content or {})
        except ChannelError as error:
            faults.append(str(error))
    if faults:
        raise ChannelError("\n\n".join(faults))
    return parsed


def build_channels(
    settings: Mapping[str, Mapping[str, Any] | None], *, folder: Path, secrets: Mapping[str, str]
) -> dict[str, Channel]:
    """Make the channels of a company, by the medium they deliver.

    Args:
        settings: `channels` of the company file: the settings of each kind.
        folder: where channels that write files do so.
        secrets: values of the named secrets.

    Raises ChannelError for an unknown kind, a wrong setting or an unknown secret, and when two channels take the same
    medium.
    """
    channels: dict[str, Channel] = {}
    for kind, parsed in parse_settings(settings).items():
        repeated = sorted(set(parsed.media) & set(channels))
        if repeated:
            raise ChannelError(
                f"Two channels in company.yaml take {repeated} ({ANY!r} means everything else); "
                f"list under `channels.{kind}.media` what that channel delivers."
            )
        channel = parsed.open(folder=folder, secrets=secrets)
        channel.per_minute = parsed.per_minute
        channels |= dict.fromkeys(parsed.media, channel)
    return channels


def _parse(kind: str, content: Mapping[str, Any]) -> ChannelSettings:
    known = kinds()
    if kind not in known:
        raise ChannelError(f"The channel {kind!r} in company.yaml is unknown; use one of {list(known)}.")
    try:
        return known[kind].model_validate(content)
    except ValidationError as error:
        faults = [_explain(kind, dict(fault), known[kind]) for fault in error.errors(include_url=False)]
        raise ChannelError("\n\n".join(faults)) from None


def _explain(kind: str, fault: Mapping[str, Any], model: type[ChannelSettings]) -> str:
    key = ".".join(str(part) for part in ("channels", kind, *fault["loc"]))
    match fault["type"]:
        case "extra_forbidden":
            return f"In company.yaml `{key}` is an unknown key; remove it or use one of {sorted(model.model_fields)}."
        case "missing":
            return f"In company.yaml `{key}` is missing; add it."
    problem = str(fault["msg"]).removeprefix("Value error, ").lower()
    return f"In company.yaml `{key}` cannot hold {fault['input']!r}: {problem}; correct the value."

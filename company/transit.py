"""Encryption in transit: which hosts an address reaches in clear, beyond this machine."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

# apprise's json, xml and form are http; kafka is a broker that is reached without TLS
PLAIN = frozenset({"http", "ws", "ftp", "smtp", "ldap", "json", "xml", "form", "kafka"})
SECURED_BY_MODE = ("postgresql", "mysql", "mariadb")  # databases whose scheme does not show whether TLS is used
_STRICT = frozenset({"require", "verify-ca", "verify-full", "verify_ca", "verify_identity"})
_MODES = ("sslmode", "ssl_mode")


class TransitError(Exception):
    """An address would be reached in clear; the message is one paragraph that names it and the fix."""


def find_plain(address: str) -> str | None:
    """Return the host that an address reaches without TLS; None where it has TLS or stays on this machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return None  # no address; whoever uses it reports that
    scheme = parts.scheme.split("+")[0]
    if host is None or is_loopback(host):
        return None
    if scheme in SECURED_BY_MODE:
        modes = {mode for name in _MODES for mode in parse_qs(parts.query).get(name, [])}
        return None if modes & _STRICT else host
    return host if scheme in PLAIN else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def list_addresses(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every address in nested settings with the key where it stands; mail and brokers without TLS, too."""
    if isinstance(value, str) and "://" in value:
        yield place, value
    elif isinstance(value, Mapping):
        if value.get("security") == "none" and "host" in value:
            yield f"{place}.security", f"smtp://{value['host']}"
        if {"servers", "topic"} <= value.keys() and "ssl" not in _read_protocol(value):
            yield from ((f"{place}.servers", f"kafka://{server.strip()}") for server in value["servers"].split(","))
        for key, each in value.items():
            yield from list_addresses(each, f"{place}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, each in enumerate(value):
            yield from list_addresses(each, f"{place}[{number}]")


def _read_protocol(broker: Mapping[str, Any]) -> str:
    return str((broker.get("settings") or {}).get("security.protocol", "plaintext")).lower()

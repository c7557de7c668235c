"""A bucket of an S3-compatible store as the place of a lake's files: its address, its server, and the keys to it.

Keys and server come from the variables that AWS's own programs read. There is no other way to name them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import duckdb

from ingestion.values import literal
from orchestration.engines.base import EngineError

FILES = "HOLDFAST_LAKE_FILES"
KEY_ID, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
ENDPOINT, REGION, AUTHORITIES = "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_CA_BUNDLE"
SCHEME = "s3://"
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/(?!\.+(/|$))[A-Za-z0-9_.=-]+)+")  # nothing that a pattern could mean
_REGION = "us-east-1"
_FAULTS = {  # what the server or DuckDB reports, and what to do
    "NoSuchBucket": f"the bucket is not there. Make it, or correct {FILES}; no bucket is made by itself",
    "InvalidAccessKeyId": f"the server does not know the key. Correct {KEY_ID}",
    "SignatureDoesNotMatch": f"{SECRET} does not belong to {KEY_ID}. Set both of one pair, without spaces around them",
    "AccessDenied": f"the key of {KEY_ID} may not list it. Let it list, read, write and delete below {FILES}",
    "Could not connect": f"nothing answers there. Start the server, or correct {ENDPOINT}",
    "Could not resolve": f"its host has no address. Correct {ENDPOINT}",
    "SSL": f"no connection by TLS comes about. Name in {AUTHORITIES} a file with the certificate of who signed the "
    f"server's, or correct {ENDPOINT}",
}


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Where in a bucket files are, as `s3://bucket/prefix`; `endpoint` is the server's address, empty for AWS's own.

    `authorities` is a file of certificates that sign servers', empty for those of the machine.
    """

    address: str
    endpoint: str
    region: str
    authorities: str
    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def of(cls, address: str, environment: Mapping[str, str]) -> Self:
        """Return the bucket that `address` names; raises EngineError where that, or a variable of its, is malformed."""
        if not _ADDRESS.fullmatch(address):
            raise EngineError(
                f"{FILES} is `{address}`, which is no address of a place in a bucket. Write s3://bucket/prefix, with a "
                "prefix that is this lake's alone, of letters, digits and `_.=-`; or a folder's path."
            )
        missing = [name for name in (KEY_ID, SECRET) if not environment.get(name)]
        if missing:
            raise EngineError(
                f"{FILES} is {address}, but {' and '.join(missing)} is not set. Set {KEY_ID} and {SECRET} to a key "
                f"that may list, read, write and delete there, and {ENDPOINT} to the server, unless it is AWS's."
            )
        return cls(
            address=address,
            endpoint=_check_endpoint(environment.get(ENDPOINT, "")),
            region=environment.get(REGION, "") or _REGION,
            authorities=environment.get(AUTHORITIES, ""),
            key_id=environment[KEY_ID],
            secret=environment[SECRET],
            token=environment.get(TOKEN, ""),
        )

    @property
    def statements(self) -> tuple[str, ...]:
        """What lets a connection of DuckDB reach the bucket, and no other one, until its database is closed."""
        options = ", ".join(f"{name} {literal(value)}" for name, value in self._options.items())
        certificates = [f"set ca_cert_file = {literal(self.authorities)}"] if self.authorities else []
        return (f"create or replace temporary secret lake (type s3, provider config, {options})", *certificates)

    @property
    def environment(self) -> Mapping[str, str]:
        """What dbt's profile reads of the bucket, keys under names whose values dbt keeps out of its logs."""
        hidden = {"key_id", "secret", "session_token"}
        return {
            f"{'DBT_ENV_SECRET_LAKE' if name in hidden else 'HOLDFAST_LAKE'}_{name.upper()}": value
            for name, value in self._options.items()
        } | {AUTHORITIES: self.authorities}

    @property
    def _options(self) -> dict[str, str]:
        """The options of DuckDB's secret: AWS is found by the region, other servers have one name for all buckets."""
        server = urlsplit(self.endpoint)
        return {
            "scope": f"{self.address}/",
            "key_id": self.key_id,
            "secret": self.secret,
            "session_token": self.token,
            "region": self.region,
            "endpoint": server.netloc,
            "url_style": "path" if self.endpoint else "vhost",
            "use_ssl": str(server.scheme != "http").lower(),
        }

    def check(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Ask for a list of nothing, by the connection that will be worked with; raises EngineError when it fails."""
        try:
            connection.execute(f"from glob({literal(f'{self.address}/.none*')})").fetchall()
        except duckdb.Error as error:
            raise self._explain(str(error)) from None

    def _explain(self, reason: str) -> EngineError:
        where = f"{FILES} {self.address} at {self.endpoint or 'AWS'}"
        for text, fix in _FAULTS.items():
            if text in reason:
                return EngineError(f"The files of the lake cannot be reached, {where}: {fix}.")
        shown = " ".join(line for line in reason.splitlines() if line and not line.startswith(("LINE", " ")))
        for each in (self.secret, self.token, self.key_id):
            shown = shown.replace(each, "***") if each else shown
        return EngineError(
            f"The files of the lake cannot be reached, {where}: {shown} Check {FILES}, {ENDPOINT}, {REGION}, {KEY_ID} "
            f"and {SECRET}."
        )


def _check_endpoint(address: str) -> str:
    try:
        parts = urlsplit(address)
        is_right = not address or (
            parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.username
        )
    except ValueError:
        is_right = False
    if not is_right or parts.path.strip("/") or parts.query:
        raise EngineError(
            f"{ENDPOINT} is no address of a server. Write https://host or https://host:port, without a path and "
            "without keys; leave it out for AWS."
        )
    return address.rstrip("/")

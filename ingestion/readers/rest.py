"""HTTP APIs with JSON pages, read by dlt's client: token, cursor, patience."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import duckdb
from pydantic import Field

from company.company_file import Feed
from company.file_faults import suggest
from ingestion.readers.base import Context, Reader, ReaderSettings
from ingestion.readers.extract import Extract, Request, described, quoted
from ingestion.readers.json_fields import TEXT, as_tree, fields_of, merge
from ingestion.readers.sql import reach_back

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.client import RESTClient
    from requests import Response

_PAGES = "landing_pages"
_INTO = "landing_source"
_SECONDS = 30
_MOST_EMPTY_PAGES = 3
_CIRCLE = ("the server's cursor goes round in circles.", "Check `cursor_path` and `cursor_param` of the source.")


class _MalformedError(Exception):
    """A page that is no JSON, or holds no list of rows where the company file says so."""


class Settings(ReaderSettings):
    """An HTTP API with JSON pages: `token` names the secret that holds its bearer token.

    Pages follow one another by a cursor that stands in the answer at `cursor_path` and is sent as `cursor_param`;
    the rows of a page stand at `rows_path`. A feed's `incremental` column is sent as `since_param`.
    """

    reader: Literal["rest"]
    url: str
    token: str | None = None
    rows_path: str = "data"
    cursor_path: str = "next_cursor"
    cursor_param: str = "cursor"
    since_param: str = "since"
    page_size: int | None = Field(default=None, ge=1)
    page_size_param: str = "limit"

    def secret_names(self) -> tuple[str, ...]:
        """Return the name of the token, where there is one."""
        return (self.token,) if self.token else ()

    def open(self, context: Context) -> Reader:
        """Return the reader of one feed."""
        return ApiReader(settings=self, context=context)


@dataclass(frozen=True, kw_only=True)
class ApiReader(Reader):
    """Reads what one feed takes from an API, whose token is among the secrets of the `context`.

    A request is tried `attempts` times in all: when the connection fails or is cut, on 429 and 5xx, and on a page that
    is malformed. The wait between doubles from `backoff` seconds on, unless the server says how long to wait.
    """

    settings: Settings
    context: Context
    attempts: int = 6
    backoff: float = 0.5

    def extract(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> Extract:
        """Copy every page of the resource that the feed names into a temporary table and return it.

        The cursor that is asked for, less the feed's lookback, is sent to the server. Raises
        SourceError when the server refuses or does not answer properly in all attempts; then nothing was read.
        """
        feed, key = self.context.feed, f"{self.context.key}.from"
        if "//" in feed.relation:
            fix = f"Write what follows `{self.settings.url}`, or declare another source: tokens stay with their host."
            raise self.context.error(key, "an address of its own cannot be asked for here.", fix)
        connection.execute(f"create or replace temp table {_PAGES} (page json)")
        start = reach_back(connection, asked.since, hours=feed.lookback_hours)
        for page in self._limited(self._pages(key, feed, since=start), asked.most):
            connection.execute(f"insert into {_PAGES} values (?)", [json.dumps(page)])
        fields = self._unfold(connection, asked)
        connection.execute(f"drop table {_PAGES}")
        return Extract(
            relation=f"temp.{_INTO}",
            is_text=True,
            is_ordered=feed.group_by is None,
            columns=fields,
            cursor=self._reached(connection, feed, fields),
        )

    def _limited(self, pages: Iterator[list[Any]], most: int | None) -> Iterator[list[Any]]:
        count = 0
        for page in pages:
            yield page
            count += len(page)
            if most and count >= most:
                return

    def _pages(self, key: str, feed: Feed, *, since: str | None) -> Iterator[list[Any]]:
        from requests import JSONDecodeError, RequestException

        declared = self.settings
        sent = {declared.page_size_param: declared.page_size, declared.since_param: since}
        parameters = {name: value for name, value in sent.items() if value is not None}
        try:
            client = self._client()
            seen: set[str] = set()
            empty = 0
            for page in client.paginate(feed.relation, params=parameters, data_selector=declared.rows_path):
                rows = _rows_of(page.response, declared.rows_path)
                if page.response.url in seen:
                    raise self.context.error(key, *_CIRCLE)
                seen.add(page.response.url)
                yield rows
                empty = 0 if rows else empty + 1
                if empty == _MOST_EMPTY_PAGES:  # some servers hand out cursors for ever, for what is still to come
                    return
        except (JSONDecodeError, _MalformedError):
            problem = (
                f"the server answered {self.attempts} times with a page that has no list at `{declared.rows_path}`, or "
                "with an error next to an empty one."
            )
            fix = f"Check `rows_path` of the source `{self.context.feed.source}`, or the server."
            raise self.context.error(key, problem, fix) from None
        except RequestException as error:
            raise self.context.error(key, *self._told(error)) from None

    def _client(self) -> "RESTClient":
        from dlt.sources.helpers import requests
        from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
        from dlt.sources.helpers.rest_client.client import RESTClient
        from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

        declared = self.settings
        token = self._token()
        client = requests.Client(
            request_timeout=_SECONDS,
            request_max_attempts=self.attempts,
            request_backoff_factor=self.backoff,
            retry_condition=_is_malformed(declared.rows_path),
        )
        return RESTClient(
            base_url=declared.url,
            auth=BearerTokenAuth(token) if token else None,
            paginator=JSONResponseCursorPaginator(cursor_path=declared.cursor_path, cursor_param=declared.cursor_param),
            session=client.session,
        )

    def _token(self) -> str | None:
        name = self.settings.token
        if name and not self.context.secrets.get(name, "").strip():
            problem = f"the environment variable `{name}` is not set."
            fix = "Set it to the bearer token of the API, or put it in `.env`."
            raise self.context.error(f"{self.context.source_key}.token", problem, fix)
        token = self.context.secrets[name].strip() if name else None
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            problem = f"the environment variable `{name}` holds signs that no token has."
            fix = "Set it to the token alone, on one line."
            raise self.context.error(f"{self.context.source_key}.token", problem, fix)
        return token

    def _told(self, error: Any) -> tuple[str, str]:  # noqa: ANN401 - what requests raises is untyped here
        response = getattr(error, "response", None)
        status = response.status_code if response is not None else None
        if status in {401, 403}:
            fix = (
                f"Check the token in `{self.settings.token}`." if self.settings.token else "Add `token` to the source."
            )
            return f"the server refused the token (HTTP {status}).", fix
        if status is not None:
            fix = "Check the path in `from`." if status < 500 else "Try again later."  # noqa: PLR2004 - server faults
            return f"the server answered with HTTP {status}.", fix
        problem = f"the server does not answer ({type(error).__name__}, {self.attempts} attempts)."
        return problem, f"Check that it runs, and the `url` of the source `{self.context.feed.source}`."

    def _unfold(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> dict[str, str]:
        """Turn the rows in the pages into a table whose leaves are text; returns its fields.

        Json leaves out what is empty, so that optional fields and those of earlier answers are columns even when these
        pages do not show them; with no row at all, every field that the mapping reads is.
        """
        rows = f"(select unnest(from_json(page, '[\"JSON\"]')) as entry from {_PAGES})"
        found = connection.execute(f"select json_group_structure(entry) from {rows}").fetchone()
        seen = json.loads(found[0]) if found and found[0] else {}
        known = {name: as_tree(kind) for name, kind in asked.known.items() if kind}
        expected = merge(known, fields_of(asked.optional if seen else asked.reads))
        structure = merge(seen, expected)
        text = json.dumps(_texts(structure) or {"_": TEXT}).replace("'", "''")
        connection.execute(
            f"create or replace temp table {_INTO} as select unnest(from_json(entry, '{text}')) from {rows}"
        )
        return described(connection, f"select * from temp.{_INTO}") if seen else dict(asked.known)

    def _reached(self, connection: duckdb.DuckDBPyConnection, feed: Feed, fields: Mapping[str, str]) -> str | None:
        if feed.incremental is None or not fields:
            return None
        if feed.incremental not in fields:
            place = f"{self.context.key}.incremental"
            problem = f"the rows have no field `{feed.incremental}`."
            raise self.context.error(place, problem, suggest(feed.incremental, fields))
        field = quoted(feed.incremental)
        forms = (f"try_cast({field} as timestamptz)", f"try_cast({field} as double)", field)
        order = ", ".join(f"{form} desc nulls last" for form in forms)
        query = f"select {field} from temp.{_INTO} where {field} is not null order by {order} limit 1"
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def _rows_of(response: "Response", path: str) -> list[Any]:
    """Return the rows of a page, with null in the place of what is no row; a null list is an empty one.

    Raises _MalformedError when there is no such list, or an empty one stands next to an error.
    """
    page = response.json()
    *parents, last = path.split(".")
    place = page
    for part in parents:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise _MalformedError
    rows = [] if place[last] is None else place[last]
    if not isinstance(rows, list) or (rows and not any(isinstance(row, dict) for row in rows)):
        raise _MalformedError
    if not rows and _tells_of_an_error(page):
        raise _MalformedError
    return [row if isinstance(row, dict) else None for row in rows]


def _tells_of_an_error(page: dict[str, Any]) -> bool:
    return any(page.get(name) for name in ("error", "errors")) or any(
        page.get(name) is False for name in ("ok", "success")
    )


def _is_malformed(path: str) -> "Callable[[Response | None, BaseException | None], bool]":
    def judge(response: "Response | None", _: BaseException | None) -> bool:
        if response is None or not response.ok:
            return False
        try:
            _rows_of(response, path)
        except (ValueError, _MalformedError):
            return True
        return False

    return judge


def _texts(structure: Any) -> Any:  # noqa: ANN401 - a JSON tree of types
    """Return the structure with every leaf read as text."""
    if isinstance(structure, dict):
        return {name: _texts(kind) for name, kind in structure.items()}
    if isinstance(structure, list):
        return [_texts(kind) for kind in structure]
    return TEXT

"""Lists of the API: fields, filters, order and page from the address to one `Question`, and its rows to an answer."""

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from serving.access import AccessDeniedError, Action, Comparison, Condition, Order, Question
from serving.actor import InvalidRequestError
from serving.api.caller import Caller

Cell = str | int | float | bool | None
Row = dict[str, Cell]
_COMPARISONS: dict[str, Comparison] = {
    "eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in", "null": "is null", "notnull": "is not null",
}  # fmt: skip
_FALSE, _TRUE = "false", "true"
NOT_MODIFIED = 304


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A list: its relation of the snapshot, the action that it takes, and its own order, unique at the end."""

    name: str
    relation: str
    action: Action
    key: tuple[Order, ...]
    description: str


class Filters(BaseModel):
    """Which rows and fields, in which order."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[
        str | None, Field(max_length=2000, description="Names of fields, joined by commas; all that the key sees.")
    ] = None
    filter: Annotated[
        list[Annotated[str, Field(max_length=500)]],
        Field(
            max_length=10,
            description="`field:comparison:value`, where the comparison is eq, lt, le, gt, ge, in (values joined by "
            "commas), null or notnull; all of several must hold. Example: `score:ge:70`.",
        ),
    ] = []
    sort: Annotated[
        str | None, Field(max_length=200, description="Fields, joined by commas; with a minus the highest first.")
    ] = None


class Listing(Filters):
    """One page of a list."""

    after: Annotated[str | None, Field(max_length=1000, description="`next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="Rows of a page.")] = 50


class Page(BaseModel):
    """Rows, the key of the next page (null on the last), and which publication they are of."""

    data: list[Row]
    next: str | None
    as_of: str
    snapshot: Annotated[str, Field(description="Changes with every publication; pages of two are of two lists.")]


Filtered = Annotated[Filters, Query()]
Listed = Annotated[Listing, Query()]


def read_filters(caller: Caller, resource: Resource, filters: Filters) -> Question:
    """Return the question that an address asks, without a page. Raises AccessDeniedError and InvalidRequestError."""
    types = caller.desk.snapshot.types(resource.relation)
    order = _read_order(caller, resource, filters.sort, types)
    columns = _read_fields(caller, filters.fields, types)
    return Question(
        relation=resource.relation,
        columns=tuple(dict.fromkeys((*columns, *(each.column for each in order)))) if columns else (),
        where=tuple(_read_condition(caller, text, types) for text in filters.filter),
        order=order,
    )


def answer_page(
    caller: Caller,
    resource: Resource,
    listing: Listing,
    *,
    narrow: tuple[Condition, ...] = (),
    extend: Callable[[list[dict[str, Any]]], None] | None = None,
    begin: Callable[[tuple[Condition, ...]], Mapping[str, Any]] | None = None,
) -> Response:
    """Return a page of a list; `narrow` are conditions of the resource itself, `extend` adds what else is known.

    `begin` gives further keys of the first page by the conditions of the address. A list without `extend` is that of
    the publication alone, so that its ETag is known before it is asked.
    """
    caller.require(resource.action)
    version = caller.desk.snapshot.version
    if extend is None and (unchanged := _find_unchanged(caller, _tag(caller, version))):
        return unchanged
    question = read_filters(caller, resource, listing)
    types = caller.desk.snapshot.types(resource.relation)
    after = _read_key(listing, question.order, types)
    whole = {"where": (*narrow, *question.where), "after": after, "limit": listing.limit + 1}
    rows = caller.ask(Question(**vars(question) | whole))
    following = _write_key(listing, question.order, rows[listing.limit - 1]) if len(rows) > listing.limit else None
    rows = _trim(rows[: listing.limit], listing.fields)
    if extend:
        extend(rows)
    body = {"data": rows, "next": following, "as_of": str(caller.about["as_of"]), "snapshot": version}
    if begin and listing.after is None:
        body |= begin(question.where)
    return answer(caller, body, tag=None if extend else _tag(caller, version))


def answer_fresh(caller: Caller, make: Callable[[], dict[str, Any]]) -> Response:
    """Return what `make` reads of the publication alone, or that it has not changed since it was asked before."""
    tag = _tag(caller, caller.desk.snapshot.version)
    return _find_unchanged(caller, tag) or answer(caller, make(), tag=tag)


def answer(caller: Caller, body: Mapping[str, Any], *, tag: str | None = None) -> Response:
    """Return a body with an ETag, that of its content where none is given."""
    text = json.dumps(plain(body), ensure_ascii=False, allow_nan=False)
    tag = tag or f'"{sha256(text.encode()).hexdigest()[:32]}"'
    unchanged = _find_unchanged(caller, tag)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return unchanged or Response(text, media_type="application/json", headers=headers)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row or a record holds
    """Return a value as JSON has it: days and moments as ISO text, what is no number as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tag(caller: Caller, version: str) -> str:
    """Return the ETag of an answer that depends on the publication, the rights of the key and the address alone."""
    parts = (version, caller.grant.role, *map(str, caller.grant.parameters.values()), str(caller.request.url))
    return f'"{sha256("|".join(parts).encode()).hexdigest()[:32]}"'


def _find_unchanged(caller: Caller, tag: str) -> Response | None:
    known = {each.strip().removeprefix("W/") for each in caller.request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=NOT_MODIFIED, headers={"ETag": tag}) if tag in known else None


def _read_fields(caller: Caller, text: str | None, types: Mapping[str, str]) -> list[str]:
    names = _split(text)
    for name in names:
        if caller.sees(name) == "hidden":
            raise AccessDeniedError(f"The role {caller.grant.role} does not see the field {name}.")
        _require_known(name, types)
    return names


def _read_order(caller: Caller, resource: Resource, text: str | None, types: Mapping[str, str]) -> tuple[Order, ...]:
    orders = [Order(column=name.removeprefix("-"), descending=name.startswith("-")) for name in _split(text)]
    for order in orders:
        _require_clear(caller, order.column, types)
    named = {order.column for order in orders}
    return (*orders, *(order for order in resource.key if order.column not in named))


def _read_condition(caller: Caller, text: str, types: Mapping[str, str]) -> Condition:
    name, _, rest = text.partition(":")
    word, _, value = rest.partition(":")
    comparison = _COMPARISONS.get(word)
    if comparison is None:
        raise InvalidRequestError(f"A filter is field:comparison:value, with one of {', '.join(_COMPARISONS)}.")
    _require_clear(caller, name, types)
    if comparison in {"is null", "is not null"}:
        return Condition(column=name, comparison=comparison)
    if comparison == "in":
        values = [_read_value(name, each, types[name]) for each in value.split(",")]
        return Condition(column=name, comparison=comparison, value=values)
    return Condition(column=name, comparison=comparison, value=_read_value(name, value, types[name]))


def _require_clear(caller: Caller, name: str, types: Mapping[str, str]) -> None:
    if caller.sees(name) != "clear":
        raise AccessDeniedError(f"The role {caller.grant.role} may not filter, sort or count by the field {name}.")
    _require_known(name, types)


def _require_known(name: str, types: Mapping[str, str]) -> None:
    if name not in types:
        raise InvalidRequestError(f"This list has no field {name}; without `fields` it shows those that it has.")


def _read_value(name: str, text: str, kind: str) -> Any:  # noqa: ANN401 - a value of any column
    """Return a text of the address as its column has it; the message names the field, never the text."""
    try:
        value = _parse(text, kind)
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"The value for {name} does not fit its type, {kind.lower()}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestError(f"The value for {name} is no finite number.")
    return value


def _parse(text: str, kind: str) -> Any:  # noqa: ANN401 - a value of any column
    if kind.startswith("VARCHAR"):
        return text
    if kind == "DATE":
        return date.fromisoformat(text)
    if kind.startswith("TIMESTAMP"):
        return datetime.fromisoformat(text).replace(tzinfo=None)
    if kind == "BOOLEAN":
        return {_TRUE: True, _FALSE: False}.get(text) if text in {_TRUE, _FALSE} else int("no boolean")
    return float(text)


def _split(text: str | None) -> list[str]:
    return list(dict.fromkeys(name for name in (text or "").split(",") if name))


def _write_key(listing: Listing, order: tuple[Order, ...], row: Mapping[str, Any]) -> str:
    content = [listing.sort, [plain(row[each.column]) for each in order]]
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _read_key(listing: Listing, order: tuple[Order, ...], types: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the key behind which a page begins. Raises InvalidRequestError for one of another order."""
    if listing.after is None:
        return ()
    try:
        sort, values = json.loads(urlsafe_b64decode(listing.after + "=" * (-len(listing.after) % 4)))
        pairs = list(zip(order, values, strict=True))
    except (ValueError, TypeError):
        raise InvalidRequestError("`after` is not `next` of a page of this list.") from None
    if sort != listing.sort:
        raise InvalidRequestError("`after` belongs to another `sort`; begin at the first page.")
    return tuple(None if value is None else _read_value(each.column, _as_text(value), types[each.column])
                 for each, value in pairs)  # fmt: skip


def _as_text(value: Any) -> str:  # noqa: ANN401 - a value of any column
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trim(rows: list[dict[str, Any]], fields: str | None) -> list[dict[str, Any]]:
    """Leave out what was only read for the order."""
    names = _split(fields)
    return [{name: row[name] for name in names} for row in rows] if names else rows

"""What a body may hold: events by the contract's table `events`, without what is personal.

Words of a customer are read where they arrive: what is kept is an event of the type that the reading gives, such as
`negative_feedback`, and no word.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from company.contract import EVENTS, ColumnType
from serving.actor import InvalidRequestError
from serving.lane.log import FIELDS, Row

_COLUMNS = {column.name: column for column in EVENTS.columns if not column.personal}
_ID = re.compile(r"[\w.:|/+=-]{1,128}")  # an id, and no address: neither a blank nor an @
_WORD = re.compile(r"[\w .:|/+=-]{1,128}")
_IDS = {"event_id", "customer_id", "session_id", "product_id"}
_MOST_FAULTS = 5
FEEDBACK, TEXT = "feedback", "text"
_MOST_CHARACTERS = 5_000
TextReader = Callable[[Sequence[str]], Sequence[str]]  # texts in, the sentiment of each out


def read_events(body: bytes, *, most: int, latest: int, read_texts: TextReader | None = None) -> list[Row]:
    """Return the events of a body, values in the order of `FIELDS`, moments as milliseconds since 1970.

    Args:
        body: JSON, one event or a list of at most `most` of them.
        most: events of a request.
        latest: the last moment, in milliseconds, that is believed.
        read_texts: reads the words of `feedback`; without it none are taken.

    Raises InvalidRequestError naming the places of what is wrong, never a value; then no event is taken.
    """
    try:
        content = json.loads(body)
    except ValueError:
        raise InvalidRequestError("The body is no JSON; send an event or a list of events.") from None
    events = content if isinstance(content, list) else [content]
    if not events or len(events) > most:
        raise InvalidRequestError(f"A request has 1 to {most} events; this one has {len(events)}.")
    rows: list[Row] = []
    texts: dict[int, str] = {}
    faults: list[str] = []
    for place, event in enumerate(events):
        try:
            if isinstance(event, dict) and TEXT in event:
                texts[place] = _take_text(event, is_read=read_texts is not None)
            rows.append(_read_event(event, latest=latest))
        except ValueError as fault:
            faults.append(f"event {place}: {fault}")
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise InvalidRequestError(f"No event was taken. {'; '.join(faults[:_MOST_FAULTS])}{more}.")
    if texts and read_texts is not None:
        for place, sentiment in zip(texts, read_texts(list(texts.values())), strict=True):
            rows[place] = _with_type(rows[place], f"{sentiment}_{FEEDBACK}")
    return rows


def _take_text(event: dict[str, Any], *, is_read: bool) -> str:
    """Take the words out of an event, which keeps none."""
    text = event.pop(TEXT)
    if not is_read:
        raise ValueError(f"`{TEXT}` is not read here; send it to the collector")
    if event.get("type") != FEEDBACK:
        raise ValueError(f"`{TEXT}` is taken with the type `{FEEDBACK}` alone")
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_CHARACTERS:
        raise ValueError(f"`{TEXT}` is no text of 1 to {_MOST_CHARACTERS} characters")
    return text


def _with_type(row: Row, kind: str) -> Row:
    return tuple(kind if name == "type" else value for name, value in zip(FIELDS, row, strict=True))


def write_event(row: Row) -> bytes:
    """Return an event as a body that `read_events` takes."""
    given = {name: value for name, value in zip(FIELDS, row, strict=True) if value is not None}
    moment = datetime.fromtimestamp(int(given["occurred_at"]) / 1000, tz=UTC)
    return json.dumps({**given, "occurred_at": moment.isoformat(timespec="milliseconds")}).encode()


def _read_event(event: object, *, latest: int) -> Row:
    if not isinstance(event, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - a fault of the body as the others
    if event.keys() - _COLUMNS.keys():
        raise ValueError(next(_explain_unknown(event)))
    occurred_at = _read_moment(event.get("occurred_at"))
    if occurred_at > latest:
        raise ValueError("`occurred_at` lies in the future; set the sender's clock")
    given = {**event, "occurred_at": occurred_at}
    return tuple(_read_value(name, given.get(name)) for name in FIELDS)


def _explain_unknown(event: Mapping[str, Any]) -> Iterator[str]:
    personal = {column.name for column in EVENTS.columns if column.personal}
    for name in sorted(event.keys() - _COLUMNS.keys()):
        if name in personal:
            yield f"`{name}` is personal and not taken here; leave it out"
    yield f"it has fields that are none of {', '.join(FIELDS)}"


def _read_moment(value: object) -> int:
    """Return milliseconds since 1970 of an ISO moment with a time zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("`occurred_at` is no moment with a time zone, such as 2026-05-01T12:00:00Z")
    return round(moment.timestamp() * 1000)


def _read_value(name: str, value: Any) -> str | int | float | bool | None:  # noqa: ANN401 - whatever JSON holds
    column = _COLUMNS[name]
    if value is None:
        if column.is_required:
            raise ValueError(f"`{name}` is missing")
        return None
    match column.type:
        case ColumnType.TEXT:
            return _read_text(name, value)
        case ColumnType.FLAG if isinstance(value, bool):
            return value
        case ColumnType.NUMBER if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
        case ColumnType.MOMENT:
            return int(value)
    raise ValueError(f"`{name}` is not of the type {column.type}, or below 0")


def _read_text(name: str, value: object) -> str:
    pattern = _ID if name in _IDS else _WORD
    if not isinstance(value, str) or not pattern.fullmatch(value):
        what = "an id of letters, digits and . : | / + = - _" if name in _IDS else "a word, without an address"
        raise ValueError(f"`{name}` is not {what}, of at most 128 characters")
    return value

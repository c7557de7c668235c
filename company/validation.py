"""What pydantic found wrong in a file, as faults that a person can fix."""

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from company.file_faults import Fault, listing, suggest

_TAG = "reader"  # the key that decides which of several models a block of keys belongs to


def explain(detail: Any, model: type[BaseModel], content: Mapping[str, Any]) -> Fault:  # noqa: ANN401 - pydantic's detail
    """Return one of pydantic's error details about `content`, which `model` refused, as a fault."""
    steps = list(_follow(detail["loc"], model, content))
    trail = [part for part, _ in steps if part is not None]
    kinds = [model, *(kind for _, kind in steps)]
    name = trail[-1] if trail else ""
    match detail["type"]:
        case "extra_forbidden":
            problem, fix = f"`{name}` is an unknown key.", suggest(name, _keys_of(kinds[-2]))
        case "missing":
            problem, fix = f"the key `{name}` is missing.", "Add it; `holdfast init` writes an example of every key."
        case "union_tag_invalid" | "union_tag_not_found":
            problem = f"`{_TAG}` must name one of the readers."
            fix = f"Write one of {listing([f'{_TAG}: {tag}' for tag in _tags_of(kinds[-1])])}."
        case "model_type" | "dict_type" | "model_attributes_type":
            problem = "this must be a block of keys."
            fix = "Indent its keys below it, as in the file `holdfast init` writes."
        case "value_error":
            problem, fix = f"{detail['ctx']['error']}.", "Correct the value."
        case _:
            problem = f"the value {detail['input']!r} does not fit: {detail['msg'].lower()}."
            fix = "Correct the value."
    return Fault(key=".".join(trail), problem=problem, fix=fix)


def _follow(location: Sequence[int | str], kind: Any, value: Any) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401
    """Yield each part of a location with the type it leads to; None stands for a part that the file does not show.

    Pydantic's locations hold the tag of a union's member, the index of an only entry, and `[key]` for a faulty key.
    """
    for part in location:
        kind = _plain(kind)
        is_shown = part != "[key]"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = next((f.annotation for name, f in kind.model_fields.items() if part in {f.alias, name}), None)
        elif get_origin(kind) is tuple:
            kind, is_shown = get_args(kind)[0], isinstance(value, list)
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif _tags_of(kind):
            kind, is_shown = _tags_of(kind).get(str(part)), False
        else:
            kind = None
        value = _value_at(value, part) if is_shown else value
        yield (str(part) if is_shown else None), kind


def _plain(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return an annotation without its metadata, and without None where it may be missing."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    members = [member for member in get_args(kind) if member is not NoneType]
    return _plain(members[0]) if NoneType in get_args(kind) and len(members) == 1 else kind


def _value_at(value: Any, part: int | str) -> Any:  # noqa: ANN401 - any value of a YAML file
    if isinstance(value, Mapping):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def _tags_of(kind: Any) -> dict[str, type[BaseModel]]:  # noqa: ANN401 - any annotation
    """Return the members of a union of models by their tags; nothing for any other annotation."""
    members = [m for m in get_args(_plain(kind)) if isinstance(m, type) and issubclass(m, BaseModel)]
    tagged = [member for member in members if _TAG in member.model_fields]
    return {tag: member for member in tagged for tag in get_args(member.model_fields[_TAG].annotation)}


def _keys_of(kind: Any) -> list[str]:  # noqa: ANN401 - any annotation
    fields = _plain(kind).model_fields
    return [field.alias or name for name, field in fields.items() if not field.exclude]

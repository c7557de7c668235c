"""YAML files: those that a person wrote with their lines, so that a fault names the line, and the project's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from company.file_faults import CompanyError, Fault

# libyaml reads ten times as fast as Python does; a build without it has only the latter
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """The keys of a file as plain values, and the nodes that know their lines."""

    content: Mapping[str, Any]
    root: yaml.Node

    def place(self, fault: Fault) -> Fault:
        """Return the fault with the line of its key."""
        return replace(fault, line=_line_of(self.root, fault.key))


def read_yaml(path: Path) -> Document:
    """Read a file of keys; raises CompanyError when it cannot be read, is no YAML, or has a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=LOADER)
        if root is not None:
            _refuse_repeated_keys(path, root)
        content = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})."
        fix = "Check the path, or write a first file with `holdfast init`."
        raise CompanyError(path, Fault(key="", problem=problem, fix=fix)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CompanyError(path, _unreadable(error)) from None
    except ValueError as error:
        raise CompanyError(path, _no_value(root, error)) from None
    if root is None or not isinstance(content, dict):
        fix = "Start from the file that `holdfast init` writes."
        raise CompanyError(path, Fault(key="", problem="the file holds no keys.", fix=fix))
    return Document(content, root)


def load_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return the plain values of a file whose shape its caller checks; raises OSError or yaml.YAMLError."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 - a safe loader


def find_line(path: Path, key: str) -> int | None:
    """Return the line of the dotted `key` in the file, or None when it is not known."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return _line_of(root, key) if root else None


def _unreadable(error: Exception) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = f"the file is not valid YAML ({getattr(error, 'problem', None) or 'it is not UTF-8 text'})."
    fix = (
        "Check the indentation and the quotes there: an expression with `:`, `#`, `*` or quotes needs quotes around it."
    )
    return Fault(key="", problem=problem, fix=fix, line=mark.line + 1 if mark else None)


def _no_value(root: yaml.Node | None, error: ValueError) -> Fault:
    """Return the fault of the first value that looks like one of YAML's own, such as a date, and is none."""
    for key, node in _scalars(root):
        try:
            yaml.load("" if node.style else node.value, Loader=LOADER)  # noqa: S506 - a safe loader
        except ValueError:
            problem = f"`{node.value}` looks like a date or a number, and is none ({error})."
            fix = "Correct it, or put quotes around it if it is text."
            return Fault(key=key, problem=problem, fix=fix, line=node.start_mark.line + 1)
    return Fault(key="", problem=f"a value cannot be read ({error}).", fix="Put quotes around values that are text.")


def _scalars(node: yaml.Node | None, trail: tuple[str, ...] = ()) -> Iterator[tuple[str, yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode):
        yield ".".join(trail), node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*trail, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _scalars(item, (*trail, str(place)))


def _refuse_repeated_keys(
    path: Path, node: yaml.Node, trail: tuple[str, ...] = (), parents: tuple[yaml.Node, ...] = ()
) -> None:
    if node in parents:
        fault = Fault(key=".".join(trail), problem="an alias stands within what it names.", fix="Write it out instead.")
        raise CompanyError(path, replace(fault, line=node.start_mark.line + 1))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _refuse_repeated_keys(path, item, (*trail, str(index)), (*parents, node))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        place = (*trail, str(key.value))
        if key.value in seen:
            line = key.start_mark.line + 1
            fault = Fault(
                key=".".join(place), problem="the key stands here twice.", fix="Keep one of the two.", line=line
            )
            raise CompanyError(path, fault)
        seen.add(key.value)
        _refuse_repeated_keys(path, value, place, (*parents, node))


def _line_of(node: yaml.Node, key: str) -> int | None:
    """Return the line of the deepest part of the dotted `key` that exists, or None when not even its head does."""
    line = None
    for part in key.split("."):
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        entry = next(((name, value) for name, value in pairs if str(name.value) == part), None)
        if entry is None:
            return line
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line

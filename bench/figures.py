"""Figures of the benchmarks: one shape, one file per topic, and the machine that gave them."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured figure, the bar it has to reach (None: no bar), and what it takes to measure it again."""

    name: str
    value: float
    unit: str
    bar: str | None
    holds: bool | None
    size: str
    seed: int | list[int]
    command: str
    reference: str = ""
    low: float | None = None
    high: float | None = None
    machine: str = ""


def at_least(value: float, bar: float) -> dict[str, Any]:
    """Return value and bar, reached from below."""
    return {"value": value, "bar": f">= {bar:g}", "holds": value >= bar}


def at_most(value: float, bar: float) -> dict[str, Any]:
    """Return value and bar, reached from above."""
    return {"value": value, "bar": f"<= {bar:g}", "holds": value <= bar}


def without_bar(value: float) -> dict[str, Any]:
    """Return a value that only stands beside others."""
    return {"value": value, "bar": None, "holds": None}


def machine() -> str:
    """Return processor, cores and Python."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def record(
    topic: str, figures: Iterable[Figure], *, path: Path | None = None, replaces: tuple[str, ...] = ()
) -> list[Figure]:
    """Print figures and lay them over those of the same name and seed in the topic's file; return them in full.

    Whatever has a name that starts with one of `replaces` goes too, also when it was not measured again.
    """
    target = path or RESULTS / f"{topic}.json"
    found = [_complete(each) for each in figures]
    measured = [(each.name, each.seed) for each in found]
    kept = [
        each
        for each in _read(target)
        if (each["name"], each["seed"]) not in measured and not each["name"].startswith(replaces)
    ]
    target.parent.mkdir(exist_ok=True)
    lines = [*kept, *(_as_dict(each) for each in found)]
    target.write_text(json.dumps(lines, indent=2, ensure_ascii=False) + "\n")
    for each in found:
        verdict = {True: "holds", False: "FALLS SHORT", None: ""}[each.holds]
        print(f"{each.name:75} {each.value:12.4f} {each.unit:8} {each.bar or '':22} {verdict}", flush=True)
    return found


def _complete(figure: Figure) -> Figure:
    return Figure(**{**asdict(figure), "value": round(figure.value, 4), "machine": figure.machine or machine()})


def _as_dict(figure: Figure) -> dict[str, Any]:
    spread = {"low", "high"}  # only where they were measured; every row has all the other keys
    return {name: value for name, value in asdict(figure).items() if value is not None or name not in spread}


def _read(target: Path) -> list[dict[str, Any]]:
    return json.loads(target.read_text()) if target.exists() else []

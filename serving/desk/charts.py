"""Charts as coordinates, which `templates/charts.html` draws as SVG: lines with bands, bars, triangles of shares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 600, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 22
BAR, LABELS, VALUES = 26, 220, 100
CELL_WIDTH, CELL_HEIGHT, COHORTS = 44, 26, 150
_LEAST_CELLS = 10  # a picture of fewer would be drawn too large
_TICKS = 3
_SHADES = 10
Place = date | int  # a day, or a number of months


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: its points as SVG wants them, the band around it, and which of the colours it has."""

    name: str
    points: str
    dots: tuple[tuple[float, float], ...]
    band: str = ""


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over days or months. `ticks` are heights of round values; `events` where something happened, and what."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, float], ...]
    first: Place
    last: Place
    events: tuple[tuple[float, str, str], ...] = ()
    height: int = HEIGHT


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar from zero, with the ends of its interval where there is one."""

    name: str
    value: float
    y: float
    x: float
    width: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Bars below one another, the zero among them at `zero`."""

    bars: tuple[Bar, ...]
    zero: float
    height: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One share of a triangle: where it stands, how dark it is (0 to 9), and what is written in it and about it."""

    x: float
    shade: int
    value: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """One row of a triangle; without cells where it is too small."""

    name: str
    y: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Triangle:
    """Shares by cohort and the months since; a month that is not known has no cell."""

    cohorts: tuple[Cohort, ...]
    months: tuple[tuple[int, float], ...]
    width: int
    height: int


Point = tuple[Place, float | None]
Banded = tuple[Place, float | None, float | None]


def draw_lines(
    series: Mapping[str, Sequence[Point]],
    *,
    bands: Mapping[str, Sequence[Banded]] | None = None,
    events: Iterable[tuple[Place, str, str]] = (),
    bounds: tuple[float, float] | None = None,
) -> LineChart | None:
    """Return a chart of lines over the same days, or months; None where fewer than two of them have a value.

    Args:
        series: by name, days with values; days without one are left out.
        bands: by the same names, days with the low and the high end around the line.
        events: days, the kind of what happened then, and its words; those outside the days of the lines are left out.
        bounds: the lowest and the highest value of the axis; those of the values by default.
    """
    known = {name: [(day, value) for day, value in points if value is not None] for name, points in series.items()}
    days = sorted({day for points in known.values() for day, _ in points}, key=_order)
    if len(days) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    around = {name: [(day, low, high) for day, low, high in rows if low is not None and high is not None]
              for name, rows in (bands or {}).items()}  # fmt: skip
    values = [value for points in known.values() for _, value in points]
    values += [end for rows in around.values() for _, *ends in rows for end in ends]
    frame = _Frame(first=days[0], last=days[-1], low=min(values), high=max(values), bounds=bounds)
    return LineChart(
        lines=tuple(
            Line(name=name, points=frame.join(points), dots=tuple(frame.place(*point) for point in points),
                 band=frame.join_band(around.get(name, ())))
            for name, points in known.items()
        ),
        ticks=frame.ticks,
        first=days[0],
        last=days[-1],
        events=tuple(
            (frame.x(day), kind, text) for day, kind, text in events
            if _order(days[0]) <= _order(day) <= _order(days[-1])
        ),
    )  # fmt: skip


def draw_bars(rows: Iterable[tuple[str, float | None, float | None, float | None]]) -> BarChart | None:
    """Return a chart of bars; None where no row has a value.

    Args:
        rows: name, value, and the low and high end of its interval or None; rows without a value are left out.
    """
    known = [(name, value, low, high) for name, value, low, high in rows if value is not None]
    if not known:
        return None
    ends = [0.0, *(end for _, *figures in known for end in figures if end is not None)]
    low_end, span = min(ends), (max(ends) - min(ends)) or 1.0
    room = WIDTH - LABELS - VALUES  # a value stands behind its bar

    def at(value: float) -> float:
        return round(LABELS + room * (value - low_end) / span, 1)

    bars = tuple(
        Bar(
            name=name, value=value, y=4 + place * BAR, x=min(at(0), at(value)), width=abs(at(value) - at(0)),
            low=None if low is None else at(low), high=None if high is None else at(high),
        )
        for place, (name, value, low, high) in enumerate(known)
    )  # fmt: skip
    return BarChart(bars=bars, zero=at(0), height=8 + len(bars) * BAR)


def draw_triangle(rows: Iterable[tuple[str, Mapping[int, tuple[float, str]]]]) -> Triangle | None:
    """Return a triangle; None without a row.

    Args:
        rows: name of a cohort, and by months since its share, 0 to 1, with the words about it.
    """
    named = list(rows)
    if not named:
        return None
    last = max((month for _, shares in named for month in shares), default=0)

    def at(month: int) -> float:
        return COHORTS + month * CELL_WIDTH

    cohorts = tuple(
        Cohort(name=name, y=(place + 1) * CELL_HEIGHT, cells=tuple(
            Cell(x=at(month), shade=min(int(share * _SHADES), _SHADES - 1), value=share, text=text)
            for month, (share, text) in sorted(shares.items())
        ))
        for place, (name, shares) in enumerate(named)
    )  # fmt: skip
    return Triangle(
        cohorts=cohorts,
        months=tuple((month, at(month)) for month in range(last + 1)),
        width=COHORTS + max(last + 1, _LEAST_CELLS) * CELL_WIDTH,
        height=(len(named) + 1) * CELL_HEIGHT,
    )


def _order(place: Place) -> int:
    return place.toordinal() if isinstance(place, date) else place


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where a day and a value lie on the page."""

    first: Place
    last: Place
    low: float
    high: float
    bounds: tuple[float, float] | None

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value of the axis."""
        if self.bounds is not None:
            return self.bounds
        room = (self.high - self.low) * 0.1 or abs(self.high) * 0.1 or 1.0
        return self.low - room, self.high + room

    @property
    def ticks(self) -> tuple[tuple[float, float], ...]:
        """Values at even distances, with their heights."""
        low, high = self.ends
        values = [low + (high - low) * step / (_TICKS - 1) for step in range(_TICKS)]
        return tuple((value, self.y(value)) for value in values)

    def x(self, day: Place) -> float:
        """Return how far from the left a day lies."""
        share = (_order(day) - _order(self.first)) / ((_order(self.last) - _order(self.first)) or 1)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Return how far from the top a value lies."""
        low, high = self.ends
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)

    def place(self, day: Place, value: float) -> tuple[float, float]:
        """Return where a point lies."""
        return self.x(day), self.y(value)

    def join(self, points: Iterable[tuple[Place, float]]) -> str:
        """Return points as SVG wants them."""
        return " ".join(f"{self.x(day)},{self.y(value)}" for day, value in points)

    def join_band(self, rows: Sequence[tuple[Place, float, float]]) -> str:
        """Return the outline of a band as SVG wants it."""
        upper = [(day, high) for day, _, high in rows]
        lower = [(day, low) for day, low, _ in reversed(rows)]
        return self.join([*upper, *lower])

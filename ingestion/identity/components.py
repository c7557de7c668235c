"""Groups of records that are one customer: connected components that hold no contradiction.

Links are taken from the strongest to the weakest (Kruskal 1956), and one that would bring a contradiction into a group
is cut; so of the links on a contradictory path it is always the weakest that gives way, in whatever order rows came.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

LINKED, CUT, UNMERGED = "linked", "cut", "unmerged"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a record says that another may contradict; the lowest `rank` of a group survives.

    `rank` is the place of its source in the company file, the moment it came, and its id.
    """

    customer_id: str
    rank: tuple[int, str, str]
    kind: str | None = None
    birth_date: str | None = None
    is_profiled: bool = True


@dataclass(frozen=True, kw_only=True)
class Link:
    """Evidence that two records are the same customer's."""

    left_id: str
    right_id: str
    rule: str
    evidence: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a link: linked, cut or unmerged, and why."""

    link: Link
    state: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A person said that this customer id is not the same as the other, or, without an other, as any."""

    customer_id: str
    other_id: str | None = None


@dataclass(kw_only=True)
class _Group:
    records: list[str]
    kinds: set[str] = field(default_factory=set)
    birth_dates: set[str] = field(default_factory=set)
    is_profiled: bool = False


class Groups:
    """Groups of records under construction; `apart` is never brought together."""

    def __init__(self, records: Iterable[Record], apart: Collection[Apart]) -> None:
        """Begin with every record in a group of its own."""
        self._groups = {record.customer_id: _alone(record) for record in records}
        self._alone = {pair.customer_id for pair in apart if pair.other_id is None}
        self._apart: dict[str, set[str]] = {}
        for pair in apart:
            if pair.other_id is not None:
                self._apart.setdefault(pair.customer_id, set()).add(pair.other_id)
                self._apart.setdefault(pair.other_id, set()).add(pair.customer_id)

    def join(self, link: Link) -> tuple[str, str] | None:
        """Bring the two ends of a link together; returns state and reason when that must not be."""
        left, right = self._groups[link.left_id], self._groups[link.right_id]
        if left is right:
            return None
        refused = self._refusal(left, right, link.rule)
        if refused is None:
            self._merge(left, right)
        return refused

    def are_together(self, link: Link) -> bool:
        """Tell whether both ends of a link are in one group."""
        return self._groups[link.left_id] is self._groups[link.right_id]

    def found(self) -> list[list[str]]:
        """Return the groups of two records or more."""
        each = {id(group): group for group in self._groups.values()}
        return [group.records for group in each.values() if len(group.records) > 1]

    def _refusal(self, left: _Group, right: _Group, rule: str) -> tuple[str, str] | None:
        if self._is_kept_apart(left, right):
            return UNMERGED, "a person keeps them apart"
        if len(left.birth_dates | right.birth_dates) > 1:
            return CUT, "birth dates of the group differ"
        if len(left.kinds | right.kinds) > 1:
            return CUT, "one is a company, another a person"
        if left.is_profiled and right.is_profiled and rule.startswith("sole"):
            return CUT, "a record without a profile cannot join two customers"
        return None

    def _is_kept_apart(self, left: _Group, right: _Group) -> bool:
        both = (*left.records, *right.records)
        if self._alone and any(customer_id in self._alone for customer_id in both):
            return True
        small, large = sorted((left.records, right.records), key=len)
        kept = set().union(*(self._apart.get(customer_id, ()) for customer_id in small))
        return any(customer_id in kept for customer_id in large)

    def _merge(self, left: _Group, right: _Group) -> None:
        small, large = sorted((left, right), key=lambda group: len(group.records))
        large.records += small.records
        large.kinds |= small.kinds
        large.birth_dates |= small.birth_dates
        large.is_profiled |= small.is_profiled
        for customer_id in small.records:
            self._groups[customer_id] = large


def group(
    records: Sequence[Record], links: Iterable[Link], *, apart: Collection[Apart]
) -> tuple[list[Verdict], dict[str, str]]:
    """Return what became of every link, and the canonical id of every record of a group.

    The canonical id is the survivor's own: the record of the lowest rank. The order of the arguments does not matter.
    """
    groups = Groups(records, apart)
    ordered = sorted(links, key=lambda link: (-link.probability, link.left_id, link.right_id, link.rule, link.evidence))
    refused = {place: said for place, link in enumerate(ordered) if (said := groups.join(link)) is not None}
    verdicts = [
        Verdict(link=link, state=LINKED)
        if groups.are_together(link)
        else Verdict(link=link, state=refused[place][0], reason=refused[place][1])
        for place, link in enumerate(ordered)
    ]
    return verdicts, _survivors(records, groups.found())


def _survivors(records: Sequence[Record], found: Iterable[Sequence[str]]) -> dict[str, str]:
    ranks = {record.customer_id: record.rank for record in records}
    canonical: dict[str, str] = {}
    for members in found:
        canonical |= dict.fromkeys(members, min(members, key=ranks.__getitem__))
    return canonical


def _alone(record: Record) -> _Group:
    return _Group(
        records=[record.customer_id],
        kinds={record.kind} if record.kind else set(),
        birth_dates={record.birth_date} if record.birth_date else set(),
        is_profiled=record.is_profiled,
    )

"""Behaviour clusters: customers who act alike, named by what sets them apart, stable from month to month.

Values become their place in the population (0 to 1), so that no unit and no outlier weighs more than another. K-means
finds the groups, the silhouette their number; a later month's groups take over the ids of the groups they continue.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Feature, Floats

FEWEST_CUSTOMERS = 50
NUMBERS = range(3, 8)  # how many clusters are tried
LEARNED_FROM = 20_000  # rows drawn to find the centres
JUDGED_ON = 3_000  # rows drawn to judge a number of clusters
LEAST_FILLED = 0.8
MOST_ALIKE = 0.95  # share of the rows that may hold one value
TOO_CORRELATED = 0.9
MOST_MOVED = 0.2  # mean distance of a centre, in places, up to which a cluster is still the same one
TRAITS = 2
# What a cluster's kind is told from: of each, the mean place of the features that the company knows.
ACTIVITY = ("count_active_days_90d", "count_orders_90d", "count_usage_days_90d")
VALUE = ("amount_spent_365d", "amount_contracts_monthly", "balance_mean_90d")
LOW, HIGH = 0.4, 0.6  # places below and above which a level is low and high
LEVELS_ZH = {"low": "低", "medium": "中", "high": "高"}
MEASURES_ZH = {"activity": "活跃度", "value": "价值"}
MEMBERS = pa.schema([("as_of", pa.date32()), ("customer_id", pa.string()), ("cluster_id", pa.int64())])
# a lone 1, up to two adjectives, and a noun in the plural
_ONE_OF_MANY = re.compile(r"(?<![\d.,])1 ((?:(?!(?:of|in|per|a|on|for|at)\b)[a-z-]+ ){0,2}?)([a-z]+?)(ies|s)\b")
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cluster:
    """One cluster: its centre as the mean place (0 to 1) of its members in each feature, and its names.

    `kind` is how active and how valuable its members are, such as low_activity_high_value; None where the company knows
    neither.
    """

    cluster_id: int
    centre: Mapping[str, float]
    count_customers: int
    share: float
    name_en: str
    name_zh: str
    kind: str | None = None


@dataclass(frozen=True)
class Clustering:
    """Which customer belongs to which cluster at one `as_of`; no cluster when there are too few customers."""

    members: pa.Table
    clusters: tuple[Cluster, ...]


def find_clusters(
    table: pa.Table, features: Sequence[Feature], *, before: Sequence[Cluster] = (), seed: int = 0
) -> Clustering:
    """Find the clusters of one feature snapshot; `before` are those of an earlier snapshot, whose ids carry over.

    `table` has as_of, customer_id and numeric feature columns. The number of clusters is the one of the best silhouette
    (Rousseeuw 1987) on a seeded draw. The same snapshot, seed and `before` give the same clusters.
    """
    used = _choose(table, features) if table.num_rows >= FEWEST_CUSTOMERS else []
    if not used:
        return Clustering(members=MEMBERS.empty_table(), clusters=())
    places = _places(table, [feature.name for feature in used])
    centres = _learn(places, seed=seed)
    ids = _continue_ids(centres, [feature.name for feature in used], before)
    return _describe(table, used, places, centres=centres, ids=ids)


def assign_clusters(table: pa.Table, features: Sequence[Feature], *, clusters: Sequence[Cluster]) -> Clustering:
    """Place the customers of a later snapshot in the clusters found before, by the nearest centre."""
    if not clusters or table.num_rows == 0:
        return Clustering(members=MEMBERS.empty_table(), clusters=())
    names = list(clusters[0].centre)
    by_name = {feature.name: feature for feature in features}
    centres = np.array([[cluster.centre[name] for name in names] for cluster in clusters])
    ids = np.array([cluster.cluster_id for cluster in clusters])
    placed = _describe(table, [by_name[name] for name in names], _places(table, names), centres=centres, ids=ids)
    found = {cluster.cluster_id: cluster for cluster in placed.clusters}
    kept = [_keep_name(cluster, found.get(cluster.cluster_id)) for cluster in clusters]
    return Clustering(members=placed.members, clusters=tuple(kept))


def _keep_name(named: Cluster, counted: Cluster | None) -> Cluster:
    count, share = (counted.count_customers, counted.share) if counted else (0, 0.0)
    return replace(named, count_customers=count, share=share)


def _choose(table: pa.Table, features: Sequence[Feature]) -> list[Feature]:
    """Return the features that distinguish customers, none of which repeats another."""
    usable = [
        feature for feature in features if feature.name in table.column_names and _distinguishes(table, feature.name)
    ]
    if not usable:
        return []
    places = _places(table, [feature.name for feature in usable])
    alike = np.abs(np.corrcoef(places, rowvar=False)).reshape(len(usable), len(usable))
    kept: list[int] = []
    for index in range(len(usable)):
        if not any(alike[index, other] > TOO_CORRELATED for other in kept):
            kept.append(index)
    return [usable[index] for index in kept]


def _distinguishes(table: pa.Table, name: str) -> bool:
    column = table.column(name)
    if column.null_count > (1 - LEAST_FILLED) * len(column):
        return False
    counts = pc.value_counts(column.combine_chunks()).field("counts")
    return bool(pc.max(counts).as_py() <= MOST_ALIKE * len(column))


def _places(table: pa.Table, names: Sequence[str]) -> Floats:
    """Return each value's place among all values of its column, ties sharing the middle; the unknown stand at 0.5."""
    return np.column_stack([_place(table.column(name).to_numpy(zero_copy_only=False).astype(float)) for name in names])


def _place(values: Floats) -> Floats:
    known = np.sort(values[~np.isnan(values)])
    below = np.searchsorted(known, values, side="left") + np.searchsorted(known, values, side="right")
    return np.where(np.isnan(values), 0.5, below / max(2 * len(known), 1))


def _learn(places: Floats, *, seed: int) -> Floats:
    """Return the centres of the number of clusters with the best silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(seed)
    drawn = places[np.sort(rng.permutation(len(places))[:LEARNED_FROM])]
    judged = drawn[np.sort(rng.permutation(len(drawn))[:JUDGED_ON])]
    found = []
    for number in NUMBERS:
        model = KMeans(number, n_init=4, random_state=seed).fit(drawn)
        nearest = model.predict(judged)
        score = silhouette_score(judged, nearest) if len(set(nearest)) > 1 else -1.0
        found.append((score, -number, model.cluster_centers_))
    best: Floats = max(found, key=lambda each: each[:2])[2]
    return best[np.lexsort(best.T[::-1])]


def _continue_ids(centres: Floats, names: Sequence[str], before: Sequence[Cluster]) -> Numbers:
    """Return an id per centre: that of the earlier cluster it continues, else the next free one."""
    from scipy.optimize import linear_sum_assignment

    ids = np.zeros(len(centres), dtype=np.int64)
    shared = [name for name in names if before and name in before[0].centre]
    if shared:
        now = centres[:, [names.index(name) for name in shared]]
        then = np.array([[cluster.centre[name] for name in shared] for cluster in before])
        moved = np.abs(now[:, None, :] - then[None, :, :]).mean(axis=2)
        for new, old in zip(*linear_sum_assignment(moved), strict=True):
            if moved[new, old] <= MOST_MOVED:
                ids[new] = before[old].cluster_id
    free = max((cluster.cluster_id for cluster in before), default=0)
    for new in np.flatnonzero(ids == 0):
        free += 1
        ids[new] = free
    return ids


def _describe(
    table: pa.Table, features: Sequence[Feature], places: Floats, *, centres: Floats, ids: Numbers
) -> Clustering:
    nearest = _nearest(places, centres)
    clusters = []
    for number in np.argsort(ids):
        mine = nearest == number
        if mine.any():
            levels = _levels(table, mine)
            names = _name(table, features, places[mine].mean(axis=0), mine=mine, levels=levels)
            centre = {feature.name: round(float(at), 6) for feature, at in zip(features, centres[number], strict=True)}
            clusters.append(
                Cluster(
                    cluster_id=int(ids[number]),
                    centre=centre,
                    count_customers=int(mine.sum()),
                    share=float(mine.mean()),
                    name_en=names[0],
                    name_zh=names[1],
                    kind="_".join(f"{level}_{what}" for what, level in levels.items()) or None,
                )
            )
    columns = [table.column("as_of").cast(pa.date32()), table.column("customer_id"), pa.array(ids[nearest])]
    return Clustering(members=pa.table(columns, schema=MEMBERS), clusters=tuple(clusters))


def _levels(table: pa.Table, mine: npt.NDArray[np.bool_]) -> dict[str, str]:
    """Return whether activity and value of some rows are low, medium or high, of those that anything is known about."""
    levels = {}
    for what, names in {"activity": ACTIVITY, "value": VALUE}.items():
        known = [name for name in names if name in table.column_names and _distinguishes(table, name)]
        if known:
            place = float(_places(table, known)[mine].mean())
            levels[what] = "low" if place < LOW else "high" if place > HIGH else "medium"
    return levels


def _nearest(places: Floats, centres: Floats) -> npt.NDArray[np.intp]:
    """Return the nearest centre of each row: the largest of 2xc - cc, which orders as the distance does."""
    found: npt.NDArray[np.intp] = (2 * places @ centres.T - (centres**2).sum(axis=1)).argmax(axis=1)
    return found


def _name(
    table: pa.Table,
    features: Sequence[Feature],
    centre: Floats,
    *,
    mine: npt.NDArray[np.bool_],
    levels: Mapping[str, str],
) -> tuple[str, str]:
    """Return in two languages a cluster's levels and what sets it apart: its farthest features, one for each reason."""
    traits = list(_traits(features, centre))[:TRAITS]
    medians = [
        float(np.nanmedian(table.column(f.name).to_numpy(zero_copy_only=False)[mine].astype(float))) for f in traits
    ]
    pairs = [(f, 0.0 if np.isnan(value) else value) for f, value in zip(traits, medians, strict=True)]
    english = ", ".join(in_singular(feature.en.format(value=value)) for feature, value in pairs)
    chinese = ",".join(feature.zh.format(value=value) for feature, value in pairs)
    if not levels:
        return english, chinese
    level_en = ", ".join(f"{level} {what}" for what, level in levels.items())
    level_zh = ",".join(MEASURES_ZH[what] + LEVELS_ZH[level] for what, level in levels.items())
    return f"{level_en}: {english}", f"{level_zh}:{chinese}"


def in_singular(phrase: str) -> str:
    """Return a phrase of the library with the noun of a 1 in the singular: "1 late delivery in the last 30 days"."""
    return _ONE_OF_MANY.sub(lambda found: f"1 {found[1]}{found[2]}{'y' if found[3] == 'ies' else ''}", phrase)


def _traits(features: Sequence[Feature], centre: Floats) -> Iterator[Feature]:
    seen: set[str] = set()
    for index in np.argsort(-np.abs(centre - 0.5), kind="stable"):
        feature = features[index]
        if feature.reason not in seen:
            seen.add(feature.reason)
            yield feature

"""What becomes of a version: promoted by policy, or after a person's review; rolled back by name. All is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.registry import (
    APPROVED,
    AWAITING,
    CHAMPION,
    COMMENT,
    LIFECYCLE_REASON,
    LIFECYCLE_STATUS,
    PENDING,
    PROMOTED,
    REFUSED,
    REJECTED,
    REVIEW,
    REVIEWER,
    ROLLED_BACK,
    SOUND,
)
from ml.training.promotion import Decision
from orchestration.control.model_events import ModelEvents

if TYPE_CHECKING:
    from ml.registry import Registry
    from retention.store.store import Store

POLICY = "policy"
SOMEBODY = "a person on the MLflow page"
DECISION, PROMOTABLE, AGAINST, REQUEST = "decision", "is_promotable", "judged_against", "request_id"
NOBODY = "nobody"  # what the first version is judged against


@dataclass(frozen=True)
class Outcome:
    """What became of a version, and why, in one sentence."""

    version: str
    lifecycle_status: str
    reason: str


def judge(
    registry: "Registry",
    store: "Store",
    version: str,
    decision: Decision,
    *,
    against: str | None,
    at: datetime,
    request_id: str | None = None,
) -> Outcome:
    """Write what the policy decided about a new version on it, and act on it: promote, refuse, or wait for a person.

    `against` is the champion it was compared with. What was settled before stays: a version that a person rolled back
    or rejected is never promoted by a training that is repeated.
    """
    tags = _tags(registry, version)
    if _is_closed(tags, against=against):
        return Outcome(version, tags[LIFECYCLE_STATUS], tags.get(DECISION, decision.reason))
    written = {DECISION: decision.reason, PROMOTABLE: _say(decision.promote), AGAINST: against or NOBODY}
    written[SOUND] = _say(decision.is_sound)
    registry.annotate(version, written | ({REQUEST: request_id} if request_id else {}))
    if not decision.promote:
        return _close(registry, version, REFUSED, decision.reason)
    if _verdict(tags) != APPROVED:
        return _close(registry, version, AWAITING, f"waits for a review: {decision.reason}")
    return _promote(registry, store, version, by=tags.get(REVIEWER) or POLICY, reason=decision.reason, at=at)


def _is_closed(tags: Mapping[str, str], *, against: str | None) -> bool:
    """Say whether nothing that a repeated training finds may change what became of a version."""
    status = tags.get(LIFECYCLE_STATUS)
    if status == REFUSED:
        return _verdict(tags) == REJECTED or tags.get(AGAINST) == (against or NOBODY)
    return status in {ROLLED_BACK, PROMOTED}


def settle_reviews(registry: "Registry", store: "Store", *, at: datetime) -> tuple[Outcome, ...]:
    """Carry out what people have decided about the versions that wait; the newest first.

    A version that was approved becomes champion when it passed the policy's decision and the champion is still the
    one that it was compared with; otherwise it is refused, and says why. Run again, it finds nothing left to do.
    """
    waiting = [tags for tags in reversed(registry.versions()) if tags.get(LIFECYCLE_STATUS) == AWAITING]
    return tuple(outcome for tags in waiting if (outcome := _settle(registry, store, tags, at=at)) is not None)


def review(
    registry: "Registry", store: "Store", version: str, *, approve: bool, by: str, comment: str, at: datetime
) -> Outcome:
    """Record a person's verdict on a version and carry it out; raises ValueError where it has the opposite already."""
    registry.read(version)
    ModelEvents(store).review(version, approve=approve, by=by, comment=comment, at=at)
    registry.review(version, approved=approve, comment=comment, by=by)
    tags = _tags(registry, version)
    if tags.get(LIFECYCLE_STATUS) != AWAITING:
        return Outcome(
            version, tags.get(LIFECYCLE_STATUS, "undecided"), tags.get(DECISION, "its training has not ended")
        )
    return _settle(registry, store, tags, at=at) or Outcome(version, AWAITING, "still waits")


def roll_back(registry: "Registry", store: "Store", *, by: str, reason: str, at: datetime) -> Outcome:
    """Give the title back to the version before the champion, by name and with a reason; scores follow at the next run.

    Raises RegistryError where there is no earlier champion.
    """
    if not by.strip() or not reason.strip():
        raise ValueError("Rolling back needs the name of a person and a reason; pass both.")
    version = registry.roll_back(by=by, reason=reason)
    ModelEvents(store).move_champion(version, by=by, comment=reason, at=at, rolled_back=True)
    return Outcome(version, PROMOTED, reason)


def find_unread(registry: "Registry") -> tuple[str, ...]:
    """Return the versions that wait with a review state that is no verdict, such as a typing error."""
    waiting = [tags for tags in registry.versions() if tags.get(LIFECYCLE_STATUS) == AWAITING]
    return tuple(tags["version"] for tags in waiting if _verdict(tags) not in {PENDING, APPROVED, REJECTED})


def _settle(registry: "Registry", store: "Store", tags: Mapping[str, str], *, at: datetime) -> Outcome | None:
    """Carry out the verdict on one version; None while there is none."""
    version, verdict = tags["version"], _verdict(tags)
    if verdict not in {APPROVED, REJECTED}:
        return None
    by, comment = tags.get(REVIEWER) or SOMEBODY, tags.get(COMMENT, "")
    first = ModelEvents(store).find_review(
        version
    )  # a verdict stands: whoever changes the tag afterwards trains a new version
    if first is None:
        ModelEvents(store).review(version, approve=verdict == APPROVED, by=by, comment=comment, at=at)
    elif first.event != verdict:
        verdict, by, comment = first.event, first.decided_by, first.comment
    registry.annotate(version, {REVIEW: verdict})
    if verdict == REJECTED:
        return _close(registry, version, REFUSED, f"rejected by {by}: {comment}")
    obstacle = _obstacle(tags, champion=registry.aliases().get(CHAMPION))
    if obstacle is not None:
        return _close(registry, version, REFUSED, f"approved by {by}, but {obstacle}")
    return _promote(registry, store, version, by=by, reason=comment or f"approved by {by}", at=at)


def _obstacle(tags: Mapping[str, str], *, champion: str | None) -> str | None:
    """Return why an approved version may not become champion all the same."""
    if tags.get(PROMOTABLE) != _say(True):
        return f"it does not pass the promotion: {tags.get(DECISION, 'never decided')}"
    if champion == tags["version"]:  # a settling that was killed half way
        return None
    if tags.get(AGAINST) != (champion or NOBODY):
        return f"it was compared with version {tags.get(AGAINST)}, and the champion is {champion} now; train again"
    return None


def _promote(registry: "Registry", store: "Store", version: str, *, by: str, reason: str, at: datetime) -> Outcome:
    """Move the alias, record the move, and write it on the version, in this order: each step may be repeated."""
    registry.promote(version)
    request = _tags(registry, version).get(REQUEST)
    ModelEvents(store).move_champion(version, by=by, comment=reason, at=at, request_id=request)
    return _close(registry, version, PROMOTED, reason)


def _close(registry: "Registry", version: str, status: str, reason: str) -> Outcome:
    registry.annotate(version, {LIFECYCLE_STATUS: status, LIFECYCLE_REASON: reason})
    return Outcome(version, status, reason)


def _verdict(tags: Mapping[str, str]) -> str:
    return tags.get(REVIEW, PENDING).strip().lower()


def _tags(registry: "Registry", version: str) -> dict[str, str]:
    return {**registry.read(version).metadata, "version": version}


def _say(yes: bool) -> str:  # noqa: FBT001 - the answer itself
    return "yes" if yes else "no"

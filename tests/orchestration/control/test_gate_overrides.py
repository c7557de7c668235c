from datetime import UTC, date, datetime

import pytest

from orchestration.control.gate_overrides import GateOverrides
from retention.store.store import Store

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)


def test_a_gate_is_overridden_by_name_for_one_seam_and_day(store: Store) -> None:
    GateOverrides(store).grant("scores", AS_OF, by="ann", reason="known gap in November", at=AT)
    found = [GateOverrides(store).find("scores", AS_OF), GateOverrides(store).find("scores", date(2017, 12, 2))]
    assert found[1] is None
    assert found[0] is not None
    assert (found[0].granted_by, found[0].reason) == ("ann", "known gap in November")
    assert GateOverrides(store).find("plans", AS_OF) is None


def test_a_second_override_of_the_same_gate_keeps_the_first(store: Store) -> None:
    first = GateOverrides(store).grant("scores", AS_OF, by="ann", reason="known gap", at=AT)
    assert GateOverrides(store).grant("scores", AS_OF, by="bob", reason="me too", at=AT) == first
    assert GateOverrides(store).read()["granted_by"].tolist() == ["ann"]


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("ann", " ")])
def test_an_override_without_a_name_or_a_reason_is_refused(sqlite_store: Store, by: str, reason: str) -> None:
    with pytest.raises(ValueError, match="needs the name of a person and a reason"):
        GateOverrides(sqlite_store).grant("scores", AS_OF, by=by, reason=reason, at=AT)

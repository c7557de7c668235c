"""The first snapshot of all is judged by ranges alone."""

from expectations.features import FeatureRange, judge_by_range_alone


def test_in_a_short_history_features_may_be_empty_or_constant_but_keep_their_range() -> None:
    (found,) = judge_by_range_alone([FeatureRange(name="recency_days", low=0, high=9, null_share=0.1)])
    assert found == FeatureRange(name="recency_days", low=0, high=9, null_share=1.0, may_be_constant=True)

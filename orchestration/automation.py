"""The clockwork: what runs when, and what asks for a retrain."""

import dagster as dg

from orchestration.partitions import DAYS, MONTHS

# tags of a retraining run: what asked for it, which request, and on which day
TRIGGER, REQUEST, ASKED_ON = "holdfast/trigger", "holdfast/request", "holdfast/as_of"
TRAINING = dg.AssetSelection.groups("training")
LINE = dg.AssetSelection.all() - TRAINING
REFRESH = dg.AssetSelection.groups("sources", "identity", "staging", "intermediate", "customer_360", "features")

nightly = dg.define_asset_job(
    "nightly", LINE, partitions_def=DAYS, description="Sources to recorded actions and their outcomes, for one day."
)
retrain = dg.define_asset_job(
    "retrain", TRAINING, partitions_def=MONTHS, description="Train, register as challenger, promote when it is better."
)

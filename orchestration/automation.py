"""The clockwork: what runs when, and what asks for a retrain."""

import dagster as dg

from orchestration.partitions import TRAINING as TRAINING_GROUP

# tags of a retraining run: what asked for it, which request, and on which day
TRIGGER, REQUEST, ASKED_ON = "holdfast/trigger", "holdfast/request", "holdfast/asked_on"
SEND = "holdfast/send"  # tag of a run that really sends the messages of a day that is over
COMPANY, AS_OF = "holdfast/company", "holdfast/as_of"  # tags of every run
TRAINING = dg.AssetSelection.groups(TRAINING_GROUP)
PIPELINE = dg.AssetSelection.all() - TRAINING
REFRESH = dg.AssetSelection.groups(
    "sources", "identity", "staging", "bookkeeping", "intermediate", "customer_360", "features"
)

nightly = dg.define_asset_job(
    "nightly", PIPELINE, description="Sources to recorded actions and their outcomes, for one day."
)
retrain = dg.define_asset_job(
    "retrain", TRAINING, description="Train, register as challenger, promote when it is better."
)

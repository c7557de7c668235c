"""A month that was missed can be trained later, from what was known then."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from instance import Instance

MISSED = "2024-09-01"
TRAIN = """
import json, os, sys
import dagster as dg
from orchestration.automation import retrain
from orchestration.definitions import build_definitions
from orchestration.deployment import load_deployment
from orchestration.resources import open_registry
from orchestration.settings import read_settings

deployment = load_deployment(read_settings(os.environ))
job = build_definitions(deployment).resolve_job_def(retrain.name)
versions = []
for _ in range(2):
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(partition_key=sys.argv[1], instance=instance)
    assert done.success
    registry = open_registry(deployment.settings)
    versions.append([[each["version"], each["as_of"]] for each in registry.versions()])
print("RESULT" + json.dumps({"versions": versions, "aliases": registry.aliases()}))
"""


def copy_house(instance: Instance, folder: Path) -> Instance:
    """Copy an instance with its registry, whose addresses of artifacts are those of the copy."""
    copy = Instance(folder=instance.folder, home=folder / "home")
    shutil.copytree(instance.home, copy.home)
    with sqlite3.connect(copy.home / "mlflow" / "mlflow.db") as connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("model_versions", "source"),
        ):
            moved = f"update {table} set {column} = replace({column}, ?, ?)"
            connection.execute(moved, (str(instance.home), str(copy.home)))
    return copy


def test_a_missed_month_is_trained_later_from_what_was_known_then_and_only_once(
    finished_instance: Instance, tmp_path: Path
) -> None:
    instance = copy_house(finished_instance, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN, MISSED],
        env=os.environ | instance.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RESULT" in done.stdout, done.stdout + done.stderr
    found = json.loads(done.stdout.rsplit("RESULT", maxsplit=1)[1])

    first, again = found["versions"]
    assert sorted(as_of for _, as_of in first) == [MISSED, "2024-10-01"]
    assert again == first
    assert found["aliases"]["champion"] == "1"
    data = [json.loads(path.read_text()) for path in (instance.home / "mlflow" / "artifacts").rglob("data.json")]
    (missed,) = (each for each in data if each["labels_until"] == MISSED)
    assert max(missed["snapshots"]) < MISSED
    assert max(max(each["snapshots"]) for each in data) > max(missed["snapshots"])

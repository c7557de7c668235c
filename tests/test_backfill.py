"""A month that was missed can be trained later, from what was known then."""

import json
from pathlib import Path

from instance import PreparedRun

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


def test_a_missed_month_is_trained_later_from_what_was_known_then_and_only_once(
    prepared_run: PreparedRun, tmp_path: Path
) -> None:
    instance = prepared_run.copy(tmp_path / "home")
    done = instance.execute(TRAIN, MISSED)
    assert "RESULT" in done.stdout, done.stdout
    found = json.loads(done.stdout.rsplit("RESULT", maxsplit=1)[1])

    first, again = found["versions"]
    assert sorted(as_of for _, as_of in first) == [MISSED, "2024-10-01"]
    assert again == first
    assert found["aliases"]["champion"] == "1"
    data = [json.loads(path.read_text()) for path in (instance.home / "mlflow" / "artifacts").rglob("data.json")]
    (missed,) = (each for each in data if each["labels_until"] == MISSED)
    assert max(missed["snapshots"]) < MISSED
    assert max(max(each["snapshots"]) for each in data) > max(missed["snapshots"])

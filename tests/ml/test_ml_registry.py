import os
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import processes
import pyarrow as pa
import pytest

from ml.registry import FIGURES, Registry, RegistryError, create_database
from ml.training.monthly import Training
from ml.training.train import Fitted
from ml.training.tune import TrialRecord

STOP_AT = """
import pickle, sys, time
from pathlib import Path
from ml.registry import Registry

address, name, artifacts, step, fitted, reached = sys.argv[1:]

def stop(*given, **named):
    Path(reached).touch()
    time.sleep(600)

setattr(Registry, step, stop)
model = pickle.loads(Path(fitted).read_bytes())
Registry(address, name, artifacts=artifacts).register(model, as_of="2025-07-01", fingerprint="f", trigger="t")
"""


def files(registry: Registry) -> Path:
    """Return the folder of the registry's runs."""
    assert registry.artifacts is not None
    return Path(registry.artifacts)


def register(registry: Registry, fitted: Fitted, fingerprint: str = "f", *, review: bool = False) -> str:
    return registry.register(
        fitted,
        as_of="2025-07-01",
        fingerprint=fingerprint,
        trigger="monthly",
        tags={"gate": "passed"},
        run_url="http://127.0.0.1/runs/1",
        documents={"card.html": b"<html></html>"},
        review=review,
    )


def numbers(registry: Registry) -> list[str]:
    return [str(each.version) for each in registry._versions()]


def test_a_registered_version_is_challenger_and_not_champion(registry: Registry, small: Fitted) -> None:
    version = register(registry, small)

    assert registry.champion() is None
    assert registry.aliases() == {"challenger": version}
    assert registry.read(version).metadata == {
        "state": "complete",
        "data_fingerprint": "f",
        "as_of": "2025-07-01",
        "trigger": "monthly",
        "candidate": "logistic_regression",
        "trained_until": "2025-06-01",
        "training_rows": "2400",
        "model_hash": small.model.fingerprint,
        **{name: f"{small.evaluations[small.chosen].as_dict()[name]:.4f}" for name in FIGURES},
        "review_state": "approved",
        "run_url": "http://127.0.0.1/runs/1",
        "gate": "passed",
    }


def test_a_version_promoted_on_a_server_scores_to_the_bit_like_the_model_that_was_trained(
    server: str, small: Fitted, table: pa.Table
) -> None:
    registry = Registry(server)
    registry.promote(register(registry, small))

    champion = registry.champion()

    assert champion is not None
    assert (champion.model.predict(table) == small.model.predict(table)).all()
    assert set(registry.aliases()) == {"champion"}


def test_training_again_on_the_same_data_gives_the_same_version(registry: Registry, small: Fitted) -> None:
    first, second = register(registry, small), register(registry, small)

    assert first == second
    assert numbers(registry) == [first]


def test_a_rollback_gives_the_title_back_to_the_version_before(registry: Registry, small: Fitted) -> None:
    first, second = register(registry, small, "a"), register(registry, small, "b")
    registry.promote(first)
    registry.promote(second)

    found = registry.roll_back(by="ann", reason="too many false alarms")

    champion = registry.champion()
    assert champion is not None
    assert (found, champion.version) == (first, first)
    left = registry.read(second).metadata
    assert (left["lifecycle_status"], left["review_comment"], left["reviewed_by"]) == (
        "rolled_back",
        "too many false alarms",
        "ann",
    )
    with pytest.raises(RegistryError, match="review_state is 'rejected'"):
        registry.promote(second)


def test_a_training_repeated_after_a_rollback_does_not_make_its_version_challenger_again(
    registry: Registry, small: Fitted
) -> None:
    first, second, third = (register(registry, small, name) for name in "abc")
    registry.promote(first)

    register(registry, small, "b")

    assert registry.aliases() == {"champion": first, "challenger": third}
    assert second not in registry.aliases().values()


def test_tags_of_a_version_that_was_registered_before_a_rename_are_read_by_their_names_of_today(
    registry: Registry, small: Fitted
) -> None:
    version = register(registry, small)
    registry.annotate(version, {"standing": "awaiting_review", "standing_reason": "waits"})

    tags = registry.read(version).metadata

    assert (tags["lifecycle_status"], tags["lifecycle_reason"], "standing" in tags) == (
        "awaiting_review",
        "waits",
        False,
    )
    assert registry.versions()[0]["lifecycle_status"] == "awaiting_review"
    registry.annotate(version, {"lifecycle_status": "promoted"})
    assert registry.read(version).metadata["lifecycle_status"] == "promoted"


def test_a_version_that_does_not_exist_is_named_with_the_fix(registry: Registry, small: Fitted) -> None:
    register(registry, small)

    with pytest.raises(RegistryError, match=r"no version 9 of model 'churn-.*holdfast model list"):
        registry.read("9")


def test_there_is_nothing_to_roll_back_to_before_the_second_promotion(registry: Registry, small: Fitted) -> None:
    registry.promote(register(registry, small))

    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.roll_back(by="ann", reason="a test")


@pytest.mark.parametrize("step", ["_write_version", "_finish", "_point"])
def test_a_training_killed_while_it_registers_leaves_no_champion_and_one_version_when_repeated(
    registry: Registry, small: Fitted, tmp_path: Path, step: str
) -> None:
    _kill_at(step, registry, small, tmp_path)
    assert registry.aliases() == {}
    finished = {each["version"] for each in registry.versions()}
    assert len(finished) == (step == "_point")
    for version in set(numbers(registry)) - finished:
        with pytest.raises(RegistryError, match="never finished"):
            registry.promote(version)

    version = register(registry, small)

    assert numbers(registry) == [version]
    assert registry.aliases() == {"challenger": version}


def _kill_at(step: str, registry: Registry, fitted: Fitted, folder: Path) -> None:
    reached, model = folder / "reached", folder / "fitted.pickle"
    model.write_bytes(pickle.dumps(fitted))
    arguments = [registry.tracking_uri, registry.model_name, str(registry.artifacts), step, str(model), str(reached)]
    kill_when(reached.exists, STOP_AT, *arguments, folder=folder)
    assert reached.exists()


def kill_when(is_time: Callable[[], bool], code: str, *arguments: str, folder: Path) -> None:
    """Run code in a process of its own and kill it as soon as it is time."""
    output = folder / "output.txt"
    process = processes.start(code, *arguments, environment=os.environ, folder=folder, output=output)
    while not is_time():
        assert process.exitcode is None, output.read_text()
        time.sleep(0.005)
    process.kill()


def test_a_version_whose_content_was_changed_is_refused(registry: Registry, small: Fitted) -> None:
    version = register(registry, small)
    written = next(files(registry).rglob("model.json"))
    other = replace(small.model, weights={"logistic_regression": 0.5})
    written.write_bytes(other.to_bytes())

    with pytest.raises(RegistryError, match="does not have the content"):
        registry.promote(version)


def test_a_version_that_waits_for_review_is_promoted_only_after_approval(registry: Registry, small: Fitted) -> None:
    version = register(registry, small, review=True)
    with pytest.raises(RegistryError, match="review_state is 'pending'"):
        registry.promote(version)

    registry.review(version, approved=True, comment="figures looked at")
    registry.promote(version)

    champion = registry.champion()
    assert champion is not None
    assert (champion.metadata["review_state"], champion.metadata["review_comment"]) == ("approved", "figures looked at")


def test_a_rejected_version_never_becomes_champion(registry: Registry, small: Fitted) -> None:
    version = register(registry, small, review=True)
    registry.review(version, approved=False, comment="unfair")

    with pytest.raises(RegistryError, match="review_state is 'rejected'"):
        registry.promote(version)


def test_no_artifact_holds_a_customer_or_an_example_row(registry: Registry, small: Fitted, table: pa.Table) -> None:
    register(registry, small)

    written = {path.name: path.read_bytes() for path in files(registry).rglob("*") if path.is_file()}

    assert set(written) == {
        "MLmodel",
        "card.html",
        "conda.yaml",
        "evaluation.json",
        "model.json",
        "python_env.yaml",
        "requirements.txt",
    }
    customers = {name.encode() for name in table.column("customer_id").to_pylist() if len(name) > 3}
    assert [name for name, content in written.items() if any(b'"' + each + b'"' in content for each in customers)] == []


def test_mlflow_itself_can_load_and_call_a_version_from_a_database_without_a_server(
    tmp_path: Path, small: Fitted, table: pa.Table
) -> None:
    from mlflow import pyfunc

    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", artifacts=str(tmp_path / "files"))
    register(registry, small)
    folder = next((tmp_path / "files").rglob("MLmodel")).parent

    found = pyfunc.load_model(str(folder)).predict(table.to_pandas().head(5))

    assert found["probability"].tolist() == small.model.predict(table.slice(0, 5)).tolist()


def test_a_database_killed_while_it_is_created_is_made_anew_and_one_that_stands_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mlflow" / "mlflow.db"
    called = f"create_database(Path({str(path)!r}), artifacts='file:///nowhere')"
    command = f"from pathlib import Path; from ml.registry import create_database; {called}"
    kill_when(lambda: bool(list(path.parent.glob("mlflow.db.new*"))), command, folder=tmp_path)
    assert not path.exists()
    create_database(path, artifacts=tmp_path.as_uri())
    assert Registry(f"sqlite:///{path}", artifacts=tmp_path.as_uri()).champion() is None
    stands = path.stat().st_mtime_ns
    create_database(path, artifacts=tmp_path.as_uri())
    assert path.stat().st_mtime_ns == stands


def test_lead_times_live_with_their_version_and_are_read_back_by_their_hash(
    registry: Registry, training: Training, table: pa.Table
) -> None:
    models = {lead: each.model for lead, each in training.lead_times.fitted.items()}
    version = registry.register(
        training.fitted, as_of="2025-07-01", fingerprint="f", trigger="monthly", lead_times=models
    )

    found = registry.lead_times(version)

    assert list(found) == [30]
    assert found[30].predict(table).tolist() == models[30].predict(table).tolist()
    file = next(files(registry).rglob("lead_30.json"))
    file.write_bytes(training.fitted.model.to_bytes())
    with pytest.raises(RegistryError, match="for the lead times 30"):
        registry.lead_times(version)


def test_every_searched_setting_is_a_run_below_that_of_its_version_and_none_outlives_a_killed_training(
    registry: Registry, small: Fitted
) -> None:
    tried = [TrialRecord(number, "xgboost", {"max_depth": 3 + number}, 100, 0.5 - number / 10) for number in range(2)]
    given = {"as_of": "2025-07-01", "fingerprint": "f", "trigger": "monthly", "trials": tried}
    version = registry.register(small, **given)
    registry._client.set_model_version_tag(registry.model_name, version, "state", "writing")  # as a kill leaves it

    version = registry.register(small, **given)

    parent = registry._client.get_model_version(registry.model_name, version).run_id
    runs = registry._client.search_runs([registry._prepare()], f"tags.mlflow.parentRunId = '{parent}'")
    trials = {run.info.run_name: (run.data.params, run.data.metrics) for run in runs}
    assert trials == {
        "trial 0": ({"algorithm": "xgboost", "max_depth": "3", "rounds": "100"}, {"log_loss": 0.5}),
        "trial 1": ({"algorithm": "xgboost", "max_depth": "4", "rounds": "100"}, {"log_loss": 0.4}),
    }
    assert len(registry._client.search_runs([registry._prepare()])) == 3


def test_a_version_describes_what_it_learned_from_how_it_did_and_what_was_decided(
    registry: Registry, small: Fitted
) -> None:
    version = register(registry, small)
    registry.annotate(version, {"lifecycle_status": "promoted", "lifecycle_reason": "first champion"})

    described = registry._client.get_model_version(registry.model_name, version)
    figures = {name: f"{value:.4f}" for name, value in small.evaluations[small.chosen].as_dict().items()}
    assert described.description.splitlines() == [
        "**logistic_regression**, trained for 2025-07-01 (monthly) on 2,400 rows of snapshots up to 2025-06-01.",
        "",
        "| on later data | this version | baseline |",
        "|---|---|---|",
        f"| AUC | {figures['auc']} | 0.5, chance |",
        f"| PR-AUC | {figures['pr_auc']} | {figures['base_rate']}, the churn rate |",
        f"| Brier skill | {figures['brier_skill']} | 0, the churn rate for everybody |",
        f"| accuracy | {figures['accuracy']} | {figures['majority_accuracy']}, the majority |",
        f"| lift at capacity | {figures['lift_at_capacity']} | 1, chance |",
        f"| calibration error | {figures['ece']} | 0, perfect calibration |",
        "",
        "Decision: promoted. first champion",
        "",
        f"[Model card, data and evaluation](#/experiments/{registry._prepare()}/runs/{described.run_id}/artifacts)",
        "· [the run that trained it](http://127.0.0.1/runs/1)",
    ]

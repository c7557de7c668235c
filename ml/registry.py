"""The model registry: the only place that speaks to MLflow, and the only one in this package that does I/O."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import pandas as pd

from ml.forecasting.customer_value import ValueModels
from ml.text.sentiment import SentimentModel
from ml.training.grouped import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from ml.training.pipeline import Model
    from ml.training.train import Fitted
    from ml.training.tune import TrialRecord

CHAMPION, CHALLENGER = "champion", "challenger"
STATE, FINGERPRINT, MODEL_HASH = "state", "data_fingerprint", "model_hash"
WRITING, COMPLETE = "writing", "complete"
REVIEW, PENDING, APPROVED, REJECTED = "review_state", "pending", "approved", "rejected"
REPLACED, LIFECYCLE_STATUS = "replaced_champion", "lifecycle_status"
LIFECYCLE_REASON = "lifecycle_reason"
RENAMED = {"standing": LIFECYCLE_STATUS, "standing_reason": LIFECYCLE_REASON}  # tags of versions of before
LATEST = "latest_as_of"  # the last day on which a training found this version
AWAITING, PROMOTED, REFUSED, ROLLED_BACK = "awaiting_review", "promoted", "refused", "rolled_back"
SOUND, NO = "is_sound", "no"  # whether nothing speaks against a version on its own
COMMENT, REVIEWER = "review_comment", "reviewed_by"
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow's codes for what is not there
FILE = "model.json"
LEAD_HASH = "lead_hash."  # and the lead time in days: the content of the model for it
PARENT = "mlflow.parentRunId"  # MLflow's tag for runs that its page shows below another
FIGURES = ("auc", "pr_auc", "base_rate", "brier_skill", "ece", "accuracy", "majority_accuracy", "lift_at_capacity")


Kept = TypeVar("Kept", bound="Storable")


class RegistryError(RuntimeError):
    """The registry does not hold what was asked for; the message names the version and the fix."""


def create_database(path: Path, *, artifacts: str) -> None:
    """Create MLflow's SQLite database at `path`, whole or not at all; what is there already stays.

    Its migrations, killed half way, would leave a file that no later start can use.
    """
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it reports its own migrations
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{fresh.name}*"):
        left.unlink()
    SqlAlchemyStore(f"sqlite:///{fresh}", artifacts).engine.dispose()  # type: ignore[no-untyped-call]
    fresh.replace(path)


@dataclass(frozen=True)
class RegisteredModel:
    """A complete version: its number, the model itself, and its tags."""

    version: str
    model: Model
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Registry:
    """Versions of one model at an MLflow tracking address (`http://..` or `sqlite:///..`).

    `artifacts` is where a new experiment keeps its files when no server decides that. A version counts only when its
    tag `state` is `complete`, which is written last; the aliases move to such versions alone.
    """

    tracking_uri: str
    model_name: str = "churn"
    artifacts: str | None = None

    def register(
        self,
        fitted: Fitted,
        *,
        as_of: str,
        fingerprint: str,
        trigger: str,
        tags: Mapping[str, str] | None = None,
        run_url: str | None = None,
        documents: Mapping[str, bytes] | None = None,
        lead_times: Mapping[int, Model] | None = None,
        trials: Sequence[TrialRecord] = (),
        review: bool = False,
        keeps_challenger: bool = False,
    ) -> str:
        """Write a version, then point `challenger` at it unless that keeps its place; return its number.

        One data `fingerprint` gives one version: a training that is repeated finds it, one that was killed half way is
        cleared away first. With `review` the version waits for a person (`review_state` = `pending`). `documents` are
        further artifacts by file name, `lead_times` the models of further lead times, which live and die with the
        version, `trials` the hyperparameters that were searched: a run each, below that of the version.
        """
        self._prepare()
        found = self._complete_version(fingerprint)
        if found is None:
            self._clear(fingerprint)
            further = {lead: each.to_bytes() for lead, each in (lead_times or {}).items()}
            files = {_lead_file(lead): content for lead, content in further.items()}
            run_id = self._write_run(fitted, fingerprint, {**files, **(documents or {})})
            self._write_trials(run_id, fingerprint, trials)
            found = self._write_version(run_id, fitted.model, fingerprint)
            given = {
                "as_of": as_of,
                "trigger": trigger,
                "candidate": fitted.chosen,
                "trained_until": fitted.model.trained_until or "",
                "training_rows": str(fitted.rows),
                **_figures(fitted),
                MODEL_HASH: fitted.model.fingerprint,
                **{f"{LEAD_HASH}{lead}": sha256(content).hexdigest() for lead, content in further.items()},
                REVIEW: PENDING if review else APPROVED,
                **({"run_url": run_url} if run_url else {}),
                **(tags or {}),
            }
            self._finish(found, given)
        if not keeps_challenger and found == self.versions()[-1]["version"] != self._alias(CHAMPION):
            self._point(CHALLENGER, found)
        return found

    def champion(self) -> RegisteredModel | None:
        """Return the version that scores, or None before the first promotion."""
        version = self._alias(CHAMPION)
        return None if version is None else self.read(version)

    def challenger(self) -> RegisteredModel | None:
        """Return the version next to the champion that may score.

        None without one, where it waits for a review or was rejected, and where something speaks against it on its own.
        """
        version = self._alias(CHALLENGER)
        if version is None or version == self._alias(CHAMPION):
            return None
        found = self.read(version)
        may_score = found.metadata.get(REVIEW, APPROVED) == APPROVED and found.metadata.get(SOUND) != NO
        return found if may_score else None

    def read(self, version: str) -> RegisteredModel:
        """Load one complete version; its content must have the hash that was recorded when it was written."""
        found = self._find(version)
        if found.tags.get(STATE) != COMPLETE:
            raise RegistryError(
                f"version {version} of model {self.model_name!r} was never finished. Run the training again: it clears "
                "the half-written version away."
            )
        model = self._load(version)
        if model.fingerprint != found.tags.get(MODEL_HASH):
            raise RegistryError(
                f"version {version} of model {self.model_name!r} does not have the content it was registered with. "
                "Roll back to an earlier version and train again."
            )
        return RegisteredModel(version, model, _name_tags(found.tags))

    def lead_times(self, version: str) -> dict[int, Model]:
        """Load the models of a complete version's further lead times, by days; each must have the recorded hash."""
        found = self._find(version)
        hashes = {name.removeprefix(LEAD_HASH): each for name, each in found.tags.items() if name.startswith(LEAD_HASH)}
        models = {int(lead): self._load(version, _lead_file(lead)) for lead in sorted(hashes, key=int)}
        changed = [str(lead) for lead, model in models.items() if model.fingerprint != hashes[str(lead)]]
        if changed:
            raise RegistryError(
                f"version {version} of model {self.model_name!r} does not have the models it was registered with for "
                f"the lead times {', '.join(changed)}. Roll back to an earlier version and train again."
            )
        return models

    def promote(self, version: str) -> None:
        """Point `champion` at a complete version that no review holds back, and remember whom it replaced."""
        chosen = self.read(version)
        state = chosen.metadata.get(REVIEW, APPROVED)
        if state != APPROVED:
            raise RegistryError(
                f"version {version} of model {self.model_name!r} cannot become champion: its {REVIEW} is {state!r}. "
                "Approve it first."
            )
        before = self._alias(CHAMPION)
        if before is not None and before != version:
            self._tag(version, REPLACED, before)
        self._point(CHAMPION, version)
        if self._alias(CHALLENGER) == version:
            self._client.delete_registered_model_alias(self.model_name, CHALLENGER)

    def roll_back(self, *, by: str, reason: str) -> str:
        """Give the title back to the version that the champion replaced; return its number.

        The version that loses it is marked first, so that no later training of the same data promotes it again.
        """
        current = self._alias(CHAMPION)
        tags = {} if current is None else self._client.get_model_version(self.model_name, current).tags
        if current is None or REPLACED not in tags:
            raise RegistryError(
                f"model {self.model_name!r} has no earlier champion to roll back to. Promote the version you want."
            )
        before: str = tags[REPLACED]
        self.read(before)
        self.annotate(current, {COMMENT: reason, REVIEWER: by, REVIEW: REJECTED, LIFECYCLE_STATUS: ROLLED_BACK})
        self._point(CHAMPION, before)
        return before

    def review(self, version: str, *, approved: bool, comment: str, by: str | None = None) -> None:
        """Record what a person decided about a version."""
        self.read(version)
        self.annotate(version, {COMMENT: comment, **({REVIEWER: by} if by else {})})
        self._tag(version, REVIEW, APPROVED if approved else REJECTED)

    def aliases(self) -> dict[str, str]:
        """Return which version is champion and which is challenger, where there is one."""
        found = {alias: self._alias(alias) for alias in (CHAMPION, CHALLENGER)}
        return {alias: version for alias, version in found.items() if version is not None}

    def annotate(self, version: str, tags: Mapping[str, str]) -> None:
        """Add tags, such as the results of gates, to a version, and bring its description up to date."""
        for name, value in tags.items():
            self._tag(version, name, value)
        self._describe(version)

    def versions(self) -> tuple[Mapping[str, str], ...]:
        """Return the tags of every complete version with its `version`, the oldest first."""
        found = [each for each in self._versions() if each.tags.get(STATE) == COMPLETE]
        return tuple({**_name_tags(each.tags), "version": str(each.version)} for each in found)

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def _prepare(self) -> str:
        """Return the experiment's id; create it and the registered model on first use."""
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(self.model_name)
        found: str = experiment.experiment_id if experiment else self._client.create_experiment(
            self.model_name, artifact_location=self.artifacts
        )  # fmt: skip
        try:
            self._client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return found

    def _find(self, version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self.model_name, version)
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            raise RegistryError(
                f"There is no version {version} of model {self.model_name!r}; `holdfast model list` shows which are."
            ) from None

    def _versions(self) -> list[ModelVersion]:
        found = self._client.search_model_versions(f"name = '{self.model_name}'")
        return sorted(found, key=lambda each: int(each.version))

    def _complete_version(self, fingerprint: str) -> str | None:
        for each in self._versions():
            if each.tags.get(FINGERPRINT) == fingerprint and each.tags.get(STATE) == COMPLETE:
                return str(each.version)
        return None

    def _clear(self, fingerprint: str) -> None:
        """Remove what a killed training left: versions that were never finished, and their runs."""
        for each in self._versions():
            if each.tags.get(FINGERPRINT) == fingerprint and each.tags.get(STATE) != COMPLETE:
                self._client.delete_model_version(self.model_name, each.version)
        experiment = self._prepare()
        for run in self._client.search_runs([experiment], f"tags.{FINGERPRINT} = '{fingerprint}'"):
            self._client.delete_run(run.info.run_id)

    def _write_run(self, fitted: Fitted, fingerprint: str, documents: Mapping[str, bytes]) -> str:
        """Write figures and files of a training; return the run's id."""
        run = self._client.create_run(self._prepare(), tags={FINGERPRINT: fingerprint}, run_name=fitted.chosen)
        run_id: str = run.info.run_id
        for candidate, evaluation in fitted.evaluations.items():
            for name, value in evaluation.as_dict().items():
                self._client.log_metric(run_id, f"{candidate}.{name}", value)
        self._client.log_param(run_id, "seed", fitted.model.seed)
        with tempfile.TemporaryDirectory() as folder:
            _save(Path(folder), fitted, documents)
            self._client.log_artifacts(run_id, folder)
        self._client.set_terminated(run_id)
        return run_id

    def _write_trials(self, parent: str, fingerprint: str, trials: Sequence[TrialRecord]) -> None:
        """Write one run per trial of a search, below the training's own."""
        from mlflow.entities import Metric, Param

        for trial in trials:
            tags = {PARENT: parent, FINGERPRINT: fingerprint}
            run = self._client.create_run(self._prepare(), tags=tags, run_name=f"trial {trial.number}")
            given = {"algorithm": trial.algorithm, **trial.parameters, "rounds": trial.rounds}
            self._client.log_batch(
                run.info.run_id,
                metrics=[Metric("log_loss", trial.log_loss, run.info.start_time, 0)],
                params=[Param(name, str(value)) for name, value in given.items()],
            )
            self._client.set_terminated(run.info.run_id)

    def _write_version(self, run_id: str, model: Model, fingerprint: str) -> str:
        """Create the version and read it back; return its number."""
        made = self._client.create_model_version(
            self.model_name, f"runs:/{run_id}/model", run_id, tags={FINGERPRINT: fingerprint, STATE: WRITING}
        )
        version = str(made.version)
        if self._load(version).fingerprint != model.fingerprint:
            raise RegistryError(f"version {version} of model {self.model_name!r} did not read back as written.")
        return version

    def _finish(self, version: str, tags: Mapping[str, str]) -> None:
        self.annotate(version, tags)
        self._tag(version, STATE, COMPLETE)

    def _describe(self, version: str) -> None:
        """Write from its tags what the version's page says: what it learned from, how it did, what was decided."""
        found = self._client.get_model_version(self.model_name, version)
        files = f"#/experiments/{self._prepare()}/runs/{found.run_id}/artifacts"
        self._client.update_model_version(self.model_name, version, _write_description(_name_tags(found.tags), files))

    def _tag(self, version: str, name: str, value: str) -> None:
        self._client.set_model_version_tag(self.model_name, version, name, value)

    def _point(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(self.model_name, alias, version)

    def _alias(self, alias: str) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(self.model_name, alias).version)
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise

    def _load(self, version: str, artifact: str = f"model/data/{FILE}") -> Model:
        run_id = self._client.get_model_version(self.model_name, version).run_id
        if run_id is None:
            raise RegistryError(
                f"version {version} of model {self.model_name!r} has no run, so it was not registered by a training. "
                "Delete it and train again."
            )
        with tempfile.TemporaryDirectory() as folder:
            path = self._client.download_artifacts(run_id, artifact, folder)
            return read_model(Path(path).read_bytes())


class Storable(Protocol):
    """A model that is one file; `fingerprint` is the hash of what was learned."""

    @property
    def fingerprint(self) -> str:
        """The hash of what was learned."""

    def to_bytes(self) -> bytes:
        """Return the file's content."""


@dataclass(frozen=True)
class FileModels(Registry, Generic[Kept]):
    """Versions of a model that is one file; the one with the alias `champion` is used."""

    file: ClassVar[str]

    @classmethod
    def next_to(cls, churn: Registry) -> Self:
        """Return these models as the registry of the churn models holds them as well."""
        return cls(churn.tracking_uri, artifacts=churn.artifacts)

    @staticmethod
    def parse(content: bytes) -> Kept:
        """Return the model of a file's content."""
        raise NotImplementedError

    def add(self, model: Kept, *, as_of: str, figures: Mapping[str, float], name: str, review: bool = False) -> str:
        """Write a version with the figures it was chosen by, and return its number; it is used once it is approved.

        `name` is that of its run. With `review` it waits for a person's verdict as `review_state`. The same model stays
        one version, with the verdict that it has.
        """
        found = self._complete_version(model.fingerprint)
        if found is None:
            self._clear(model.fingerprint)
            found = self._write(model, figures, name)
            verdict = PENDING if review else APPROVED
            given = {"as_of": as_of, "encoder": name, REVIEW: verdict, STATE: COMPLETE}
            for tag, value in given.items():
                self._tag(found, tag, value)
        self._tag(found, LATEST, as_of)
        self._tag(found, LIFECYCLE_STATUS, AWAITING)
        self.settle()
        return found

    def settle(self) -> str | None:
        """Let the version that was trained last be used, once it is approved; return it where that begins."""
        waiting = [each for each in self.versions() if each.get(LIFECYCLE_STATUS) == AWAITING]
        last = max(waiting, key=lambda each: (each[LATEST], int(each["version"])), default=None)
        if last is None or last.get(REVIEW, PENDING).strip().lower() != APPROVED:
            return None
        self._point(CHAMPION, last["version"])
        for each in waiting:
            self._tag(each["version"], LIFECYCLE_STATUS, PROMOTED if each is last else REFUSED)
        return last["version"]

    def reading(self) -> Kept | None:
        """Return the model in use, None before the first one; its content must be as it was written."""
        version = self._alias(CHAMPION)
        return None if version is None else self._open(version)

    def known_by(self, day: str) -> tuple[str, Kept] | None:
        """Return number and model of the newest version that was learned by `day`, an ISO date; None before it."""
        known = [each for each in self._versions() if each.tags.get(STATE) == COMPLETE and each.tags["as_of"] <= day]
        if not known:
            return None
        newest = max(known, key=lambda each: (each.tags["as_of"], int(each.version)))
        return str(newest.version), self._open(str(newest.version))

    def retire(self) -> None:
        """Let no version be used any more."""
        if self._alias(CHAMPION) is not None:
            self._client.delete_registered_model_alias(self.model_name, CHAMPION)
        for each in self.versions():
            if each.get(LIFECYCLE_STATUS) == AWAITING:
                self._tag(each["version"], LIFECYCLE_STATUS, REFUSED)

    def _open(self, version: str) -> Kept:
        found = self._find(version)
        with tempfile.TemporaryDirectory() as folder:
            path = self._client.download_artifacts(str(found.run_id), self.file, folder)
            model = self.parse(Path(path).read_bytes())
        if model.fingerprint != found.tags.get(FINGERPRINT):
            raise RegistryError(
                f"version {version} of model {self.model_name!r} does not have the content it was registered with. "
                "Delete the version and train again."
            )
        return model

    def _write(self, model: Kept, figures: Mapping[str, float], name: str) -> str:
        tags = {FINGERPRINT: model.fingerprint}
        run = self._client.create_run(self._prepare(), tags=tags, run_name=name)
        run_id = run.info.run_id
        for figure, value in figures.items():
            self._client.log_metric(run_id, figure, value)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, self.file).write_bytes(model.to_bytes())
            self._client.log_artifacts(run_id, folder)
        self._client.set_terminated(run_id)
        made = self._client.create_model_version(self.model_name, f"runs:/{run_id}/{self.file}", run_id, tags=tags)
        return str(made.version)


@dataclass(frozen=True)
class TextModels(FileModels[SentimentModel]):
    """Versions of the model that reads texts."""

    model_name: str = "texts"
    file: ClassVar[str] = "texts.npz"

    @staticmethod
    def parse(content: bytes) -> SentimentModel:
        """Return the model of a file's content."""
        return SentimentModel.from_bytes(content)


@dataclass(frozen=True)
class ForecastModels(FileModels[ValueModels]):
    """Versions of what forecasts the value of customers."""

    model_name: str = "customer_value"
    file: ClassVar[str] = "forecasts.json"

    @staticmethod
    def parse(content: bytes) -> ValueModels:
        """Return the models of a file's content."""
        return ValueModels.from_bytes(content)


@dataclass(frozen=True)
class ScoringFunction:
    """What MLflow calls when it serves a version: a data frame in, probabilities out."""

    model: Model

    def predict(self, data: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return one column, `probability`."""
        del params
        return pd.DataFrame({"probability": self.model.predict(data)})


def _load_pyfunc(path: str) -> ScoringFunction:
    """Load a version for MLflow, which finds this function by its name."""
    return ScoringFunction(read_model(Path(path).read_bytes()))


def _name_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags by their names of today; a tag that was written since stays as it is."""
    return {RENAMED[name]: value for name, value in tags.items() if name in RENAMED} | {
        name: value for name, value in tags.items() if name not in RENAMED
    }


def _write_description(tags: Mapping[str, str], files: str) -> str:
    """Return a version's description in Markdown; `files` is the page of its card, its data and its evaluation."""
    figures = (
        ("AUC", "auc", "0.5, chance"),
        ("PR-AUC", "pr_auc", f"{tags.get('base_rate')}, the churn rate"),
        ("Brier skill", "brier_skill", "0, the churn rate for everybody"),
        ("accuracy", "accuracy", f"{tags.get('majority_accuracy')}, the majority"),
        ("lift at capacity", "lift_at_capacity", "1, chance"),
        ("calibration error", "ece", "0, perfect calibration"),
    )
    learned = f"{int(tags['training_rows']):,} rows of snapshots up to {tags['trained_until']}"
    lines = [
        f"**{tags['candidate']}**, trained for {tags['as_of']} ({tags['trigger']}) on {learned}.",
        "",
        "| on later data | this version | baseline |",
        "|---|---|---|",
        *(f"| {shown} | {tags[name]} | {baseline} |" for shown, name, baseline in figures if name in tags),
        "",
        f"Decision: {tags.get(LIFECYCLE_STATUS, 'not made yet')}. {tags.get(LIFECYCLE_REASON, '')}".strip(),
        "",
        f"[Model card, data and evaluation]({files})",
    ]
    if "run_url" in tags:
        lines.append(f"· [the run that trained it]({tags['run_url']})")
    return "\n".join(lines)


def _lead_file(lead: int | str) -> str:
    return f"lead_{lead}.json"


def _save(folder: Path, fitted: Fitted, documents: Mapping[str, bytes]) -> None:
    """Write the model as MLflow reads it, the figures, and the documents. No row of data is among them."""
    from mlflow import pyfunc

    file = folder / FILE
    file.write_bytes(fitted.model.to_bytes())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided")  # it would be a row of customer data
        pyfunc.save_model(
            path=folder / "model",
            loader_module="ml.registry",
            data_path=file,
            signature=_signature(fitted.model),
            pip_requirements=["holdfast"],
        )
    file.unlink()
    figures = {name: evaluation.as_dict() for name, evaluation in fitted.evaluations.items()}
    hyperparameters = {name: each.learner.hyperparameters for name, each in fitted.candidates.items()}
    content = {"chosen": fitted.chosen, "evaluations": figures, "hyperparameters": hyperparameters}
    (folder / "evaluation.json").write_text(json.dumps(content, indent=2, sort_keys=True))
    for name, document in documents.items():
        (folder / name).write_bytes(document)


def _figures(fitted: Fitted) -> dict[str, str]:
    """Return the chosen candidate's figures on later data as tags."""
    shown = fitted.evaluations[fitted.chosen].as_dict()
    return {name: f"{shown[name]:.4f}" for name in FIGURES}


def _signature(model: Model) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    kinds = [(name, "string" if name in model.categories else "double") for name in model.features]
    inputs = Schema([ColSpec(type=kind, name=name, required=False) for name, kind in kinds])
    return ModelSignature(inputs=inputs, outputs=Schema([ColSpec(type="double", name="probability")]))

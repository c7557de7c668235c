"""What reads free text: learned once a month from the reviews that customers rated, where a vault holds their words."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from ingestion.texts import reveal_rated
from ingestion.vault import Vault
from ml.registry import Registry, TextModels
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import TRAINING, read_as_of
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from datetime import date

    from ml.text.reading import TextReader
    from ml.text.training import Learned

TABLE = "monitoring.text_models"
MOST_TEXTS = 5_000  # the latest that are read in the vault
SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("candidate", pa.string()),
        ("accuracy", pa.float64()),
        ("count_texts", pa.int64()),
        ("is_chosen", pa.bool_()),
        ("model_version", pa.string()),
    ]
)


@dg.asset(
    key=TABLE.split("."),
    deps=[["staging", "stg_feedback"]],
    group_name=TRAINING,
    owners=["team:data-science"],
    kinds={"scikitlearn", "mlflow", "table"},
)
def text_models(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
) -> dg.MaterializeResult[None]:
    """One row per as_of and candidate: how well it reads the latest rated texts; the best one reads once approved."""
    as_of = read_as_of(context)
    learned = learn_from_vault(deployment, warehouse)
    models, version = TextModels.next_to(registry), None
    if learned.model:
        name, figures, review = learned.model.encoder, learned.accuracies, deployment.policy.promotion.mode == "review"
        version = models.add(learned.model, as_of=as_of.isoformat(), figures=figures, name=name, review=review)
    else:
        models.retire()
    warehouse.replace_day(TABLE, tabulate(learned, as_of=as_of, version=version), as_of=as_of)
    found = {name: round(accuracy, 3) for name, accuracy in learned.accuracies.items()}
    return dg.MaterializeResult(
        metadata={
            **describe_table(warehouse, TABLE, as_of=as_of),
            "read_by": learned.chosen,
            "rated_texts": learned.count_texts,
            **found,
        }
    )


def learn_from_vault(deployment: Deployment, warehouse: Warehouse) -> "Learned":
    """Return what the rated texts teach; without a vault there are none."""
    import numpy as np

    from ml.text.training import label, learn

    company = deployment.company
    secrets = deployment.settings.secrets(company.secret_names)
    rated = []
    if Vault.is_named(secrets):
        with warehouse.connect() as connection:
            vault = Vault.from_secrets(secrets)
            rated = reveal_rated(connection, company, vault, most=MOST_TEXTS, at=datetime.now(UTC))
    labelled = label(tuple(text for text, _ in rated), np.array([rating for _, rating in rated]))
    return learn(labelled, with_vectors=deployment.policy.text.sentence_vectors)


def tabulate(learned: "Learned", *, as_of: "date", version: str | None) -> pa.Table:
    """Return a row per candidate; only the base model where too few texts are rated, and its accuracy unknown."""
    rows = [
        {
            "as_of": as_of,
            "candidate": name,
            "accuracy": learned.accuracies.get(name),
            "count_texts": learned.count_texts,
            "is_chosen": name == learned.chosen,
            "model_version": version if name == learned.chosen else None,
        }
        for name in learned.accuracies or [learned.chosen]
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def open_text_reader(deployment: Deployment, registry: Registry) -> "TextReader":
    """Return what reads free text: the company's own model, or else that of our labelled texts."""
    from ml.text.reading import open_reader

    own = TextModels.next_to(registry).reading()
    return open_reader(own, with_vectors=deployment.policy.text.sentence_vectors)

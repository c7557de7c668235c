"""Model files: what was written before is read, and is written the same again."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from ml.training.grouped import GroupedModel, read_model

FILE = Path(__file__).parent / "models" / "format_1.json"  # written when models were first registered
FINGERPRINT = "8a168d0bad6f858cbab5e9248c238474a884bd12532bcbdd5a1859693d530d31"
ROWS = pa.table(
    {
        "recency_days": [14.0, 20.0, 0.0, 0.0, 11.0, 33.0],
        "orders_90d": pa.array([None, 4.0, 8.0, 2.0, 4.0, 5.0], pa.float64()),
        "complaints": [0.0, 1.0, 1.0, 1.0, 0.0, 1.0],
        "plan": ["plus", "plus", "plus", "basic", "plus", "pro"],
    }
)
PROBABILITIES = [0.156329801, 0.215089046, 0.138183724, 0.208025836, 0.137852167, 0.46576802]
CONTRIBUTIONS = [
    [-0.274837, 0.058392, -0.097025, -0.102652],
    [-0.107247, 0.008616, 0.157547, -0.102652],
    [-0.590288, -0.017252, 0.157547, -0.102652],
    [-0.573585, 0.010185, 0.157547, 0.32157],
    [-0.357258, 0.004699, -0.08314, -0.11957],
    [0.797258, 0.010307, 0.14698, -0.250628],
]  # per row and feature, in log-odds
CAUSES = [
    [0.0, 0.0, -0.124855, 0.0],
    [0.0, 0.0, 0.198278, 0.0],
    [0.0, 0.0, 0.198278, 0.0],
    [0.0, 0.0, 0.198278, 0.0],
    [0.0, 0.0, -0.124855, 0.0],
    [0.0, 0.0, 0.0, 0.0],
]


def test_a_file_of_the_first_format_gives_the_scores_and_contributions_that_it_gave_then() -> None:
    model = read_model(FILE.read_bytes())

    assert isinstance(model, GroupedModel)
    assert sorted(model.shared.members) == ["logistic_regression", "neural_net", "xgboost"]
    np.testing.assert_allclose(model.predict(ROWS), PROBABILITIES, rtol=1e-6)
    np.testing.assert_allclose(model.contributions(ROWS)[0], CONTRIBUTIONS, atol=1e-5)
    np.testing.assert_allclose(model.cause_contributions(ROWS), CAUSES, atol=1e-6)


def test_a_file_of_the_first_format_is_written_again_to_the_byte() -> None:
    model = read_model(FILE.read_bytes())

    assert model.fingerprint == FINGERPRINT
    assert json.loads(model.to_bytes()) == json.loads(FILE.read_bytes())

"""A new part is one new file or one new entry: one of each kind is added to a copy of the project and works there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from textwrap import indent
from typing import Any

import processes
import pytest

ROOT = Path(__file__).parent.parent
FILES = {
    "orchestration/commands/greet.py": '''
"""A command."""

import typer


def greet(name: str) -> None:
    """Greet."""
    typer.echo(f"Good morning, {name}.")
''',
    "expectations/sources/thirteen.py": '''
"""A rule of a gate."""

from expectations.gate import expect_none


def expect(context):
    """Expect nothing to cost 13."""
    yield expect_none("no_thirteen", "select order_id from {batch} where amount = 13", says="nothing costs 13")
''',
    "retention/acting/channels/drum.py": '''
"""A channel."""

from retention.acting.channels.base import Channel, ChannelSettings, Receipt


class Settings(ChannelSettings):
    """How often it is beaten."""

    beats: int

    def open(self, *, folder, secrets):
        return Drum(self.beats)


class Drum(Channel):
    """Is heard at once."""

    def __init__(self, beats):
        self.beats = beats

    def send(self, message):
        return Receipt(key=message.key, reference=f"{self.beats} beats")

    def find(self, key):
        return None
''',
    "ingestion/readers/wire.py": '''
"""A reader."""

from typing import Literal

from ingestion.readers.base import Reader, ReaderSettings
from ingestion.readers.extract import Extract


class Settings(ReaderSettings):
    """Whose wire it is."""

    reader: Literal["wire"]
    operator: str

    def secret_names(self):
        return (self.operator,)

    def open(self, context):
        return Wire(context)


class Wire(Reader):
    """Hears of two rows."""

    def __init__(self, context):
        self.context = context

    def extract(self, connection, asked):
        return Extract(relation=f"(values ('a', 1), ('b', 2)) {self.context.feed.relation}(name, number)")
''',
    "ml/learners/base_rate.py": '''
"""A learner that knows how many leave, and nothing of who."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from ml.dataset import Floats
from ml.learners.base import Algorithm, Candidate, Compute, Contributions, Learner


@dataclass
class BaseRate(Learner):
    """The same log-odds for everybody."""

    kind: ClassVar[str] = "base_rate"
    log_odds_: float = field(init=False, default=0.0)

    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        rate = float(np.average(label, weights=weight))
        self.log_odds_ = float(np.log(rate / (1 - rate)))
        return self

    def log_odds(self, matrix: Floats) -> Floats:
        return np.full(len(matrix), self.log_odds_)

    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        return Contributions(np.zeros(matrix.shape), self.log_odds_)


ALGORITHMS = (Algorithm("base_rate", (Candidate(BaseRate()),)),)
''',
}
# file -> the line below which the entry stands, and the entry
ENTRIES = {
    "company/industries/retail.yaml": (
        "strategies:",
        """
- id: retail_handwritten_card
  name: {en: A card written by hand, zh: 手写卡片}
  tiers: [high]
  channel: mail
  valid_days: 30
  modules: [{kind: message, amount: 2.0}]
  effect: {value: 0.05, basis: assumption, source: a test}
  message: {en: "We miss you.", zh: "我们想念您。"}
""",
    ),
    "dbt_project/dbt_project.yml": (
        "tags:",
        """
- name: early_bird
  when: tenure_days >= 12345
  owner: marketing
  reason: was there first
  en: early bird
  zh: 早鸟
""",
    ),
    "dbt_project/library/stores.yaml": (
        "features:",
        """
- name: count_shops_{w}d
  windows: [90]
  sql: count(*) filter (where age_last <= {w})
  empty: 0
  family: purchase
  unit: shops
  reason: spend_fall
  means: different shops bought at in the last {w} days
  en: "{value:.0f} shops in the last {w} days"
  zh: "近{w}天光顾{value:.0f}家店铺"
  low: 0
""",
    ),
}
LOOK = """
import json, os, sys
from datetime import date, datetime
from pathlib import Path
root = Path(sys.argv[1])
sys.path.insert(0, str(root))

import numpy as np
import duckdb
from dbt.cli.main import dbtRunner
from typer.testing import CliRunner

from company.industries import load_industry
from company.policy import load_policy
from dbt_project.library import write
from dbt_project.variables import declare_ground
from expectations import sources
from expectations.gate import run_gate
from ingestion.landing import land
from ingestion.readers import load_company
from ml.learners import list_candidates, load_kinds
from ml.learners.base import Compute
from orchestration.cli import app
from orchestration.dbt import read_features
from retention.acting.channels import Message, build_channels, route
from retention.deciding.strategy_files import load_strategies

found = {}
channels = build_channels({"drum": {"beats": 3, "media": ["drum"]}}, folder=root, secrets={})
message = Message(key="k", channel="drum", body={}, moment=datetime(2025, 1, 2))
found["channel"] = route(channels, "drum").send(message).reference

with duckdb.connect("orders.duckdb") as connection:
    connection.execute("create schema raw_shop")
    connection.execute("create table raw_shop.orders as select 'o1' as order_id, 13 as amount, 'b' as _batch")
table = sources.RawTable(table="raw_shop.orders", key=("order_id",))
suites = sources.build([table], as_of=date(2025, 1, 1), latest=datetime(2025, 1, 2), limits=load_policy().gates)
verdict = run_gate(suites, database=Path("orders.duckdb"), docs=Path("gates"))
found["gate rule"] = [[each.expectation, each.expected] for each in verdict.failures]

(root / "company.yaml").write_text(json.dumps({
    "company": "Wired", "industry": "retail", "timezone": "UTC", "currency": "EUR", "history_starts": "2024-01-01",
    "sources": {"telegraph": {"reader": "wire", "operator": "MORSE"}},
    "tables": {
        "customers": {"source": "telegraph", "from": "heard", "columns": {"customer_id": "name"}},
        "orders": {
            "source": "telegraph",
            "from": "heard",
            "columns": {
                "order_id": "number", "customer_id": "name", "amount": "number", "ordered_at": "date '2024-05-01'"
            },
        },
    },
}))
company = load_company(root / "company.yaml")
with duckdb.connect() as connection:
    done = land(connection, company, "orders", secrets={}, batch="b", landed_at=datetime(2025, 1, 2))
    rows = connection.execute("select order_id, customer_id from raw_telegraph.orders order by 1").fetchall()
found["reader"] = [company.secret_names, done.rows_landed, rows]

found["command"] = CliRunner().invoke(app, ["greet", "Ann"]).output
strategies = load_strategies(load_industry("retail").path, policy=load_policy())
found["strategy"] = [each.name.en for each in strategies if "card" in each.id]

(candidate,) = list_candidates(["base_rate"])["base_rate"]
label = np.array([1.0, 0.0, 0.0, 0.0])
learner = candidate.build().fit(np.zeros((4, 2)), label, weight=None, seed=0, compute=Compute())
restored = load_kinds()["base_rate"].restore(learner.state())
found["learner"] = (1 / (1 + np.exp(-restored.log_odds(np.zeros((2, 2)))))).round(6).tolist()

write()
project = root / "dbt_project"
folders = ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(root / "target")]
folders += ["--vars", json.dumps(declare_ground(load_policy()))]
done = dbtRunner().invoke(["--quiet", "compile", "--select", "customers", *folders])
assert done.success, done.exception
(view,) = (each.node.compiled_code for each in done.result if each.node.name == "customers")
found["tag"] = "tenure_days >= 12345 then ',early_bird'" in view
features = read_features(json.loads((root / "target" / "manifest.json").read_text()))
found["feature"] = [[each.unit, each.en] for each in features if each.name == "count_shops_90d"]
print("RESULT" + json.dumps(found))
"""
WORKS: dict[str, Any] = {
    "channel": "3 beats",
    "reader": [["HOLDFAST_ENCRYPTION_KEY", "HOLDFAST_TOKEN_KEY", "MORSE"], 2, [["1", "a"], ["2", "b"]]],
    "gate rule": [["no_thirteen", "nothing costs 13"]],
    "command": "Good morning, Ann.\n",
    "strategy": ["A card written by hand"],
    "learner": [0.25, 0.25],
    "tag": True,
    "feature": [["shops", "{value:.0f} shops in the last 90 days"]],
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process that loads the extended copy finds of each kind."""
    copy = copy_project(tmp_path_factory.mktemp("extended") / "project")
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text.lstrip())
    for name, (heading, entry) in ENTRIES.items():
        add_entry(copy / name, heading, entry)
    environment = os.environ | {"HOLDFAST_HOME": str(copy)}
    done = processes.call(LOOK, str(copy), environment=environment, folder=copy)
    assert "RESULT" in done.stdout, done.stdout
    result: dict[str, Any] = json.loads(done.stdout.rsplit("RESULT", maxsplit=1)[1])
    return result


def copy_project(copy: Path) -> Path:
    """Copy the files that belong to the project, without what was built from them."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.sql", "*.yaml", "*.yml"]
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


def add_entry(path: Path, heading: str, entry: str) -> None:
    """Put an entry below a heading, indented as the first entry there is."""
    text = path.read_text(encoding="utf-8")
    (place,) = re.finditer(rf"^ *{heading}\n(?P<indentation> *)(?=- )", text, flags=re.MULTILINE)
    written = indent(entry.lstrip(), place["indentation"])
    start = place.start("indentation")
    path.write_text(text[:start] + written + text[start:], encoding="utf-8")


@pytest.mark.parametrize("kind", WORKS)
def test_a_part_is_added_in_one_place_and_works(found: dict[str, Any], kind: str) -> None:
    assert found[kind] == WORKS[kind]

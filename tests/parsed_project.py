"""The dbt project parsed once in the process that others fork from: what dbt works out about its files is then known.

Imported by tests/fork_server.py alone. dbt keeps parsed templates and schemas only when told that it is under test; a
fork that parses the project with the variables of another company takes them from here, a third of the time.
"""

import json
import sys
import tempfile
from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt_common.tests import enable_test_caching

from company.contract import TABLES
from company.policy import load_policy
from dbt_project.variables import declare_ground

PROJECT = Path(__file__).parents[1] / "dbt_project"
CHURN = {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30, "lead_days": 0}

enable_test_caching()
with tempfile.TemporaryDirectory() as folder:
    variables = {"churn": CHURN, "feeds": {name: ["raw"] for name in TABLES}, "timezone": "UTC"}
    command = ["--quiet", "parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    # the threads of the static parser would not be in a fork, which then waits for them forever
    command += ["--no-static-parser", "--target-path", folder, "--log-path", folder]
    command += ["--vars", json.dumps(variables | declare_ground(load_policy()))]
    dbtRunner().invoke(command)

# what is ours each fork imports by itself: one may have been given a copy of the project
for name in [*sys.modules]:
    if name.partition(".")[0] in {"company", "dbt_project"}:
        del sys.modules[name]

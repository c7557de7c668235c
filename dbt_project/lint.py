"""SQLFluff on the models, which it renders with dbt as a company without a feed would: `python -m dbt_project.lint`.

Its dbt templater takes vars from a configuration file alone, so one is written into the virtual environment.
"""

import os
import subprocess
import sys
from pathlib import Path

import tomlkit

from company.policy import load_policy
from dbt_project.library import HERE
from dbt_project.variables import declare_ground

PROCESSES = 2  # dbt renders in one process while another lints


def main() -> int:
    """Lint all models and return SQLFluff's exit code."""
    home = Path(sys.prefix) / "sqlfluff"  # the same each time: dbt then parses what has changed
    home.mkdir(exist_ok=True)
    given = home / "pyproject.toml"
    context = {"templater": {"dbt": {"context": declare_ground(load_policy())}}}
    given.write_text(tomlkit.dumps({"tool": {"sqlfluff": context}}), encoding="utf-8")
    command = [sys.executable, "-m", "sqlfluff", "lint", "--disable-progress-bar", "-q"]
    command += ["--config", str(given), "--processes", str(PROCESSES), str(HERE / "models")]
    # its processes end with locks of dbt's still open, about which Python warns
    environment = os.environ | {"HOLDFAST_HOME": str(home), "PYTHONWARNINGS": "ignore:resource_tracker"}
    return subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode  # noqa: S603 - ours


if __name__ == "__main__":
    sys.exit(main())

"""The desk on loopback: `python -m serving --snapshot FILE --company company.yaml --port 8000`.

The URL of the operational store is read from HOLDFAST_OPERATIONAL_URL: a command line would show a password in it.
"""

import argparse
import os
from pathlib import Path

from company.company_file import list_strategy_files
from company.industries import load_industry
from company.policy import load_policy
from company.yaml_file import read_yaml
from retention.deciding.strategy_files import load_strategies
from retention.store.store import Store
from serving.access import read_access
from serving.desk.app import create_app, read_templates
from serving.desk.visit import Desk, utc_now
from serving.snapshot import Snapshot

LOOPBACK = "127.0.0.1"
LINKS = {"Dagster": "HOLDFAST_WEBSERVER_URL", "MLflow": "HOLDFAST_REGISTRY_URL", "dbt": "HOLDFAST_DOCS_URL"}


def main() -> None:
    """Serve until asked to end. Only loopback is listened on: there is no TLS here."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m serving", description="Serve the desk of an instance on loopback.")
    parser.add_argument("--snapshot", type=Path, required=True, help="the published file")
    parser.add_argument("--company", type=Path, required=True, help="the company file")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    content = read_yaml(given.company).content  # which `holdfast` has read as a whole before it started the desk
    industry = load_industry(content["industry"])
    policy = load_policy(industry.policy, content.get("policy"))
    files = [industry.path, *list_strategy_files(given.company, content.get("strategies"))]
    with Store(os.environ["HOLDFAST_OPERATIONAL_URL"]) as store:
        store.migrate()
        desk = Desk(
            snapshot=Snapshot(path=given.snapshot),
            store=store,
            access=read_access(),
            policy=policy,
            strategies=load_strategies(*files, policy=policy, currency=content["currency"]),
            templates=read_templates(),
            now=utc_now,
            links={name: os.environ[key] for name, key in LINKS.items() if key in os.environ},
        )
        # addresses name customers, so that requests are not logged; what was opened stands in the audit log
        uvicorn.run(create_app(desk), host=LOOPBACK, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

"""The desk and the API: `python -m serving --snapshot FILE --company company.yaml --port 8000`.

On loopback without TLS, elsewhere with it alone: `--host 0.0.0.0 --name desk.example --certificate FILE --key FILE`.
The URL of the operational store is read from HOLDFAST_OPERATIONAL_URL: a command line would show a password in it.
"""

import argparse
import gc
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from company.company_file import list_strategy_files
from company.encryption import read_key
from company.industries import load_industry
from company.policy import load_policy
from company.yaml_file import read_yaml
from retention.deciding.strategy_files import load_strategies
from retention.store.store import Store
from serving.access import read_access
from serving.contacts import Reveal
from serving.desk.app import create_app, read_templates
from serving.desk.visit import Desk, utc_now
from serving.privacy import Office
from serving.same_site import LOOPBACK_NAMES
from serving.sign_in.provider import open_provider
from serving.snapshot import Snapshot

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
LINKS = {"Dagster": "HOLDFAST_WEBSERVER_URL", "MLflow": "HOLDFAST_REGISTRY_URL", "dbt": "HOLDFAST_DOCS_URL"}


def main(
    find_reveal: Callable[[Mapping[str, str], Store], Reveal | None] = lambda *_: None,
    find_office: Callable[[Mapping[str, str], Store, Path], Office | None] = lambda *_: None,
) -> None:
    """Serve until asked to end.

    `find_reveal` opens the way to clear contact data, `find_office` what handles requests about personal data; this
    package has neither.
    """
    import uvicorn

    given = read_arguments()
    links = {name: os.environ[key] for name, key in LINKS.items() if key in os.environ}
    with Store(os.environ["HOLDFAST_OPERATIONAL_URL"], key=read_key(os.environ)) as store:
        store.migrate()
        desk = open_desk(given, store, links, reveal=find_reveal(os.environ, store))
        desk = replace(desk, office=find_office(os.environ, store, given.company))
        serve(uvicorn.Server(configure(given, desk)), desk)


def serve(server: "uvicorn.Server", desk: Desk) -> None:
    """Serve until asked to end; what nobody waited for is written before the process ends. Raises SystemExit."""
    signal.signal(signal.SIGTERM, _end)  # which the server raises again once it has closed
    gc.freeze()  # what was imported stays; to look through it time and again would stop all requests meanwhile
    with desk.write_behind.running(), desk.snapshot.followed():
        server.run()


def _end(*_signal: object) -> None:
    raise SystemExit(0)


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line; ends with one sentence where they would serve without TLS."""
    parser = argparse.ArgumentParser(prog="python -m serving", description="Serve the desk and the API of an instance.")
    parser.add_argument("--snapshot", type=Path, required=True, help="the published file")
    parser.add_argument("--company", type=Path, required=True, help="the company file")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default=LOOPBACK, help="the address to listen on; beyond loopback with TLS alone")
    parser.add_argument("--name", action="append", default=[], help="a name under which browsers ask for it")
    parser.add_argument("--certificate", type=Path, help="the TLS certificate with its chain, as PEM")
    parser.add_argument("--key", type=Path, help="its private key, as PEM")
    given = parser.parse_args(arguments)
    if (given.certificate is None) != (given.key is None):
        parser.error("TLS needs a certificate and its key: pass --certificate and --key.")
    if given.host not in LOOPBACK_NAMES and given.certificate is None:
        parser.error(f"{given.host} is not loopback, where it is served by TLS alone: pass --certificate and --key.")
    return given


def open_desk(given: argparse.Namespace, store: Store, links: dict[str, str], *, reveal: Reveal | None = None) -> Desk:
    """Return what the requests share."""
    content = read_yaml(given.company).content  # which `holdfast` has read as a whole before it started the desk
    industry = load_industry(content["industry"])
    policy = load_policy(industry.policy, content.get("policy"))
    files = [industry.path, *list_strategy_files(given.company, content.get("strategies"))]
    return Desk(
        snapshot=Snapshot(path=given.snapshot, key=read_key(os.environ)),
        store=store,
        access=read_access(),
        policy=policy,
        strategies=load_strategies(*files, policy=policy, currency=content["currency"]),
        templates=read_templates(),
        now=utc_now,
        links=links,
        reveal=reveal,
        provider=open_provider(policy.desk.single_sign_on, roles=read_access().roles_of("people"), secrets=os.environ),
    )


def configure(given: argparse.Namespace, desk: Desk) -> "uvicorn.Config":
    """Return the server of a desk, by TLS where a certificate is named."""
    import uvicorn

    has_tls = given.certificate is not None
    return uvicorn.Config(
        create_app(desk, hosts=(*LOOPBACK_NAMES, *given.name), has_tls=has_tls),
        host=given.host,
        port=given.port,
        ssl_certfile=given.certificate,
        ssl_keyfile=given.key,
        access_log=False,  # addresses name customers; what was opened stands in the audit log
        log_level="warning",
    )


if __name__ == "__main__":
    main()

"""`holdfast keys`: by which keys programs may ask the API."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from orchestration.deployment import Deployment
    from serving.sign_in.keys import ApiKeys

app = typer.Typer(no_args_is_help=True, help="Keys of programs that ask the API; docs/api.md describes it.")

By = Annotated[str, typer.Option(help="who decides")]


@app.command()
def add(  # noqa: PLR0917 - the options of a command
    name: Annotated[str, typer.Argument(help="which program uses it")],
    role: Annotated[str, typer.Option(help="a role of serving/access.yaml")],
    by: By,
    owner: Annotated[str | None, typer.Option(help="whose customers it sees, for the role agent")] = None,
    region: Annotated[str | None, typer.Option(help="the region whose customers it sees")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="days that it holds; as the policy has it by default")] = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Make a key and print it; it is shown this once."""
    with plain_faults(ValueError):
        deployment = enter_deployment(company, home)
        from serving.access import read_access
        from serving.sign_in.keys import ApiKey

        roles, most = read_access().roles_of("keys"), deployment.policy.desk.api.key_days
        if role not in roles:
            refuse(f"There is no role {role!r}; serving/access.yaml has {', '.join(roles)}.")
        if days is not None and days > most:
            refuse(f"A key holds for {most} days at most; lower --days, or raise desk.api.key_days in the policy.")
        key = ApiKey(name=name, role=role, owner=owner, region=region)
        with _open(deployment) as keys:
            text = keys.add(key, by=by, at=datetime.now(UTC), days=days or most)
    typer.echo(text)  # as it is: a console would wrap it


@app.command("list")
def list_keys(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Show every key with its role, its end and its last use; never the key itself."""
    from rich.table import Table

    with plain_faults(), _open(enter_deployment(company, home)) as keys:
        rows = keys.read()
    table = Table("key", "program", "role", "rows", "expires", "last used", "revoked")
    for row in rows:
        days = [f"{row[each]:%Y-%m-%d}" if row[each] else "" for each in ("expires_at", "used_at", "revoked_at")]
        table.add_row(row["key_id"], row["name"], row["role"], row["owner"] or row["region"] or "all", *days)
    open_console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="the key's id, as `holdfast keys list` shows it")],
    by: By,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """End a key at once."""
    with plain_faults(ValueError), _open(enter_deployment(company, home)) as keys:
        keys.revoke(key_id, by=by, at=datetime.now(UTC))
    open_console().print(f"The key {key_id} is revoked.", highlight=False)


def _open(deployment: "Deployment") -> "AbstractContextManager[ApiKeys]":
    from contextlib import contextmanager

    from orchestration.resources import open_store
    from serving.sign_in.keys import ApiKeys

    @contextmanager
    def opened() -> "Iterator[ApiKeys]":
        with open_store(deployment.settings) as store:
            yield ApiKeys(store.database)

    return opened()

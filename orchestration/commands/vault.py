"""`holdfast vault`: the master key under which personal data is sealed."""

from pathlib import Path

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults, refuse

app = typer.Typer(no_args_is_help=True, help="The vault of personal data; docs/privacy.md describes it.")

NEW_KEY_NAME = "HOLDFAST_NEW_MASTER_KEY"


@app.callback()
def vault() -> None:
    """Keep the group although it has one command."""


@app.command()
def rotate(home: Home = Path(".holdfast")) -> None:
    """Wrap every customer's key by the master key in HOLDFAST_NEW_MASTER_KEY, all or none."""
    from ingestion.vault import MASTER_KEY_NAME, URL_NAME, Vault, VaultError

    with plain_faults(VaultError):
        secrets = enter_home(home).environment
        if not Vault.is_named(secrets) or not secrets.get(NEW_KEY_NAME):
            refuse(f"Set `{URL_NAME}`, `{MASTER_KEY_NAME}` and, with the key to come, `{NEW_KEY_NAME}`.")
        count = Vault.from_secrets(secrets).rotate(secrets[NEW_KEY_NAME])
    open_console().print(
        f"The keys of {count:,} customers are wrapped by the new master key. Set {MASTER_KEY_NAME} to it now; the one "
        "before opens backups of the keys only.",
        highlight=False,
        soft_wrap=True,
    )

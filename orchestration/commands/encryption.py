"""`holdfast encryption`: the key under which the instance's files are encrypted."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults, refuse, require_instance

app = typer.Typer(no_args_is_help=True, help="Encryption of the instance's files; docs/encryption.md describes it.")

NEW_KEY_NAME = "HOLDFAST_NEW_ENCRYPTION_KEY"


@app.command("open")
def open_files(
    source: Annotated[Path, typer.Argument(help="a sealed file, or a folder of them, such as a copy for a customer")],
    to: Annotated[Path, typer.Option("--to", help="a new folder for the files in clear")],
    home: Home = Path(".holdfast"),
) -> None:
    """Write sealed files in clear into a new folder, to hand them over or to look at them."""
    from orchestration.encryption import open_sealed

    with plain_faults():
        require_instance(home)
        if to.exists() or not source.exists():
            refuse(
                f"{to}: this folder exists; name a new one." if source.exists() else f"{source}: there is no such file."
            )
        written = open_sealed(source, to, key=enter_home(home).encryption_key)
    open_console().print(f"{len(written)} files are in {to}, in clear.", highlight=False)


@app.command()
def rotate(
    home: Home = Path(".holdfast"),
    *,
    to_clear: Annotated[bool, typer.Option("--to-clear", help="write the files without encryption")] = False,
) -> None:
    """Write the files anew under the key in HOLDFAST_NEW_ENCRYPTION_KEY; files in clear become encrypted."""
    from company.encryption import KEY_NAME
    from orchestration.encryption import rotate as write_under
    from orchestration.home import hold

    with plain_faults():
        require_instance(home)
        settings = enter_home(home)
        to = "" if to_clear else settings.environment.get(NEW_KEY_NAME, "")
        if not (to or to_clear):
            refuse(f"Set {NEW_KEY_NAME} to the key to come, or pass `--to-clear`.")
        with hold(settings.home):
            written = list(write_under(settings, to=to))
    then = f"Set {KEY_NAME} to it now" if to else f"They are in clear; unset {KEY_NAME}"
    open_console().print(
        f"{len(written)} files are written anew. {then}. Copies and backups keep the key they were written with.",
        highlight=False,
        soft_wrap=True,
    )

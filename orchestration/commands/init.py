"""`holdfast init`: a company file to start from."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import open_console, plain_faults


def init(path: Annotated[Path, typer.Argument()] = Path("company.yaml")) -> None:
    """Write a commented company file to start from."""
    from ingestion.starter import write_company

    with plain_faults():
        write_company(path)
    open_console().print(
        f"Wrote {path}. Fill it in, then: holdfast check {path}\nThe instance's files will be encrypted; make a key "
        "and keep a copy of it elsewhere:\n  export HOLDFAST_ENCRYPTION_KEY=$(openssl rand -base64 32)",
        highlight=False,
        soft_wrap=True,
    )

"""Everything Dagster loads: the folder `orchestration/defs`, one file per stage."""

from pathlib import Path

import dagster as dg

ROOT = Path(__file__).parent.parent


@dg.definitions
def defs() -> dg.Definitions:
    """Load the folder; nothing is listed here."""
    return dg.load_from_defs_folder(project_root=ROOT)

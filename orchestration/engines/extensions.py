"""DuckDB's extensions out of the packages of the extra `lake`, laid out as DuckDB looks for them without a network."""

import importlib.util
from functools import cache
from pathlib import Path

import duckdb

from orchestration.engines.base import EngineError

PACKAGES = {
    "ducklake": "duckdb_extension_ducklake",
    "postgres_scanner": "duckdb_extension_postgres_scanner",
    "httpfs": "duckdb_extension_httpfs",
}


def prepare_extensions(folder: Path) -> Path:
    """Return `folder` with a link to each extension under its internal name, for this version and platform of DuckDB.

    Raises EngineError where a package of the extra `lake` is not installed, or is another version's.
    """
    place = folder / f"v{duckdb.__version__}" / _read_platform()
    place.mkdir(parents=True, exist_ok=True)
    for name, package in PACKAGES.items():
        link, file = place / f"{name}.duckdb_extension", _find_file(package)
        if not (link.is_symlink() and link.resolve() == file.resolve()):
            link.unlink(missing_ok=True)
            link.symlink_to(file)
    return folder


@cache
def _find_file(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    folder = Path(spec.origin).parent if spec and spec.origin else None
    found = sorted(folder.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")) if folder else []
    if not found:
        raise EngineError(
            f"The target `lake` needs the package {package.replace('_', '-')} {duckdb.__version__}, the version of "
            "DuckDB, and it is not installed. Install the extra with it: `pip install 'holdfast[lake]'`, or in a "
            "checkout `.venv/bin/uv pip install -e '.[lake]'`."
        )
    return found[0]


@cache
def _read_platform() -> str:
    with duckdb.connect() as connection:
        row = connection.execute("pragma platform").fetchone()
    return str(row[0]) if row else ""

"""Sources of every kind, and company files that name them. A new kind is one new file in this folder."""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from company.company_file import Company, read_company
from ingestion.readers.base import Context, Reader, ReaderSettings


@cache
def kinds() -> dict[str, type[ReaderSettings]]:
    """Return the settings model of every kind of source; a kind is a module in this folder with `Settings`."""
    names = sorted(module.name for module in iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module.Settings for name, module in modules.items() if hasattr(module, "Settings")}


def load_company(path: Path) -> Company:
    """Read and validate the company file at `path`, whose sources may be of every kind in this folder.

    Raises CompanyError with one paragraph per fault: each names the file, the line, the key and the fix.
    """
    return read_company(path, kinds=tuple(kinds().values()))


def open_reader(context: Context) -> Reader:
    """Return the reader of one feed."""
    settings = context.company.sources[context.feed.source]
    if not isinstance(settings, ReaderSettings):
        raise TypeError(f"{type(settings).__name__} has no reader; read company files with `load_company` from here")
    return settings.open(context)

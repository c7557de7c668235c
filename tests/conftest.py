"""What several test modules share: a company, its first run, and which process runs which tests."""

import gc
import os
from contextlib import ExitStack
from pathlib import Path

# before numpy is imported: the threads of several processes wait for each other longer than they compute
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# no test reads dbt's log of everything, and to write it takes dbt longer than many a model
os.environ.setdefault("DBT_LOG_LEVEL_FILE", "none")

import processes
import pytest
from instance import Instance, PreparedRun, make_once, prepare_run, write_shop
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

gc.disable()  # to the end of collection: nothing of what is imported and collected is garbage

pytest_plugins = ["spark_sessions", "stores"]

# Tests of one scope run in one process, one after the other: they share what only that process has, or work on the one
# instance that ran. A module outside of these is a scope of its own, and where a test shares nothing it is one (None).
# The longest are the first, so that all processes end together.
SCOPES = {
    "tests/test_closed_loop.py": "prepared run",
    "tests/test_asset_pages.py": "prepared run",
    "tests/test_kill.py": "prepared run",
    "tests/dbt_project/": "dbt_project",
    "tests/ml/": "ml",
    "tests/orchestration/test_definitions.py": "demo",
    "tests/orchestration/test_dbt_worker.py": "demo",
    "tests/test_small_companies.py": None,
    "tests/test_absent_tables.py": "another company",
    "tests/test_backfill.py": "backfill",
}


def pytest_configure(config: pytest.Config) -> None:
    """Begin with the process that test processes are forked from, one for all processes of pytest."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        stack = ExitStack()
        stack.enter_context(processes.serve())
        config.add_cleanup(stack.close)
        if config.getoption("numprocesses", None) and config.args_source is config.ArgsSource.TESTPATHS:
            processes.prepare()  # all tests are asked for: while the processes of pytest collect


class Scopes(LoadScopeScheduling):
    """Hands out scopes, each to one of the processes that run side by side."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        listed = find_listed(module)
        return module if listed is None else SCOPES[listed] or nodeid


def find_listed(module: str) -> str | None:
    """Return the entry of SCOPES that a module belongs to."""
    return next((path for path in SCOPES if module.startswith(path)), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scopes:
    config.option.loadscopereorder = False  # by how many tests a scope has; ours are by how long they take
    return Scopes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest."""
    places: dict[str | None, int] = {path: place for place, path in enumerate(SCOPES)}
    items.sort(key=lambda item: places.get(find_listed(item.nodeid), len(SCOPES)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """A company that has not run yet."""
    write_shop(tmp_path / "shop")
    return Instance(folder=tmp_path / "shop", home=tmp_path / "home")


@pytest.fixture(scope="session")
def prepared_run(tmp_path_factory: pytest.TempPathFactory) -> PreparedRun:
    """The company's first run, which all processes share."""
    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    return PreparedRun(make_once(shared / "prepared_run", prepare_run))


@pytest.fixture(scope="session")
def finished_instance(prepared_run: PreparedRun) -> Instance:
    """The company after one undisturbed run; tests only read it."""
    return prepared_run.finished

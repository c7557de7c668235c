"""A small company that several test modules share, run once from end to end."""

from pathlib import Path

import pytest
from instance import Instance, write_shop
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class OneProcessPerFolder(LoadScopeScheduling):
    """Keeps each folder's tests, which share fixtures, in one of the processes that run side by side."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneProcessPerFolder:
    return OneProcessPerFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that both processes end together."""
    items.sort(key=lambda item: item.path.parent.name != "tests")


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """A company that has not run yet."""
    write_shop(tmp_path / "shop")
    return Instance(folder=tmp_path / "shop", home=tmp_path / "home")


@pytest.fixture(scope="session")
def finished_instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """The company after one undisturbed run; tests only read it."""
    folder = tmp_path_factory.mktemp("finished")
    write_shop(folder / "shop")
    finished = Instance(folder=folder / "shop", home=folder / "home")
    done = finished.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return finished

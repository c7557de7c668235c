"""A Spark session for tests, where Java and the extra `spark` are installed."""

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark_session(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    """A session of one core, as `holdfast spark` opens it; whoever asks is skipped where there can be none."""
    pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
    if not shutil.which("java"):
        pytest.skip("no Java is installed")
    from orchestration.spark.job import Job, SparkFolder, Stages
    from orchestration.spark.worker import open_session

    folder = SparkFolder(path=tmp_path_factory.mktemp("spark"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        opened = open_session(Job(folder=folder, master="local[1]", memory="1g", command=(), stages=Stages()))
        yield opened
        opened.stop()

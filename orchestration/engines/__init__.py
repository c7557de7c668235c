"""What the warehouse can stand on: a file per engine, and the choices that an instance's environment makes."""

from orchestration.engines.base import Engine, EngineError
from orchestration.engines.duckdb_file import DuckDb
from orchestration.engines.lake import Lake
from orchestration.settings import Settings

__all__ = ["DuckDb", "Engine", "EngineError", "Lake", "check_models_on", "choose_engine", "open_engine"]

WAREHOUSE, SPARK = "warehouse", "spark"  # who computes the models


def open_engine(settings: Settings) -> Engine:
    """Return the engine that HOLDFAST_TARGET names, DuckDB's one file unless it names another.

    Raises EngineError, one paragraph, for a target that is unknown or lacks a setting.
    """
    return choose_engine(settings, settings.target)


def choose_engine(settings: Settings, target: str) -> Engine:
    """Return an instance's engine of the name `target`; raises EngineError as `open_engine` does."""
    engines = {engine.target: engine for engine in (DuckDb, Lake)}
    if target not in engines:
        raise EngineError(
            f"HOLDFAST_TARGET is `{target}`, and no engine has that name. Choose one of {', '.join(sorted(engines))}. "
            f"Models are computed on Spark by HOLDFAST_MODELS_ON={SPARK}, on either of them."
        )
    return engines[target].of(settings)


def check_models_on(settings: Settings) -> None:
    """Raise EngineError, one paragraph, where HOLDFAST_MODELS_ON names nothing that computes models."""
    if settings.models_on not in {WAREHOUSE, SPARK}:
        raise EngineError(
            f"HOLDFAST_MODELS_ON is `{settings.models_on}`, and nothing of that name computes models. Choose "
            f"`{WAREHOUSE}`, the default, or `{SPARK}`."
        )

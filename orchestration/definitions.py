"""Everything Dagster loads: the folder `orchestration/defs`, one file per stage, for the company of the environment."""

import os
from importlib import import_module
from pkgutil import iter_modules
from warnings import catch_warnings, simplefilter

import dagster as dg

from orchestration import defs as stages
from orchestration.deployment import Deployment, load_deployment
from orchestration.partitions import partition
from orchestration.resources import build_resources
from orchestration.settings import read_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the company that the environment names."""
    return build_definitions(load_deployment(read_settings(os.environ)))


def build_definitions(deployment: Deployment) -> dg.Definitions:
    """Return what the modules of the folder define; what needs the company is made by their `define(deployment)`."""
    with catch_warnings():  # Dagster calls the loader of modules a preview, and a partition mapping a beta
        simplefilter("ignore", dg.PreviewWarning)
        simplefilter("ignore", dg.BetaWarning)
        modules = [import_module(f"{stages.__name__}.{found.name}") for found in iter_modules(stages.__path__)]
        made = [module.define(deployment) for module in modules if hasattr(module, "define")]
        merged = dg.Definitions.merge(*map(dg.load_definitions_from_module, modules), *made)
    return dg.Definitions(
        assets=partition(merged.assets or [], deployment),
        asset_checks=merged.asset_checks,
        jobs=merged.jobs,
        schedules=merged.schedules,
        sensors=merged.sensors,
        resources=build_resources(deployment),
        executor=dg.in_process_executor,
    )

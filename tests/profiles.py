"""dbt's connection by the project's own profile, as the adapter opens it in a run."""

from collections.abc import Mapping

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment
from jinja2.nativetypes import NativeEnvironment

from company.yaml_file import read_yaml
from orchestration.dbt import PROJECT


def open_as_dbt(variables: Mapping[str, str]) -> LocalEnvironment:
    """Return what opens the warehouse for dbt where the environment has these variables."""
    profile = _render(read_yaml(PROJECT / "profiles.yml").content["holdfast"], variables)
    assert isinstance(profile, dict)
    return LocalEnvironment(DuckDBCredentials.from_dict(profile["outputs"][profile["target"]]))


def _render(value: object, variables: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {name: _render(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_render(each, variables) for each in value]
    template = NativeEnvironment().from_string(value) if isinstance(value, str) else None
    return template.render(env_var=lambda name, usual="": variables.get(name, usual)) if template else value

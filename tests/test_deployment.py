"""The files of a deployment name commands, arguments and variables that exist."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

from company.company_file import VAULT_KEYS
from company.yaml_file import load_yaml
from serving.__main__ import read_arguments

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples/deployment"


def read_command(name: str) -> list[str]:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(FOLDER / name)
    return shlex.split(unit["Service"]["ExecStart"])


def test_the_units_and_the_container_start_the_desk_by_arguments_that_it_takes() -> None:
    unit = read_command("holdfast-desk.service")
    container = load_yaml(FOLDER / "compose.yaml")["services"]["desk"]["command"]
    assert (unit[1:3], container[:3]) == (["-m", "orchestration.desk"], ["python", "-m", "orchestration.desk"])
    for arguments in (unit[3:], container[3:]):
        given = read_arguments(arguments)
        assert (given.host, given.port, given.name) == ("0.0.0.0", 8443, ["desk.example"])


def test_the_pipeline_starts_by_a_command_that_takes_the_options() -> None:
    from typer.testing import CliRunner

    from orchestration.cli import app

    command = read_command("holdfast.service")
    assert Path(command[0]).name == load_yaml(FOLDER / "compose.yaml")["services"]["pipeline"]["command"][0]
    shown = CliRunner().invoke(app, ["ui", "--help"], env={"COLUMNS": "200"}).output
    assert [option for option in command[1:] if option.startswith("--") and option not in shown] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("name", ["holdfast.service", "holdfast-desk.service"])
def test_systemd_accepts_the_units(name: str, tmp_path: Path) -> None:
    unit = (FOLDER / name).read_text().replace("/opt/holdfast/.venv/bin/", f"{Path(sys.executable).parent}/")
    (tmp_path / name).write_text(unit)
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_the_containers_refer_to_services_volumes_and_files_that_are_there() -> None:
    compose = load_yaml(FOLDER / "compose.yaml")
    services = compose["services"]
    volumes = {volume.split(":")[0] for each in services.values() for volume in each["volumes"]}
    urls = services["pipeline"]["environment"].values()
    assert {url.partition("@")[2].partition("/")[0] for url in urls} == {
        ":".join(port.split(":")[:2]) for each in services.values() for port in each.get("ports", ())
    }
    assert {volume for volume in volumes if not volume.startswith("/")} == set(compose["volumes"])
    assert {name for each in services.values() for name in each.get("depends_on", ())} <= set(services)
    build = services["pipeline"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() == FOLDER / "Containerfile"
    assert [
        name for each in services.values() for name in each.get("env_file", ()) if not (FOLDER / name).exists()
    ] == []
    copied = re.findall(r"^COPY (\S+) ", (FOLDER / "Containerfile").read_text(), flags=re.MULTILINE)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_environment_names_all_that_a_vault_on_a_server_needs() -> None:
    named = set(re.findall(r"^(HOLDFAST_\w+)=", (FOLDER / "environment").read_text(), flags=re.MULTILINE))
    assert set(VAULT_KEYS) <= named


def test_an_image_holds_every_part_of_the_program_and_nothing_of_an_instance() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == {
        *packages, "LICENSE", "Makefile", "README.md", "dagster.yaml", "pyproject.toml", "requirements.lock",
        "workspace.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["environment", "Containerfile", "compose.yaml"])
def test_variables_of_the_files_are_those_of_the_example(name: str) -> None:
    known = set(re.findall(r"HOLDFAST_\w+", (ROOT / ".env.example").read_text()))
    assert set(re.findall(r"HOLDFAST_\w+", (FOLDER / name).read_text())) <= known

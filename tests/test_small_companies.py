"""A company too small for a model: the run ends, and the scores say what they rest on."""

from pathlib import Path

from instance import AS_OF, Instance

from bench.small_companies import list_faults, write_few


def test_a_company_too_small_for_a_model_gets_an_answer(tmp_path: Path) -> None:
    company = Instance(folder=tmp_path / "company", home=tmp_path / "home")
    write_few(company.folder)
    done = company.run(AS_OF)
    assert done.returncode == 0, done.stdout[-3000:]
    assert list(list_faults(company.home)) == []

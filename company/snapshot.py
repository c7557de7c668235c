"""A company whose only data is one flat table: its file has `snapshot` in place of sources and tables."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from company.company_file import SNAPSHOT, Writing, Zone
from company.file_faults import CompanyError, Fault, suggest
from company.industries import load_industry, names
from company.policy import Policy, load_policy
from company.validation import explain
from company.yaml_file import Document, read_yaml

Period = Literal["month", "year"]
OF_HISTORY = (
    "sources",
    "tables",
    "history_starts",
    "churn",
    "churn_also",
    "closed",
    "cleaning",
    "channels",
    "strategies",
)


class Snapshot(Writing):
    """A flat table, how it is written, and what some of its columns mean.

    A row per customer: `customer` (written `id`) names the column that identifies them, `label` the one that holds
    whether the customer left, and `paid` what the customer pays per month or year; `without` is not learned from.
    """

    file: Path
    customer: str = Field(alias="id", min_length=1)
    label: str = Field(min_length=1)
    without: tuple[str, ...] = ()
    paid: str | None = None
    per: Period = "month"


class SnapshotCompany(BaseModel):
    """A company that has nothing but one flat table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(alias="company", min_length=1)
    industry: str
    timezone: Zone
    currency: str = Field(pattern="^[A-Z]{3}$")
    policy: dict[str, Any] = Field(default_factory=dict)
    snapshot: Snapshot

    def load_policy(self) -> Policy:
        """Return the policy of the industry with the company's own keys over it; raises PolicyError."""
        return load_policy(load_industry(self.industry).policy, self.policy)


def read_snapshot_company(path: Path) -> SnapshotCompany | None:
    """Return the company of the file at `path` where it has a `snapshot`, None where it has none.

    The file of the table is relative to that of the company. Raises CompanyError with one paragraph per fault.
    """
    document = read_yaml(path)
    if SNAPSHOT not in document.content:
        return None
    faults = list(_list_contradictions(document))
    if faults:
        raise CompanyError(path, *map(document.place, faults))
    try:
        company = SnapshotCompany.model_validate(document.content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        found = dict.fromkeys(document.place(explain(each, SnapshotCompany, document.content)) for each in details)
        raise CompanyError(path, *found) from None
    table = company.snapshot.model_copy(update={"file": path.parent / company.snapshot.file})
    return company.model_copy(update={SNAPSHOT: table})


def _list_contradictions(document: Document) -> list[Fault]:
    """Return a fault for each key of a company with a history, and one for an industry that is none."""
    problem = f"a company with `{SNAPSHOT}` has one flat table and no history, which this key is about."
    fix = f"Take it out; or take `{SNAPSHOT}` out and connect your sources instead."
    faults = [Fault(key=key, problem=problem, fix=fix) for key in OF_HISTORY if key in document.content]
    industry = document.content.get("industry")
    if isinstance(industry, str) and industry not in names():
        problem = f"`{industry}` is no industry that Holdfast knows."
        faults.append(Fault(key="industry", problem=problem, fix=suggest(industry, names())))
    return faults

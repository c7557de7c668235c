"""The record of processing activities, made from what the company file, the policy and the strategies declare."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from company.contract import TABLES
from company.policy.privacy import Law, Purpose
from company.yaml_file import read_yaml
from ingestion.vault import Vault
from orchestration.deployment import Deployment
from orchestration.privacy.keeping import read_evidence

Language = Literal["en", "zh"]
_SHOWN = 10
_CONTACTS: tuple[Purpose, ...] = ("marketing", "service")
WORDS = Path(__file__).parents[2] / "privacy" / "processing.yaml"


@dataclass(frozen=True, kw_only=True)
class ProcessingRecord:
    """The record of a deployment as of a day; what nobody declared is shown as such."""

    deployment: Deployment
    language: Language
    day: date

    def __str__(self) -> str:
        """Return the record as Markdown."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        company = self.deployment.company
        yield f"# {self._say('title', name=company.name)}"
        yield ""
        yield self._say("made", file=company.path.name, day=self.day)
        for part in (self._controller, self._purposes, self._data, self._recipients, self._retention, self._security):
            yield ""
            yield from part()

    def _controller(self) -> Iterator[str]:
        company, privacy = self.deployment.company, self.deployment.policy.privacy
        yield f"- {self._say('controller')}: {company.name}"
        for key in ("contact", "officer", "transfers"):
            yield f"- {self._say(key)}: {getattr(privacy.record, key) or self._say('unknown', key=key)}"
        spans = "; ".join(f"{name.upper()} {self._describe(law)}" for name, law in privacy.laws.items())
        yield f"- {self._say('law')}: {spans}"
        has_contacts = any("parent_customer_id" in feed.columns for feed in company.tables["customers"])
        named = [self._say("customers"), *([self._say("contacts")] if has_contacts else [])]
        yield f"- {self._say('subjects')}: {', '.join(named)}"

    def _purposes(self) -> Iterator[str]:
        yield f"## {self._say('purposes')}"
        yield ""
        rows: dict[Purpose, str] = {"prediction": self._say("prediction_how")}
        for purpose in _CONTACTS:
            own = [each for each in self.deployment.strategies if each.purpose == purpose]
            channels = ", ".join(sorted({each.channel for each in own}))
            if own:
                rows[purpose] = self._say("strategies", count=len(own), channels=channels)
        rows["measurement"] = self._say("measurement_how")
        yield from self._table(
            ("purpose", "basis", "how"),
            [(self._say(name), self._find_basis(name), how) for name, how in rows.items()],
        )

    def _data(self) -> Iterator[str]:
        yield f"## {self._say('data')}"
        yield ""
        rows = []
        for table, feeds in self.deployment.company.tables.items():
            personal = {column.name for column in TABLES[table].columns if column.personal}
            mapped = {column for feed in feeds for column in feed.columns}
            own = {f"{name} *" for feed in feeds for name in feed.extra}
            plain = [*sorted(mapped - personal), *sorted(own)]
            sources = ", ".join(sorted({feed.source for feed in feeds}))
            rows.append((table, sources, ", ".join(plain), ", ".join(sorted(mapped & personal)) or self._say("none")))
        yield from self._table(("table", "sources", "columns", "personal"), rows)
        yield ""
        has_vault = Vault.is_named(self.deployment.settings.environment)
        yield self._say("kept_as", vault=self._say("vault") if has_vault else "")

    def _recipients(self) -> Iterator[str]:
        yield f"## {self._say('recipients')}"
        yield ""
        channels = self.deployment.company.channels
        if not channels:
            yield f"- {self._say('builtin')}"
        for kind, settings in channels.items():
            media = (settings or {}).get("media", ["*"])
            yield f"- {self._say('recipient', kind=kind, media=', '.join(media))}"

    def _retention(self) -> Iterator[str]:
        yield f"## {self._say('retention')}"
        yield ""
        policy = self.deployment.policy
        kept = (("dagster", policy.run_history_days), ("lane", policy.lane.log_days))
        for place, days in (*kept, *policy.privacy.keep_days.items()):
            named = self._say(place) if place in _read_words() else f"`{place}`"
            yield f"- {named}: {self._say('days', count=days)}"
        yield f"- {self._say('until_source')}"
        yield f"- {self._say('for_good')}"
        for each in read_evidence(self.deployment.settings.home)[-_SHOWN:]:
            yield f"- {self._say('deleted', **each)}"

    def _security(self) -> Iterator[str]:
        company, settings = self.deployment.company, self.deployment.settings
        yield f"## {self._say('security')}"
        yield ""
        yield f"- {self._say('encrypted' if settings.encryption_key else 'clear')}"
        yield f"- {self._say('tls', hosts=', '.join(company.allow_plain) or self._say('none'))}"
        yield f"- {self._say('roles')}"
        yield f"- {self._say('erasure')}"

    def _describe(self, law: Law) -> str:
        spans = {unit: count for unit, count in law.within.model_dump().items() if count}
        return ", ".join(self._say(unit, count=count) for unit, count in spans.items())

    def _find_basis(self, purpose: Purpose) -> str:
        basis = self.deployment.policy.privacy.record.legal_basis.get(purpose)
        if basis is None:
            return self._say("unknown", key=f"legal_basis.{purpose}")
        return self._say(basis) if basis in _read_words() else basis

    def _table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
        yield f"| {' | '.join(map(self._say, head))} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(row)} |" for row in rows)

    def _say(self, phrase: str, /, **values: object) -> str:
        return _read_words()[phrase][self.language].format(**values)


@cache
def _read_words() -> Mapping[str, Mapping[str, str]]:
    words: Mapping[str, Mapping[str, str]] = read_yaml(WORDS).content
    return words

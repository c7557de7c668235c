"""The facts that explain a risk: sentences about a customer who is about to leave, and when they hold."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from company.taxonomy import Reason
from company.yaml_file import load_yaml

FACTS = Path(__file__).with_name("facts.yaml")
_READ = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.BinOp, ast.Name, ast.Load, ast.Constant, ast.UnaryOp,
    ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq,
)  # fmt: skip


class FactsError(Exception):
    """The facts cannot be used; the message is one paragraph that names the file, the fact, the key and the fix."""


def read_names(expression: str) -> frozenset[str]:
    """Return the columns that an expression reads; raises ValueError where it is not arithmetic and comparisons."""
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except SyntaxError as error:
        raise ValueError(f"`{expression}` is no expression ({error.msg})") from None
    odd = next((node for node in nodes if not isinstance(node, _READ)), None)
    if odd is not None:
        raise ValueError(
            f"`{expression}` holds {type(odd).__name__}; only `and`, `or`, comparisons and arithmetic are read"
        )
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name))


def _check(expression: str) -> str:
    read_names(expression)
    return expression


WORDS = ("order", "orders")  # that differ by industry: an order is a payment where there are only bills

Expression = Annotated[str, AfterValidator(_check)]
Sentence = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(_Part):
    """The same words in English and in Chinese."""

    en: Sentence
    zh: Sentence


class Fact(_Part):
    """One fact: the `reason` it stands for, the condition `when` it holds, and its sentence in two languages.

    Under the condition `unless` it is left to another fact, which puts the same better.
    `evidence` (written `from`) are the feature columns whose contributions support the fact; those of the
    condition where it is empty. `figures` are figures of the sentence that are no column. `is_stated` where the
    customer stated it and nobody has to infer it (written `stated`).
    """

    name: str
    reason: Reason
    when: Expression
    unless: Expression | None = None
    evidence: tuple[str, ...] = Field(default=(), alias="from")
    figures: dict[str, Expression] = Field(default_factory=dict)
    is_stated: bool = Field(default=False, alias="stated")
    en: Sentence
    zh: Sentence

    @model_validator(mode="after")
    def _has_the_same_figures_in_both_languages(self) -> Self:
        if set(_fields(self.zh)) - set(_fields(self.en)) - set(WORDS):
            raise ValueError("the Chinese sentence has a figure that the English one lacks")
        return self

    def fill(self, words: Mapping[str, Wording]) -> Self:
        """Return the fact with an industry's words in its sentences."""
        en, zh = self.en, self.zh
        for word in WORDS:
            en, zh = en.replace(f"{{{word}}}", words[word].en), zh.replace(f"{{{word}}}", words[word].zh)
        return self.model_copy(update={"en": en, "zh": zh})

    @property
    def shown(self) -> dict[str, str]:
        """The figures of the sentences as expressions over columns, by their name in the sentence."""
        return {name: self.figures.get(name, name) for name in _fields(self.en) if name not in WORDS}

    @property
    def supporting(self) -> frozenset[str]:
        """The features whose contributions support this fact."""
        return frozenset(self.evidence) or read_names(self.when)

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the condition and the sentences read."""
        read = (self.when, *([self.unless] if self.unless else []), *self.shown.values())
        return frozenset().union(*(read_names(each) for each in read))


class Facts(_Part):
    """All facts in their order, which decides between facts of equal evidence.

    `no_single_cause` is for a customer at risk for whom no fact holds.
    """

    facts: tuple[Fact, ...]
    no_single_cause: Wording

    def fill(self, words: Mapping[str, Wording]) -> Self:
        """Return the facts with an industry's words, see `WORDS`, in their sentences."""
        return self.model_copy(update={"facts": tuple(fact.fill(words) for fact in self.facts)})


def _fields(sentence: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(sentence) if name))


@cache
def load_facts() -> Facts:
    """Return the facts of `facts.yaml`; raises FactsError."""
    return read_facts(load_yaml(FACTS), path=FACTS)


def read_facts(content: Mapping[str, Mapping[str, object]], *, path: Path) -> Facts:
    """Return declared facts as types; raises FactsError where one is wrong."""
    facts: list[dict[str, object]] = [{"name": name, **fact} for name, fact in content["facts"].items()]  # type: ignore[dict-item]
    try:
        return Facts.model_validate({**content, "facts": facts})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise FactsError(
            f"The facts in {path} have a fault at {_locate(fault['loc'], facts)}: "
            f"{fault['msg'].removeprefix('Value error, ')}; correct it there."
        ) from None


def _locate(place: tuple[int | str, ...], facts: list[dict[str, object]]) -> str:
    """Return where a fault is, with the fact's name instead of its number."""
    named = [str(facts[part]["name"]) if isinstance(part, int) else part for part in place]
    return ".".join(named)

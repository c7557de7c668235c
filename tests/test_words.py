"""One vocabulary: what people read and the names they use are the field's words, as docs/glossary.md has them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from company.yaml_file import load_yaml

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "company", "ingestion", "expectations", "ml", "retention", "serving", "orchestration", "simulator", "bench",
    "dbt_project",
)  # fmt: skip
# Typer and Dagster show the docstrings of these
SHOWN_DOCSTRINGS = ("orchestration/cli.py", "orchestration/commands/", "orchestration/defs/")


# versions that were registered under the old names are still read
OLD_TAGS = r"ml/registry\.py:\d+: 'standing'"


@dataclass(frozen=True)
class Word:
    """A word of a private dialect, and what is written `instead`.

    `text` is searched in prose, `name` among the words of an identifier, which are joined by blanks. A word that is
    standard English, or a standard name, in other uses is given by the phrase or the package in which it is dialect.
    """

    instead: str
    text: str | None = None
    name: str | None = None
    package: str = ""


WORDS = (
    Word("instance, installation", "houses?", "houses?"),
    # a file has lines; only the pipeline was called the line
    Word("pipeline", "(?:whole|nightly|night's) line|(?:run|stop|through|over|let|down) the line", "run line"),
    Word("pipeline", "the line (?:stop|run|go|may|at)s?(?:ped)?"),
    Word("fix, remedy", "mend(?:s|ed|ing)?", "mend(?:s|ed|ing)?"),
    Word("report, log, explain", "tell(?:s|ing)?|told|says?|said|heard", "tell(?:s|ing)?|told|says?|said|heard"),
    Word("support", "argu(?:es?|ed|ing) (?:for|against)", "argu(?:es?|ed|ing)"),
    Word("next to, as well as", "besides?", "besides?"),
    Word("out-of-fold", "honest(?:ly|y)?", "honest(?:ly|y)?"),
    # configuration is settings everywhere; what a learner is built with is not
    Word("hyperparameters", name="settings?", package="ml"),
    Word("Candidate, knots", name="recipes?|bends?", package="ml"),
    Word("MIN_BLEND_SHARE, LOG_LOSS_TOLERANCE, BLEND_L2", "evenness", "idle|^tie$|evenness", package="ml"),
    # a challenger wins by a margin, and sales have a gross margin; a sum of log-odds is none
    Word("log-odds", name="^margins?", package="ml"),
    Word("lead times", "leads(?! to)", "leads"),
    Word("cold start, rule-based fallback", "small[ -]data|rules-1", "small data|smallness|small scores"),
    # points worth 10 euros are; what acting on a score earns is a profit
    Word("expected profit", "(?:is|are|be) worth|stakes", "worth|stakes"),
    Word("lifecycle status", "standing", "standing"),
    Word("quarantine", "sets? aside", "set aside"),
    # a backup is a copy; a row that comes twice is a duplicate
    Word("duplicates, duplicate keys", "twins?", "copies|twins?"),
    Word("snapshots", "slices?", "slices?"),
    Word("changed days, days to rebuild", "touched|days? due", "touched|days? due|due days?"),
    Word("cut points, quintiles", "marks|fifths?", "marks|fifths?"),
    # rows land in raw tables, as everywhere; a relation called landed held cleaned rows
    Word("cleaned_rows", name="^landed$", package="dbt_project"),
    Word("is_connected, classified_rows", "fed|judged", "fed|judged"),
    Word("fail_orphaned_runs", name="bury dead runs"),
    Word("notify_run_failure", name="tell of failed runs"),
    Word("request_retrain_on_drift", name="retrain when slipping"),
    Word("apply_model_reviews", name="carry out reviews"),
    # customers have accounts, and a run accounts for its rows; what balances rows is a reconciliation
    Word("reconciliation", "(?:the|nightly|row) (?:books|accounts)", "books|accounts"),
    # a special case is one; what the service desk has are tickets
    Word("tickets", "(?:open|desk|service|customers?'?) cases?", "cases?"),
    Word("Trade-off:", "Price:"),
)


def test_prose_uses_the_words_of_the_field() -> None:
    texts = chain(documents(), yaml_prose(), help_of_make())
    assert [use for where, text in texts for use in dialect_in(text, where)] == []


def test_texts_in_code_use_the_words_of_the_field() -> None:
    found = [use for where, text in strings() for use in dialect_in(text, where)]
    assert [use for use in found if not re.match(OLD_TAGS, use)] == []


def test_public_names_use_the_words_of_the_field() -> None:
    names = chain(python_names(), dbt_names(), policy_keys())
    assert [use for where, name in names for use in dialect_of(name, where)] == []


def dialect_in(text: str, where: str) -> Iterator[str]:
    """Yield every word of the dialect in a prose, with what stands around it."""
    for word in WORDS:
        if word.text and where.startswith(word.package):
            for match in re.finditer(rf"(?<![\w./-])(?:{word.text})(?!\w|-\w)", text, re.IGNORECASE):
                around = " ".join(text[max(0, match.start() - 20) : match.end() + 20].split())
                yield f"{where}: {around!r}: use {word.instead}"


def documents() -> Iterator[tuple[str, str]]:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        # the changelog names what was renamed
        yield relative(path), re.sub(r"`[^`]*`", "", text) if path.name == "CHANGELOG.md" else text


def yaml_prose() -> Iterator[tuple[str, str]]:
    """Yield the comments of the files that users read and edit, and the texts in them."""
    models = (path for path in ROOT.glob("dbt_project/**/*.y*ml") if "target" not in path.parts)
    for path in (*ROOT.glob("company/**/*.yaml"), *ROOT.glob("examples/*/*.yaml"), *models):
        text = path.read_text(encoding="utf-8")
        yield relative(path), "\n".join(re.findall(r"# (.*)", text))
        yield relative(path), "\n".join(values(load_yaml(path), {"description", "means", "en"}))


def values(node: object, keys: set[str]) -> Iterator[str]:
    """Yield the texts that a tree of mappings and lists holds under `keys`."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in keys and isinstance(value, str))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from values(child, keys)


def help_of_make() -> Iterator[tuple[str, str]]:
    yield "Makefile", "\n".join(re.findall("## (.*)", (ROOT / "Makefile").read_text(encoding="utf-8")))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dialect_of(name: str, where: str) -> Iterator[str]:
    """Yield the words of the dialect in a snake_case or CamelCase identifier."""
    words = " ".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)).lower()
    for word in WORDS:
        if word.name and where.startswith(word.package) and re.search(rf"\b(?:{word.name})\b", words):
            yield f"{where}: {name}: use {word.instead}"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield relative(path), ast.parse(path.read_text(encoding="utf-8"))


def strings() -> Iterator[tuple[str, str]]:
    """Yield every string of the code but docstrings: errors, help, output, SQL; and the docstrings that are shown."""
    for where, tree in modules():
        hidden = set() if where.startswith(SHOWN_DOCSTRINGS) else {id(node) for node in docstrings(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
                yield f"{where}:{node.lineno}", node.value


def docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            assert isinstance(first, ast.Expr)
            yield first.value


def python_names() -> Iterator[tuple[str, str]]:
    """Yield modules, classes, functions, methods and fields that are public."""
    for where, tree in modules():
        yield from ((where, part) for part in Path(where).with_suffix("").parts)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield f"{where}:{node.lineno}", node.name
            if isinstance(node, ast.ClassDef):
                fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
                yield from ((f"{where}:{item.lineno}", ast.unparse(item.target)) for item in fields)


def dbt_names() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "dbt_project/models").rglob("*.sql"):
        yield relative(path), path.stem
    for path in (ROOT / "dbt_project/models").rglob("*.yml"):
        for model in load_yaml(path).get("models", []):
            yield from ((relative(path), column["name"]) for column in model.get("columns", []))


def policy_keys() -> Iterator[tuple[str, str]]:
    for path in ROOT.glob("company/**/*.yaml"):
        yield from ((relative(path), key) for key in keys(load_yaml(path)))


def keys(node: object) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield str(key)
        yield from keys(value)

"""The command line: write a world, and serve it."""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from simulator.contacts import ContactsError
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.story import Summary, simulate

_EXAMPLES = Path(__file__).parents[1] / "examples"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Write a company with a known truth.")
    parser.add_argument("--industry", choices=INDUSTRIES, required=True)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--span", type=int, default=0, help="months that it will last: the same goes on with a world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contacts", type=Path, help="messages that customers got, from `holdfast outbox export`")
    parser.add_argument("--reduction", type=float, help="share by which an action lowers churn, below 0 where it harms")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sources and the truth")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the world that the arguments ask for, with its company file; returns the exit status."""
    asked = _parser().parse_args(arguments)
    began = time.perf_counter()
    try:
        summary = simulate(
            load_parameters(asked.industry), asked.out, customers=asked.customers, months=asked.months, seed=asked.seed,
            span=asked.span, contacts=asked.contacts, reduction=asked.reduction,
        )  # fmt: skip
    except (FileExistsError, ContactsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    company = _EXAMPLES / asked.industry / "company.yaml"
    if company.is_file():  # an installed package comes without examples
        shutil.copy(company, asked.out / "company.yaml")
    sys.stdout.write(_report(summary, time.perf_counter() - began))
    return 0


def _report(summary: Summary, seconds: float) -> str:
    counts = f"{summary.customers:,} customers, {summary.orders:,} orders, {summary.events:,} events, "
    counts += f"{summary.tickets:,} tickets, {summary.defects:,} declared defects"
    left = ", ".join(f"{share:.1%}" for share in summary.left_share)
    rate = f"{summary.events / seconds:,.0f} events a second"
    return f"{counts} in {seconds:.1f} s ({rate})\nleft per month: {left}\n"

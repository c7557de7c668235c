"""How long a world of a million customers takes, and how much memory, beside one of ten thousand in the same run.

Run `python -m bench.simulator`; the figures are printed and written to bench/results/simulator.json.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEED, MONTHS, INDUSTRY = 0, 12, "ecommerce"
SMALL, LARGE = 10_000, 1_000_000
MOST_SECONDS, MOST_GIGABYTES = 900, 8
RESULTS = Path(__file__).parent / "results" / "simulator.json"
PEAK = "import resource, sys; from simulator.cli import main; status = main(sys.argv[1:]); "
PEAK += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"


def simulate(customers: int) -> tuple[float, float, str]:
    """Write a world in a process of its own; returns wall seconds, peak GiB, and what the world holds."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--industry", INDUSTRY, "--customers", str(customers), "--months", str(MONTHS)]
        command = [sys.executable, "-c", PEAK, *arguments, "--seed", str(SEED), "--out", f"{folder}/world"]
        begun = time.perf_counter()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        wall = time.perf_counter() - begun
    return wall, int(said[-1]) / 2**20, said[0].partition(" in ")[0]


def main() -> None:
    """Measure both sizes, print and write."""
    small, small_peak, _ = simulate(SMALL)
    wall, peak, size = simulate(LARGE)
    per_head = f"{1e6 * small / SMALL:.0f} s for a million at the pace of {SMALL:,} customers; {small_peak:.2f} GiB"
    common = {"reference": per_head, "seed": SEED, "size": f"{size}, {MONTHS} months, {INDUSTRY}"}
    common |= {"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python 3.11"}
    common |= {"command": "make bench TOPIC=simulator"}
    figures: list[dict[str, Any]] = [
        {"name": "a million customers written", "value": round(wall, 1), "unit": "s", "bar": f"<= {MOST_SECONDS}"},
        {"name": "peak memory of it", "value": round(peak, 2), "unit": "GiB", "bar": f"<= {MOST_GIGABYTES}"},
    ]
    for figure, most in zip(figures, (MOST_SECONDS, MOST_GIGABYTES), strict=True):
        figure |= {"holds": figure["value"] <= most, **common}
        print(f"{figure['name']}: {figure['value']} {figure['unit']} ({figure['bar']}; {per_head})")
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

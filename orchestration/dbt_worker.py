"""dbt in a process that stays warm: `python -m orchestration.dbt_worker` parses the project, then serves calls.

It answers with a JSON line, the exit `code`: first of the parse, then of each request, a JSON line of `arguments`,
`environment` and the file to `report` the results of a build to, if any. Each call runs in a fork, which lets go of the
warehouse when it ends, as DuckDB's one writer needs; the interpreter's start, dbt's import and the parsed project are
paid for once.
"""

import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest


def main(arguments: Sequence[str]) -> None:
    """Serve calls until the standard input ends; `arguments` are those of every call, after the command."""
    from dbt.cli.main import dbtRunner

    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what dbt prints is no reply
    parsed = dbtRunner().invoke(["--quiet", "parse", *arguments])
    answer(read_code(parsed), replies)
    manifest = parsed.result if parsed.success else None  # a call then reports what is wrong with the project
    gc.freeze()  # no call need look through the project for garbage time and again
    serve(manifest, requests=sys.stdin, replies=replies)  # type: ignore[arg-type]


def serve(manifest: "Manifest | None", *, requests: TextIO, replies: TextIO) -> None:
    """Answer each request with the exit code of its call."""
    for line in requests:
        request = json.loads(line)
        child = os.fork()
        if not child:
            call(manifest, request["arguments"], request["environment"], report=request["report"])
        _, status = os.waitpid(child, 0)
        answer(os.waitstatus_to_exitcode(status), replies)


def answer(code: int, replies: TextIO) -> None:
    """Write one reply."""
    print(json.dumps({"code": code}), file=replies, flush=True)


def read_code(done: "dbtRunnerResult") -> int:
    """Return the exit code that dbt's own command line gives for a result."""
    return 0 if done.success else 2 if done.exception else 1


def call(
    manifest: "Manifest | None", arguments: Sequence[str], environment: Mapping[str, str], *, report: str | None
) -> None:
    """Run one dbt command with its own environment and end this process with its exit code."""
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner

    code = 2
    try:
        os.environ.update(environment)
        done = dbtRunner(manifest=manifest).invoke(list(arguments))
        code = read_code(done)
        if report and isinstance(done.result, RunExecutionResult):
            done.result.write(report)
        if done.exception:
            print(done.exception, file=sys.stderr)  # noqa: T201 - as dbt's own command line does
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a fork must not run what its parent registered for its own end


if __name__ == "__main__":
    main(sys.argv[1:])

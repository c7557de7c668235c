"""The `holdfast` command line: every module of `orchestration/commands` is one of its commands."""

import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from orchestration import commands

HELP = "Churn prediction and retention, from a company's own systems to a measured saving."


def build_app() -> typer.Typer:
    """Return the command line.

    A module's `app` holds the subcommands of a topic; without one, its function of the same name is the command.
    """
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
    for found in iter_modules(commands.__path__):
        module = import_module(f"{commands.__name__}.{found.name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=found.name)
        else:
            app.command(found.name.replace("_", "-"))(getattr(module, found.name))
    return app


app = build_app()

if __name__ == "__main__":
    sys.exit(app())

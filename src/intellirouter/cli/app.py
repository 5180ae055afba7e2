"""Builds the command tree, and turns a `CommandError` into its message and exit status."""

import os
import platform
import sys
from typing import Annotated, Any, Final

import typer

from intellirouter import __version__
from intellirouter.cli.catalog import catalog_commands
from intellirouter.cli.chat import chat
from intellirouter.cli.command_group import CommandGroup, Group
from intellirouter.cli.completion import COMPLETE_VARIABLE, completion, prepare_completion
from intellirouter.cli.config import config_commands
from intellirouter.cli.credentials import credentials_commands
from intellirouter.cli.discover import discover
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.explain import explain, route_commands
from intellirouter.cli.health import health
from intellirouter.cli.init import init
from intellirouter.cli.models import models
from intellirouter.cli.output import OutputOption, print_data, print_error, print_line
from intellirouter.cli.requests import requests_commands
from intellirouter.cli.serve import serve
from intellirouter.cli.standard_streams import OutputError, discard_output, set_up_streams
from intellirouter.cli.usage_errors import USAGE_ERROR, reword

_NO_HELP: Final = {"help": False}
_HELP_DEFAULTS: Final = {
    "default_map": {
        **_NO_HELP,
        **dict.fromkeys(("catalog", "config", "credentials", "requests", "route"), _NO_HELP),
    }
}
"""Without this explicit default, typer imports pydantic (0.2 s) to interpret a help option that was not given."""


class _RootGroup(Group):
    """Reports the errors of all commands: a `CommandError` ends the process with its message and exit status."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as error:
            reword(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as error:
            reword(error)
            raise
        except CommandError as error:
            print_error(error.message, *error.notes)
            raise typer.Exit(error.status) from error


def _print_version(is_requested: bool) -> None:
    if is_requested:
        print_line(f"intellirouter {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run and query IntelliRouter, an LLM gateway."""


def version(output: OutputOption = "table") -> None:
    """Print the version of IntelliRouter and of Python."""
    data = {"intellirouter": __version__, "python": platform.python_version(), "platform": platform.platform()}
    print_data(data, output, lambda: [f"intellirouter {__version__} (Python {data['python']}, {data['platform']})"])


def build_app() -> typer.Typer:
    """Return the whole command tree."""
    app = CommandGroup(
        cls=_RootGroup,
        pretty_exceptions_enable=False,
        context_settings={**_HELP_DEFAULTS, "help_option_names": ["--help", "-h"]},
        add_completion=False,  # its options make typer import pydantic for every command
    )
    app.callback()(_root)
    app.command("serve")(serve)
    app.command("init")(init)
    app.add_typer(config_commands(), name="config")
    app.add_typer(credentials_commands(), name="credentials")
    app.command("health")(health)
    app.command("models")(models)
    app.command("discover")(discover)
    app.add_typer(catalog_commands(), name="catalog")
    app.command("chat")(chat)
    app.command("explain")(explain)
    app.add_typer(route_commands(), name="route")
    app.add_typer(requests_commands(), name="requests")
    app.command("completion")(completion)
    app.command("version")(version)
    return app


def run() -> None:
    """Run the command line. Ends the process with an `ExitStatus`, or with 130 after Ctrl-C."""
    set_up_streams()
    prepare_completion()
    try:
        try:
            build_app()(complete_var=COMPLETE_VARIABLE)
        finally:
            sys.stdout.flush()
    except OutputError as error:
        discard_output()
        if not error.has_no_reader:
            print_error(f"Cannot write to standard output: {error.reason}.")
        sys.exit(ExitStatus.FAILURE)
    except OSError as error:  # a path that no command reports by itself
        if error.filename is None:
            raise
        print_error(f"Cannot use {os.fsdecode(error.filename)}: {error.strerror}.")
        sys.exit(ExitStatus.FAILURE)

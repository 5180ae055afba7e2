"""The configuration file as an argument or option, and how problems in it are reported."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.command_signature import own_parameters, with_signature
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import print_notice

if TYPE_CHECKING:
    from intellirouter import config, roles
else:
    config = LazyModule("intellirouter.config")
    roles = LazyModule("intellirouter.roles")

_DEFAULT = "Default: intellirouter.yaml in this directory, if it exists."
# A file that cannot be read is a problem of the configuration, not of the command line: so `readable=False`.
OptionalConfigFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help=f"Configuration file (YAML or TOML). {_DEFAULT}", readable=False),
]
StoreConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help=f"Configuration file that sets the database (`store`). {_DEFAULT}",
        readable=False,
    ),
]


_ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The same as the argument FILE.", readable=False)
]


def takes_config_file(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command whose first parameter is a configuration file: it can also be given with --config."""
    file, *others = own_parameters(function)
    option = inspect.Parameter("config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_ConfigOption)
    parameters = [file, option, *others]

    def command(**values: Any) -> None:
        named = values.pop("config_file")
        if named is not None and values[file.name] not in {None, named}:
            message = "The configuration file is given twice, as an argument and with --config."
            raise typer.BadParameter(message, param_hint="--config")
        values[file.name] = values[file.name] if named is None else named
        function(**values)

    return with_signature(command, function, parameters)


_MAX_PRINTED: Final = 100
"""How many problems are printed for people."""


def chosen_file(file: Path | None) -> Path | None:
    """Return the given file, or else the default one, which is then named on standard error."""
    with report_config_errors():
        chosen = config.file_or_default(file)
    if file is None and chosen is not None:
        print_notice(f"Using {chosen} in this directory.")
    return chosen


@contextmanager
def report_config_errors() -> Iterator[None]:
    """Turn a `ConfigError` into a `CommandError` that lists every problem with its setting, origin and hint.

    A command that has only read the settings lists the same problems as one that uses all of them.
    """
    try:
        yield
    except config.InvalidConfig as error:
        raise config_error(roles.with_all_problems(error)) from error
    except config.ConfigError as error:
        raise config_error(error) from error


def config_error(error: "config.ConfigError") -> CommandError:
    """Return the error that lists all problems of a configuration."""
    message, *notes = problem_lines(error)
    return CommandError(message, *notes, status=ExitStatus.CONFIGURATION)


def problem_lines(error: "config.ConfigError") -> list[str]:
    """Return how many problems a configuration has, and then the lines that describe the first of them."""
    count = len(error.problems)
    message = "The configuration has 1 problem." if count == 1 else f"The configuration has {count} problems."
    lines = [line for problem in error.problems[:_MAX_PRINTED] for line in _problem_lines(problem)]
    if count > _MAX_PRINTED:
        rest = count - _MAX_PRINTED
        lines.append(f"… and {rest} more. `intellirouter config check --format json` lists all of them.")
    return [message, *lines]


def _problem_lines(problem: "config.ConfigProblem") -> Iterator[str]:
    setting = f"{problem.path}: " if problem.path else ""
    origin = f"  [{problem.origin}]" if problem.origin else ""
    yield f"{setting}{problem.message}{origin}"
    if problem.hint:
        yield f"    {problem.hint}"

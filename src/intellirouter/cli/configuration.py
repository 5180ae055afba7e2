"""What commands about the configuration share: problems as a list that says where, what and how to fix it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import config
else:
    config = LazyModule("intellirouter.config")

ConfigFile = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration file (YAML or TOML).")]
OptionalConfigFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="The configuration file; without it, defaults and environment.")
]


@contextmanager
def problems_listed() -> Iterator[None]:
    """Turn a `ConfigError` into a failure with one line a problem."""
    try:
        yield
    except config.ConfigError as error:
        count = len(error.problems)
        head = "the configuration has a problem" if count == 1 else f"the configuration has {count} problems"
        notes = [line for problem in error.problems for line in _lines(problem)]
        raise Failure(head, *notes, status=ExitStatus.CONFIGURATION) from error


def _lines(problem: "config.ConfigProblem") -> Iterator[str]:
    where = f"{problem.path}: " if problem.path else ""
    origin = f"  [{problem.origin}]" if problem.origin else ""
    yield f"{where}{problem.message}{origin}"
    if problem.hint:
        yield f"    {problem.hint}"

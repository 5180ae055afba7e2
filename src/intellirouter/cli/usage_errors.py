"""Messages about invalid command lines. They replace those of pydantic and complete those of typer."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import typer

_MESSAGES: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], str]]] = {
    "int_parsing": lambda value, _: f"{value!r} is not an integer.",
    "greater_than_equal": lambda value, limits: f"{value} is less than {limits['ge']}, the smallest allowed value.",
    "less_than_equal": lambda value, limits: f"{value} is greater than {limits['le']}, the largest allowed value.",
    "value_error": lambda _, context: str(context["error"]),
}
"""By pydantic's type of error. Each takes the value and the error's context."""
_EXTRA: Final = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)

_FILE: Final = re.compile(r"\S+\.(ya?ml|toml)", re.IGNORECASE)

USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""The base class of all errors of typer about a command line. Typer does not export it."""


def _file_hint(error: Any, arguments: str) -> str:
    """Return which option takes the file that was given as an argument."""
    parameters = error.ctx.command.params if error.ctx is not None else []
    takes_file = any(each.param_type_name == "argument" and each.metavar == "FILE" for each in parameters)
    names = {name for each in parameters for name in each.opts}
    option = next((each for each in ("--config", "--output") if each in names), None)
    if option is None or takes_file or not _FILE.fullmatch(arguments):
        return ""
    return f" Use {option} {arguments}."


def reword(error: Any) -> None:
    """Replace the message of a usage error by whole sentences."""
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    if details and (message := _MESSAGES.get(details[0]["type"])) is not None:
        error.message = message(details[0]["input"], details[0].get("ctx", {}))
    elif extra := _EXTRA.fullmatch(error.message):
        error.message = f"Unexpected arguments: {extra[1]}." if " " in extra[1] else f"Unexpected argument: {extra[1]}."
        error.message += _file_hint(error, extra[1])
    elif error.message and error.message[-1] not in ".?!":
        error.message += "."
    if options := getattr(error, "possibilities", None):
        error.possibilities = None
        error.message += f" Did you mean {' or '.join(sorted(options))}?"

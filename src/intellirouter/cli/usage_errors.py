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

USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""The base class of all errors of typer about a command line. Typer does not export it."""


def reword(error: Any) -> None:
    """Replace the message of a usage error by whole sentences."""
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    if details and (message := _MESSAGES.get(details[0]["type"])) is not None:
        error.message = message(details[0]["input"], details[0].get("ctx", {}))
    elif extra := _EXTRA.fullmatch(error.message):
        error.message = f"Unexpected arguments: {extra[1]}." if " " in extra[1] else f"Unexpected argument: {extra[1]}."
    elif error.message and error.message[-1] not in ".?!":
        error.message += "."
    if options := getattr(error, "possibilities", None):
        error.possibilities = None
        error.message += f" Did you mean {' or '.join(sorted(options))}?"

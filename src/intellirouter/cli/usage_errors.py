"""Messages about invalid option values. They replace those of pydantic, which typer would show."""

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


def reword(error: typer.BadParameter) -> None:
    """Replace the message of an error that pydantic caused. Other errors, and unknown types, stay as they are."""
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    if details and (message := _MESSAGES.get(details[0]["type"])) is not None:
        error.message = message(details[0]["input"], details[0].get("ctx", {}))

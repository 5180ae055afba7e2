"""Gives a generated command the signature from which typer makes its arguments and options."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def own_parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
    """Return the parameters of a function, with its annotations evaluated, as keyword-only ones."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]


def with_signature(
    command: Callable[..., None], function: Callable[..., None], parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """Return `command` with the name and the help of `function`, and these parameters."""
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__module__ = function.__module__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    signature: Any = inspect.Signature(parameters)
    command.__signature__ = signature  # type: ignore[attr-defined]  # typer reads the parameters here
    return command

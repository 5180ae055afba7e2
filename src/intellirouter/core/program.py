"""The name under which this program was started, for the commands that messages suggest."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

NAME: Final = "intellirouter"
_SCRIPTS: Final = frozenset({NAME, "intellirouter-cli", "ai-orchestra"})
_COMMAND: Final = re.compile(rf"(?<=`){NAME}(?= [a-z])|(?<=run: ){NAME}(?= [a-z])")
"""The name of the program at the beginning of a command in a message."""


def with_program_name(text: str) -> str:
    """Return a message with commands that work here: `.venv/bin/intellirouter init` in place of `intellirouter init`.

    Nothing changes if `intellirouter` is on PATH.
    """
    return _COMMAND.sub(lambda _: program_name(), text) if NAME in text else text


@cache
def program_name() -> str:
    """Return how to call this program in a shell."""
    return command_for(sys.orig_argv, is_on_path=shutil.which(NAME) is not None)


def command_for(arguments: Sequence[str], *, is_on_path: bool) -> str:
    """Return how to call the program that was started with these arguments, the interpreter first."""
    if is_on_path or not arguments:
        return NAME
    for number, argument in enumerate(arguments[1:], start=1):
        if os.path.basename(argument) in _SCRIPTS and arguments[number - 1] != "-m":  # noqa: PTH119 - text only
            return shlex.quote(argument)
        if argument == NAME:
            return f"{shlex.quote(arguments[0])} -m {NAME}"
    return NAME

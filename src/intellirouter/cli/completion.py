"""`intellirouter completion`: print the script with which a shell completes commands and options."""

import os
from typing import Annotated, Any, Final, Literal

import typer

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import print_line

_typer: Final[Any] = LazyModule("typer.completion")
"""Loaded only if a shell asks, because it is slow."""
_PROGRAM: Final = "intellirouter"
COMPLETE_VARIABLE: Final = "_INTELLIROUTER_COMPLETE"
"""The shell calls the program with this variable to get the possible words."""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="Shell: bash, zsh or fish.")],
) -> None:
    """Print a script that lets a shell complete commands and options.

    For bash, add `eval "$(intellirouter completion bash)"` to ~/.bashrc. For zsh, add
    `eval "$(intellirouter completion zsh)"` to ~/.zshrc, after compinit. For fish, write the output to
    ~/.config/fish/completions/intellirouter.fish.
    """
    print_line(_typer.get_completion_script(prog_name=_PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell))


def prepare_completion() -> None:
    """Let typer answer if a shell asks for words. Without this, it knows no shell."""
    if COMPLETE_VARIABLE in os.environ:  # noqa: TID251 - how shells ask, not a setting
        _typer.completion_init()

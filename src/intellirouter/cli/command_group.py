"""Commands and groups of commands with help pages of our own.

Usage lines name a required argument `FILE`, as the reference does, not `{FILE}`.
"""

from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from intellirouter.cli.help_text import HelpText

_WHOLE: Final = 1000
"""Characters of a description in a list of commands: more than any has."""


class _Command(TyperCommand):
    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [piece[1:-1] if piece.startswith("{") and piece.endswith("}") else piece for piece in pieces]

    def get_help(self, ctx: Any) -> str:
        return _help(self, ctx)

    def get_usage(self, ctx: Any) -> str:
        return _usage(self, ctx)


class Group(TyperGroup):
    """A group of commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with the whole first sentences of their descriptions."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(_WHOLE)) for name, each in commands if each is not None]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def get_help(self, ctx: Any) -> str:
        return _help(self, ctx)

    def get_usage(self, ctx: Any) -> str:
        return _usage(self, ctx)


def _help(command: Any, ctx: Any) -> str:
    text: Any = HelpText()
    command.format_help(ctx, text)
    return str(text.getvalue()).rstrip("\n")


def _usage(command: Any, ctx: Any) -> str:
    text: Any = HelpText()
    command.format_usage(ctx, text)
    return str(text.getvalue()).rstrip("\n")


class CommandGroup(typer.Typer):
    """A `typer.Typer` for plain-text help, because rendering it with rich would make it slow."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"cls": Group, "no_args_is_help": True, "rich_markup_mode": None, **options})

    def command(self, name: str | None = None, **options: Any) -> Any:
        return super().command(name, cls=_Command, **options)

"""A group of commands whose usage lines name a required argument `FILE`, as the reference does, not `{FILE}`."""

from typing import Any

import typer
from typer.core import TyperCommand


class _Command(TyperCommand):
    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [piece[1:-1] if piece.startswith("{") and piece.endswith("}") else piece for piece in pieces]


class CommandGroup(typer.Typer):
    """A `typer.Typer` for plain-text help, because rendering it with rich would make it slow."""

    def __init__(self, **options: Any) -> None:
        super().__init__(no_args_is_help=True, rich_markup_mode=None, **options)

    def command(self, name: str | None = None, **options: Any) -> Any:
        return super().command(name, cls=_Command, **options)

"""Lays out help pages. Names of options, commands and variables are never broken, however narrow the terminal is."""

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer

_HelpFormatter: Final[Any] = typer.Context.formatter_class
"""The base class is not exported under a name of its own."""
_WORD: Final = re.compile(r"`[^`]*`\S*|\[[^\[\]]*\]\S*|\S+")
"""A code span and a remark in brackets are not broken either, if they fit on a line."""
_MIN_WIDTH: Final = 20
_MAX_WIDTH: Final = 78
_MIN_TEXT_WIDTH: Final = 30
"""With less room next to the names, descriptions are below them."""
_GAP: Final = 2
_INDENT: Final = 4


class HelpText(_HelpFormatter):  # type: ignore[misc]  # its type is not known
    """The text of one help page."""

    def __init__(self) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(width=max(_MIN_WIDTH, min(columns - 2, _MAX_WIDTH)))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line."""
        lines = wrap(f"{prefix or 'Usage: '}{prog} {args}", self.width, " " * _INDENT)
        self.write("\n".join(lines) + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        indent = " " * self.current_indent
        paragraphs = (wrap(each, self.width - len(indent)) for each in re.split(r"\n\s*\n", text.strip()))
        self.write("\n\n".join("\n".join(indent + line for line in lines) for lines in paragraphs) + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = _GAP) -> None:
        """Write names with their descriptions, in two columns if the terminal is wide enough."""
        rows = list(rows)
        room = self.width - self.current_indent
        column = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        if room - column < _MIN_TEXT_WIDTH:
            column = _INDENT
        for name, description in rows:
            self.write("\n".join(" " * self.current_indent + line for line in _row(name, description, column, room)))
            self.write("\n")


def _row(name: str, description: str, column: int, room: int) -> Iterator[str]:
    """Yield the lines of a name and its description, which begins at `column`."""
    lines = wrap(" ".join(description.split()), room - column) if description else []
    if lines and len(name) + _GAP <= column:
        yield name.ljust(column) + lines[0]
        lines = lines[1:]
    else:
        yield name
    yield from (" " * column + line for line in lines)


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break a paragraph between words. All lines but the first are indented. A word that is too long has its own."""
    lines: list[str] = []
    words = [part for word in _WORD.findall(text) for part in (word.split() if len(word) > width else [word])]
    for word in words:
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(indent + word if lines else word)
    return lines

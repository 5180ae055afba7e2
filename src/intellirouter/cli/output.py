"""What commands print: data as a table, JSON or YAML on standard output; words for people on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    import msgspec
    import yaml
    from rich import console, table, text
else:
    msgspec = LazyModule("msgspec")
    yaml = LazyModule("yaml")
    console = LazyModule("rich.console")
    table = LazyModule("rich.table")
    text = LazyModule("rich.text")

Format = Literal["table", "json", "yaml"]
Blocks = Iterable["str | table.Table"]
"""Lines and tables, in order."""

UNKNOWN: Final = "–"
_PIPE_COLUMNS: Final = 10_000
"""Nothing that a script reads is folded or cut."""


def emit(data: Any, output: Format, blocks: Callable[[], Blocks]) -> None:
    """Print `data` as JSON or YAML, or what `blocks` makes of it for people."""
    if output == "table":
        screen = _screen()
        for block in blocks():
            screen.print(text.Text(printable(block)) if isinstance(block, str) else block)
        return
    typer.echo(encoded(data, output).rstrip("\n"))


def encoded(data: Any, output: Format, *, is_one_line: bool = False) -> str:
    """Return `data` as a JSON or YAML document. `is_one_line` is for feeds: JSON Lines, or `---` before each."""
    plain = msgspec.to_builtins(data, enc_hook=str)
    if output == "yaml":
        document = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=115)
        return f"---\n{document}" if is_one_line else str(document)
    return json.dumps(plain, indent=None if is_one_line else 2, ensure_ascii=False)


def grid(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> "table.Table":
    """Return a table of cells as text. `right` names the headings of columns with numbers."""
    made = table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text.Text(cell(value)) for value in row))
    return made


def cell(value: Any) -> str:
    """Render one value for people: unknown as a dash, lists joined, numbers without noise."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(cell(item) for item in value) or UNKNOWN
    return printable(str(value))


def printable(words: str) -> str:
    """Remove what would steer a terminal: answers and names come from elsewhere."""
    return "".join(letter for letter in words if letter in "\n\t" or not _is_control(letter))


def _is_control(letter: str) -> bool:
    return letter < " " or "\x7f" <= letter <= "\x9f"


def say(words: str) -> None:
    """Tell people something, beside the data."""
    typer.secho(printable(words), err=True, dim=True)


def say_error(message: str, *notes: str) -> None:
    typer.secho(f"error: {printable(message)}", err=True, fg="red")
    for note in notes:
        typer.echo(f"  {printable(note)}", err=True)


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def _screen() -> "console.Console":
    return console.Console(width=None if is_terminal() else _PIPE_COLUMNS, highlight=False, soft_wrap=False)

"""What commands print: data as a table, JSON or YAML on standard output; messages on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    import msgspec
    import yaml
    from rich import console, table, text

    from intellirouter import core
else:
    core = LazyModule("intellirouter.core")
    msgspec = LazyModule("msgspec")
    yaml = LazyModule("yaml")
    console = LazyModule("rich.console")
    table = LazyModule("rich.table")
    text = LazyModule("rich.text")

OutputFormat = Literal["table", "json", "yaml"]
OutputOption = Annotated[OutputFormat, typer.Option("--format", metavar="table|json|yaml", help="Output format.")]
Blocks = Iterable["str | table.Table"]
"""Lines and tables, in order."""

UNKNOWN: Final = "–"
_PIPE_COLUMNS: Final = 10_000
"""The width when standard output is not a terminal: scripts must see no wrapped or truncated cells."""


def print_data(data: Any, output: OutputFormat, blocks: Callable[[], Blocks]) -> None:
    """Print `data` as JSON or YAML, or the lines and tables that `blocks` returns."""
    if output == "table":
        screen = _screen()
        for block in blocks():
            screen.print(text.Text(printable(block)) if isinstance(block, str) else block)
        return
    typer.echo(encode(data, output).rstrip("\n"))


def encode(data: Any, output: OutputFormat, *, is_one_line: bool = False) -> str:
    """Return `data` as a JSON or YAML document. `is_one_line` is for streams: JSON Lines, or YAML after a `---`."""
    plain = msgspec.to_builtins(data, enc_hook=str)
    if output == "yaml":
        document = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=115)
        return f"---\n{document}" if is_one_line else str(document)
    document = json.dumps(plain, indent=None if is_one_line else 2, ensure_ascii=False)
    return core.escape_control_characters_in_json(document)


def make_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> "table.Table":
    """Return a table. `right` names the headings of the columns that are aligned to the right."""
    made = table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text.Text(format_value(value)) for value in row))
    return made


def format_value(value: Any) -> str:
    """Render one value for a table: a dash if it is unknown, lists joined by commas, numbers rounded."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(format_value(item) for item in value) or UNKNOWN
    return printable(str(value), keeps_lines=False)


def format_count(number: int, noun: str) -> str:
    """Return `1 model`, `2 models`, …"""
    return core.format_count(number, noun)


def printable(untrusted: str, *, keeps_lines: bool = True) -> str:
    """Escape terminal control characters: answers, names and error messages come from other machines."""
    return core.escape_control_characters(untrusted, keeps_lines=keeps_lines)


def print_notice(message: str) -> None:
    """Print a message for people on standard error, apart from the data."""
    typer.secho(printable(message), err=True, dim=True)


def print_error(message: str, *notes: str) -> None:
    typer.secho(f"Error: {printable(message)}", err=True, fg="red")
    for note in notes:
        typer.echo(f"  {printable(note)}", err=True)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def _screen() -> "console.Console":
    return console.Console(width=None if is_terminal() else _PIPE_COLUMNS, highlight=False, soft_wrap=False)

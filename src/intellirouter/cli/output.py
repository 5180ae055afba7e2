"""What commands print: data as a table, JSON or YAML on standard output; messages on standard error."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.standard_streams import is_unicode_output
from intellirouter.cli.tables import Part, Table, fit_parts, lay_out, wrap_prose

if TYPE_CHECKING:
    import msgspec
    import yaml

    from intellirouter import core
else:
    core = LazyModule("intellirouter.core")
    msgspec = LazyModule("msgspec")
    yaml = LazyModule("yaml")

OutputFormat = Literal["table", "json", "yaml"]
OutputOption = Annotated[OutputFormat, typer.Option("--format", metavar="table|json|yaml", help="Output format.")]
Blocks = Iterable[str | Table]
"""Lines and tables, in order."""

UNKNOWN: Final = "–"
_BOLD: Final = "1"
_DIM: Final = "2"
_RED: Final = "31"
_PIPE_COLUMNS: Final = 10_000
"""The width when standard output is not a terminal: scripts must see no wrapped or truncated cells."""


def print_data(data: Any, output: OutputFormat, blocks: Callable[[], Blocks]) -> None:
    """Print `data` as JSON or YAML, or the lines and tables that `blocks` returns."""
    if output != "table":
        print_line(encode(data, output).rstrip("\n"))
        return
    hidden: dict[str, None] = {}
    for block in blocks():
        if isinstance(block, str):
            print_line(printable(block))
        else:
            hidden.update(dict.fromkeys(_print_table(block)))
    if hidden:
        _note_hidden(hidden)


def print_line(line: str = "") -> None:
    """Print a line on standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class LinePrinter:
    """Prints lines of which a narrow terminal shows only some parts. Names each part that is left out once."""

    def __init__(self) -> None:
        self._noted: set[str] = set()

    def print(self, parts: Iterable[Part]) -> None:
        line, hidden = fit_parts(parts, _output_columns())
        print_line(printable(line, keeps_lines=False))
        if new := [part.name for part in hidden if part.name not in self._noted]:
            self._noted.update(new)
            _note_hidden(new)


def _note_hidden(headings: Iterable[str]) -> None:
    print_notice(f"Columns that do not fit: {', '.join(headings)}. Use a wider terminal, or --format json.")


def _print_table(block: Table) -> Sequence[str]:
    """Print the columns that fit, and return the headings of the others."""
    layout = lay_out(block, _output_columns())
    lines = list(layout.lines)
    lines[: layout.heading_lines] = [_styled(line, _BOLD, sys.stdout) for line in lines[: layout.heading_lines]]
    print_line("\n".join(lines))
    return layout.hidden


def encode(data: Any, output: OutputFormat, *, is_one_line: bool = False) -> str:
    """Return `data` as a JSON or YAML document. `is_one_line` is for streams: JSON Lines, or YAML after a `---`."""
    plain = msgspec.to_builtins(data, enc_hook=str)
    document = _encode(plain, output, is_one_line=is_one_line, is_ascii=not is_unicode_output())
    if not document.isascii() and any("\ud800" <= char <= "\udfff" for char in document):  # bytes of a file name
        document = _encode(plain, output, is_one_line=is_one_line, is_ascii=True)
    return document if output == "yaml" else core.escape_control_characters_in_json(document)


def _encode(plain: Any, output: OutputFormat, *, is_one_line: bool, is_ascii: bool) -> str:
    if output == "yaml":
        document = yaml.safe_dump(plain, sort_keys=False, allow_unicode=not is_ascii, width=115)
        return f"---\n{document}" if is_one_line else str(document)
    return json.dumps(plain, indent=None if is_one_line else 2, ensure_ascii=is_ascii)


def make_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    wrapped: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Table:
    """Return a table. `right` names the headings of the columns that are aligned to the right.

    `wrapped` names those whose cells may be wrapped, `optional` those that a narrow terminal leaves out, in this order.
    """
    cells = [tuple(format_value(value) for value in row) for row in rows]
    return Table(tuple(headings), cells, frozenset(right), frozenset(wrapped), tuple(optional))


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
    _print_message(_message(message), _DIM)


def print_error(message: str, *notes: str) -> None:
    _print_message(f"Error: {_message(message)}", _RED)
    for note in notes:
        _print_message(f"  {_message(note)}")


def _message(text: str) -> str:
    return printable(core.with_program_name(text))


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def _print_message(text: str, style: str = "") -> None:
    columns = _message_columns()
    for line in text.split("\n"):
        for part in [line] if columns is None else wrap_prose(line, columns):
            sys.stderr.write(f"{_styled(part, style, sys.stderr) if style else part}\n")
    sys.stderr.flush()


def _message_columns() -> int | None:
    """Return the width of standard error if it is a terminal. It need not be the one of standard output."""
    if not sys.stderr.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")  # noqa: TID251 - describes the terminal, as for tables
    try:
        columns = int(wanted) if wanted.isdecimal() else os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return None
    return columns or None


def _output_columns() -> int:
    return shutil.get_terminal_size().columns if is_terminal() else _PIPE_COLUMNS


def _styled(line: str, style: str, stream: Any) -> str:
    """Return the line in bold, dim or red if the terminal and the user allow it."""
    environ = os.environ  # noqa: TID251 - these two variables describe the terminal, not the gateway
    is_plain = not stream.isatty() or bool(environ.get("NO_COLOR")) or environ.get("TERM", "dumb") == "dumb"
    return line if is_plain else f"\x1b[{style}m{line}\x1b[0m"

"""Lays out tables for a terminal. Identifiers are never broken: a narrow terminal gets fewer columns. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_GAP: Final = 2
_QUOTED: Final = re.compile(r"`[^`]*`")
_KEPT_SPACE: Final = "\0"
_MAX_WORD_CELLS: Final = 40
"""A longer word, such as a URL in an error message, may be broken."""


@dataclass(frozen=True)
class Table:
    """Headings, and rows of cells that contain no line feeds. Headings of spaces are not printed."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    """Headings of the columns that are aligned to the right."""
    wrapped: frozenset[str] = frozenset()
    """Headings of the columns with prose or lists, which may be wrapped between words."""
    optional: Sequence[str] = ()
    """Headings of the columns that a narrow terminal leaves out, the least important first."""
    legends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Heading -> the lines below the table that explain the column. They are printed if the column is."""


@dataclass(frozen=True)
class Layout:
    lines: Sequence[str]
    """Of the table, and then of the legends of its columns."""
    heading_lines: int
    hidden: Sequence[str] = field(default_factory=tuple)
    """Headings of the columns that do not fit."""


def lay_out(table: Table, width: int) -> Layout:
    """Return the lines of `table` for a terminal that is `width` cells wide."""
    natural = [_natural_width(table, index) for index in range(len(table.headings))]
    least = [_least_width(table, index, natural[index]) for index in range(len(table.headings))]
    shown = _fitting_columns(table, least, width)
    widths = _final_widths(table, shown, (natural, least), width)
    has_headings = any(heading.strip() for heading in table.headings)
    rows = [table.headings, *table.rows] if has_headings else table.rows
    lines: list[str] = []
    heading_lines = 0
    for number, row in enumerate(rows):
        lines += _row_lines(table, [(row[index], widths[index], index) for index in shown])
        if number == 0 and has_headings:
            heading_lines = len(lines)
    lines += [line for index in shown for line in table.legends.get(table.headings[index], ())]
    hidden = tuple(heading for index, heading in enumerate(table.headings) if index not in shown)
    return Layout(lines=lines, heading_lines=heading_lines, hidden=hidden)


class Part(NamedTuple):
    """A part of a line without columns of fixed width."""

    text: str
    rank: int
    """A narrow terminal shows the parts with the lowest ranks."""
    name: str


def fit_parts(parts: Iterable[Part], width: int) -> tuple[str, list[Part]]:
    """Join the parts of a line, and return it with the parts that do not fit: those with the highest ranks."""
    kept = [part for part in parts if part.text.strip()]
    hidden = []
    while len(kept) > 1 and cell_width(_joined(kept)) > width:
        last = max(kept, key=lambda part: part.rank)
        kept.remove(last)
        hidden.append(last)
    return _joined(kept), hidden


def cell_width(text: str) -> int:
    """Return how many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.combining(char) else 1 for char in text
    )


def wrap(text: str, width: int) -> list[str]:
    """Break `text` between words; within a word only if it is longer than a line."""
    lines = [""]
    for word in text.split(" "):
        rest = word
        joined = f"{lines[-1]} {rest}" if lines[-1] else rest
        if cell_width(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        while cell_width(rest) > width:
            head = _prefix(rest, width)
            lines[-1:] = [head, ""]
            rest = rest[len(head) :]
        lines[-1] = rest
    return lines


def wrap_prose(text: str, width: int) -> list[str]:
    """Break a line between words, but neither within words nor within backticks, so that commands can be copied.

    All lines are indented as the first one.
    """
    words = _QUOTED.sub(lambda found: found[0].replace(" ", _KEPT_SPACE), text.lstrip(" ")).split(" ")
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines = [indent + words[0]]
    for word in words[1:]:
        joined = f"{lines[-1]} {word}"
        if cell_width(joined) <= width:
            lines[-1] = joined
        elif word:
            lines.append(indent + word)
    return [line.replace(_KEPT_SPACE, " ").rstrip() for line in lines]


def _prefix(text: str, width: int) -> str:
    """Return the longest prefix that fits, at least one character."""
    cells = 0
    for index, char in enumerate(text):
        cells += cell_width(char)
        if cells > width and index:
            return text[:index]
    return text


def _joined(parts: list[Part]) -> str:
    return (" " * _GAP).join(part.text for part in parts)


def _natural_width(table: Table, index: int) -> int:
    return max(cell_width(row[index]) for row in (table.headings, *table.rows))


def _least_width(table: Table, index: int, natural: int) -> int:
    if table.headings[index] not in table.wrapped:
        return natural
    words = (cell_width(word) for row in table.rows for word in row[index].split(" "))
    return min(natural, max(cell_width(table.headings[index]), min(_MAX_WORD_CELLS, max(words, default=0))))


def _fitting_columns(table: Table, least: Sequence[int], width: int) -> list[int]:
    """Return the columns that fit. Columns that are not optional are shown even if they do not fit."""
    shown = list(range(len(table.headings)))
    removed: list[int] = []
    for heading in table.optional:
        if _total(shown, least) <= width:
            break
        index = table.headings.index(heading)
        shown.remove(index)
        removed.append(index)
    for index in reversed(removed):  # a wide column may have made room for several narrow ones
        if _total([*shown, index], least) <= width:
            shown = sorted([*shown, index])
    return shown


def _total(shown: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[index] for index in shown) + _GAP * (len(shown) - 1)


def _final_widths(
    table: Table, shown: Sequence[int], limits: tuple[Sequence[int], Sequence[int]], width: int
) -> dict[int, int]:
    """Give the cells that are left to the wrapped columns, in their order."""
    natural, least = limits
    widths = {index: least[index] for index in shown}
    room = max(0, width - _total(shown, least))
    for index in shown:
        if table.headings[index] in table.wrapped:
            more = min(room, natural[index] - least[index])
            widths[index] += more
            room -= more
    return widths


def _row_lines(table: Table, cells: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    wrapped = [wrap(text, width) if table.headings[index] in table.wrapped else [text] for text, width, index in cells]
    for number in range(max(map(len, wrapped), default=0)):
        pieces = []
        for lines, (_, width, index) in zip(wrapped, cells, strict=True):
            text = lines[number] if number < len(lines) else ""
            padding = " " * (width - cell_width(text))
            pieces.append(padding + text if table.headings[index] in table.right else text + padding)
        yield (" " * _GAP).join(pieces).rstrip()

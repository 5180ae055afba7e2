"""Finds the line of every setting in a TOML file, which the parser of the standard library does not report. Pure."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from intellirouter.config.tree import Path

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'",
    re.DOTALL,
)
_PLAIN: Final = re.compile(r"[^,\]}\n#]*")


def toml_lines(text: str) -> dict[Path, int]:
    """Return the line of each setting, section and list item. `text` must be valid TOML, of limited depth."""
    reader = _Reader(text)
    reader.read()
    return reader.lines


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._last_index: dict[Path, int] = {}
        """Of each list of tables: the index of the table to which the following lines belong."""

    def read(self) -> None:
        section: Path = ()
        while self._skip_blank():
            section = self._section() if self._next() == "[" else self._setting(section)

    def _section(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`, and return its path."""
        start = self._at
        is_item = self._text.startswith("[[", start)
        self._at += 2 if is_item else 1
        self._skip_blank()
        *above, name = self._key()
        path = (*self._resolved(above), name)
        self._skip_blank()
        self._at += 2 if is_item else 1
        if not is_item:
            return self._mark(self._resolved([name], path[:-1]), start)
        self._mark(path, start)
        self._last_index[path] = index = self._last_index.get(path, -1) + 1
        return self._mark((*path, index), start)

    def _resolved(self, names: Sequence[str], above: Path = ()) -> Path:
        """Return the path of a section. A list of tables in it stands for its last table."""
        path = above
        for name in names:
            path = (*path, name)
            if (index := self._last_index.get(path)) is not None:
                path = (*path, index)
        return path

    def _setting(self, section: Path) -> Path:
        """Read `key = value`, and return `section`."""
        start = self._at
        path = section
        for name in self._key():
            path = self._mark((*path, name), start)
        self._skip_blank()
        self._at += 1  # the equals sign
        self._value(path)
        return section

    def _key(self) -> list[str]:
        return list(self._key_parts())

    def _key_parts(self) -> Iterator[str]:
        while found := _KEY.match(self._text, self._at):
            self._at = found.end()
            yield tomllib.loads(f"key = {found[0]}")["key"] if found[0][0] in "\"'" else found[0]
            if (dot := _DOT.match(self._text, self._at)) is None:
                return
            self._at = dot.end()

    def _value(self, path: Path) -> None:
        self._skip_blank()
        first = self._next()
        if first == "{":
            for _ in self._members("}"):
                self._setting(path)
        elif first == "[":
            for index in self._members("]"):
                self._value(self._mark((*path, index), self._at))
        else:
            found = (_STRING if first in {'"', "'"} else _PLAIN).match(self._text, self._at)
            self._at = found.end() if found is not None else len(self._text)

    def _members(self, end: str) -> Iterator[int]:
        """Yield the index of each member. The caller reads it."""
        self._at += 1
        index = 0
        while self._skip_blank() and self._next() != end:
            yield index
            index += 1
            self._skip_blank()
            if self._next() == ",":
                self._at += 1
        self._at += 1

    def _skip_blank(self) -> bool:
        """Skip white space, line feeds and comments. Return whether anything follows."""
        if (found := _BLANK.match(self._text, self._at)) is not None:
            self._at = found.end()
        return self._at < len(self._text)

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _mark(self, path: Path, start: int) -> Path:
        """Note where `path` is first mentioned, and return it."""
        self.lines.setdefault(path, bisect_right(self._line_starts, start))
        return path

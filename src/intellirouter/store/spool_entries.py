"""The entries of a spool directory: which ones are segments, and which ones are set aside.

Anything can lie in a directory: a folder, a pipe, a link, or a file of another program with a name like a segment's.
None of them may keep the other segments from being adopted, and none may be deleted. They are renamed to `*.set-aside`
and counted.
"""

import logging
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from intellirouter.store.record_lines import split_lines
from intellirouter.store.spool_segment import NEW_SUFFIX, SUFFIX, SpoolSegment

logger = logging.getLogger(__name__)

SET_ASIDE_SUFFIX: Final = ".set-aside"
_LINE_START: Final = re.compile(rb"[0-9a-f]{0,8}(?:\Z|(?<=[0-9a-f]{8}) (?:\Z|\{))")
"""The beginning of a record, which may have been torn anywhere."""
_CHUNK_BYTES: Final = 1024 * 1024
_MAX_CHECKED_BYTES: Final = 64 * 1024 * 1024
_CHUNK_LINES: Final = 1 << 30
_MAX_NAMES: Final = 100


class SpoolEntries:
    """Adopts the segments of dead processes. Belongs to the drain thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unusable: set[str] = set()
        self.owned: frozenset[str] = frozenset()
        """The segments that had an owner at the last look."""
        self._reported: set[str] = set()

    @property
    def unusable(self) -> int:
        """How many entries are in the directory that are not segments, or that cannot be read."""
        return len(self._unusable)

    def adopt(self, own: Collection[str], offsets: Mapping[str, int]) -> list[SpoolSegment]:
        """Return the segments without an owner, in the order of their names. Never raises OSError for an entry.

        `own` are the names of segments that are open already. `offsets` says where their drain continues.
        """
        adopted: list[SpoolSegment] = []
        owned: set[str] = set()
        self._unusable = {path.name for path in self._directory.glob(f"*{SET_ASIDE_SUFFIX}*")}
        for path in sorted((*self._directory.glob(f"*{NEW_SUFFIX}"), *self._directory.glob(f"*{SUFFIX}"))):
            if path.name in own:
                continue
            try:
                segment = self._open(path, offsets, owned)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                self._report(path, f"cannot be read: {error.strerror or error}")
                self._unusable.add(path.name)
                continue
            if segment is not None:
                adopted.append(segment)
        self.owned = frozenset(owned)
        return adopted

    def _open(self, path: Path, offsets: Mapping[str, int], owned: set[str]) -> SpoolSegment | None:
        if not _is_file(path):
            self._set_aside(path)
            return None
        segment = SpoolSegment.adopt(path)
        if segment is None:
            if path.exists():
                owned.add(path.name)
            return None
        if path.name.endswith(NEW_SUFFIX):  # its owner died between creating and naming it
            segment.close(deletes=segment.size == 0)
            return None
        try:
            offset = offsets.get(path.name, 0)
            if not offset and not _has_records(segment):
                segment.close(deletes=False)
                self._set_aside(path)
                return None
            segment.start_at(offset)
        except BaseException:
            segment.close(deletes=False)
            raise
        return segment

    def _set_aside(self, path: Path) -> None:
        """Rename an entry that is not a segment, so that it is neither read nor deleted."""
        target = path.with_name(path.name + SET_ASIDE_SUFFIX)
        number = 1
        while target.exists() or target.is_symlink():
            number += 1
            target = path.with_name(f"{path.name}{SET_ASIDE_SUFFIX}-{number}")
        path.rename(target)
        self._report(path, f"is not a segment of the spool. It has been renamed to {target.name}")
        self._unusable.add(target.name)

    def _report(self, path: Path, problem: str) -> None:
        if path.name not in self._reported and len(self._reported) < _MAX_NAMES:
            self._reported.add(path.name)
            logger.error("The entry %s of the spool directory %s %s.", path.name, self._directory, problem)


def _is_file(path: Path) -> bool:
    """Return whether an entry is a regular file. Raises FileNotFoundError."""
    return stat.S_ISREG(path.lstat().st_mode)


def _has_records(segment: SpoolSegment) -> bool:
    """Return whether a segment contains a whole record, or at most the beginning of one."""
    if _LINE_START.match(segment.read(0, 10)):
        return True
    position, rest = 0, b""
    while position < min(segment.size, _MAX_CHECKED_BYTES):
        data = segment.read(position, _CHUNK_BYTES)
        position += len(data)
        bodies, _, consumed = split_lines(rest + data, _CHUNK_LINES)
        if bodies:
            return True
        rest = (rest + data)[consumed:][-8 * _CHUNK_BYTES - 64 :]
    return False

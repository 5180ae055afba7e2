"""Endless repetition: a model that has lost its way writes the same text again and again until a limit ends it."""

from collections.abc import Iterator
from typing import Final

from intellirouter.core import errors

MIN_REPETITION_CHARS: Final = 2_000
"""How many characters at the end of an answer that reached a limit must be repetitions of one text."""
_MIN_PERIOD: Final = 4
_MAX_PERIOD: Final = 400
_MIN_REPETITIONS: Final = 40
_PROBE_CHARS: Final = 64
_MIN_STREAM_REPETITION_CHARS: Final = _MAX_PERIOD * _MIN_REPETITIONS
"""The same for a stream that has not ended. The client may have asked for some repetition, so it is more."""
_TAIL_CHARS: Final = _MIN_STREAM_REPETITION_CHARS + _MAX_PERIOD


def check_repetition(text: str, *, min_chars: int = MIN_REPETITION_CHARS) -> None:
    """Raise `UpstreamMalformed` if the answer ends with at least `min_chars` characters of one repeated text."""
    if len(text) < min_chars:
        return
    for period in _candidate_periods(text):
        window = max(min_chars, period * _MIN_REPETITIONS)
        if len(text) < window + period:
            return
        if text[-window:] == text[-window - period : -period] and not text[-period:].isspace():
            raise errors.UpstreamMalformed("The model repeats itself without end.")


def _candidate_periods(text: str) -> Iterator[int]:
    """Yield the distances at which the last characters occur again, shortest first. Only these can be periods."""
    last = text[-_PROBE_CHARS:]
    end = len(text)
    start = max(0, end - _PROBE_CHARS - _MAX_PERIOD)
    at = text.rfind(last, start, end - _MIN_PERIOD)
    while at >= 0:
        yield end - _PROBE_CHARS - at
        at = text.rfind(last, start, at + _PROBE_CHARS - 1)


class TextTail:
    """The end of a text that arrives in pieces. It stores a bounded part of it.

    Whoever must be fast adds a piece to `pieces` and its length to `unchecked_chars`, and calls `check` at
    `MIN_REPETITION_CHARS`. `add` does the same.
    """

    __slots__ = ("pieces", "unchecked_chars")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.unchecked_chars = 0

    def add(self, text: str) -> None:
        """Add a piece. Raises `UpstreamMalformed` for endless repetition."""
        self.pieces.append(text)
        self.unchecked_chars += len(text)
        if self.unchecked_chars >= MIN_REPETITION_CHARS:
            self.check()

    def check(self) -> int:
        """Check the end of a text that continues. Raises `UpstreamMalformed`. Returns the size of what is new."""
        checked, self.unchecked_chars = self.unchecked_chars, 0
        check_repetition(self._joined(), min_chars=_MIN_STREAM_REPETITION_CHARS)
        return checked

    def check_end(self) -> None:
        """Check the end of the text of an answer that has reached a limit. Raises `UpstreamMalformed`."""
        check_repetition(self._joined())

    def _joined(self) -> str:
        tail = "".join(self.pieces)[-_TAIL_CHARS:]
        self.pieces = [tail]
        return tail

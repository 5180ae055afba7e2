"""Runaway repetition: a model that has lost its way writes the same text again and again until a limit ends it.

One rule holds for complete answers and for streams, and for every text of an answer: the text itself, the reasoning,
and the arguments of each tool call. A text is runaway if one piece of at most 400 characters is repeated, without
anything else, over

- its last 2,000 characters, if the answer has reached its limit of tokens;
- 16,000 characters, if the piece is language: at least three different words in a row, or two in a sentence or in
  a long row, without the symbols of code and markup. Anything else may be data (the zeros of a matrix, the rows of a
  table, the pixels of a drawing) or requested ("ha ha ha"), so it is only judged if the answer has reached its limit.
"""

import re
from collections.abc import Iterator
from typing import Final

from intellirouter.core import errors

MIN_REPETITION_CHARS: Final = 2_000
"""How many characters at the end of an answer that reached a limit must be repetitions of one text."""
_MIN_PERIOD: Final = 4
MAX_PERIOD_CHARS: Final = 400
_MIN_REPETITIONS: Final = 40
_PROBE_CHARS: Final = 64
MIN_RUN_CHARS: Final = MAX_PERIOD_CHARS * _MIN_REPETITIONS
"""The same for an answer that has not reached a limit. The client may have asked for some repetition, so it is more."""
_TAIL_CHARS: Final = MIN_RUN_CHARS + MAX_PERIOD_CHARS
_CHECKS_PER_RUN: Final = MIN_RUN_CHARS // MIN_REPETITION_CHARS

_SAMPLE_CHARS: Final = 200
_MIN_WORDS: Final = 3
_MIN_WORDS_OF_SENTENCE: Final = 2
_LONG_ROW_WORDS: Final = 10
_MIN_UNSPACED: Final = 4
_STRUCTURE: Final = re.compile(r'[{}\[\]<>|=$#&;]|\\?"\s*[,:]|[\w.]\(|\(\d')
"""The symbols of code, tables and markup, strings in JSON, calls."""
_LETTER: Final = r"(?:(?!\d)[^\W_]|[\u0300-\u036f\u0900-\u0dff])"
_WORD: Final = rf"(?<!\w){_LETTER}+(?:['\u2019]{_LETTER}+)*(?!\w)"
_WORDS: Final = re.compile(rf"({_WORD}(?: {_WORD})+)([.!?\u2026\u0964]?)")
"""Words in a row, and the end of a sentence."""
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{4,}")
"""Letters of scripts that have no spaces between words."""
_NUMERALS: Final = frozenset("\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341")
_NO_LANGUAGE: Final = re.compile(
    r"[a-f]+|[acgtnu]+|null|true|false|none|nan|inf|infinity|undefined|yes|no|on|off|ok|[^\W\d_]", re.IGNORECASE
)
"""The words of data: hexadecimal digits, bases of DNA, values, single letters."""


def check_text(text: str, *, is_at_limit: bool) -> None:
    """Check a complete text. Raises `UpstreamMalformed`. `is_at_limit`: the answer has reached its limit of tokens."""
    if is_at_limit:
        check_repetition(text)
    _check_runs(text, len(text))


def check_repetition(text: str) -> None:
    """Raise `UpstreamMalformed` if the text of an answer that has reached a limit ends with repetitions."""
    if _repeated_piece(text, MIN_REPETITION_CHARS) is not None:
        raise _runaway()


def _check_runs(text: str, new_chars: int) -> int:
    """Raise `UpstreamMalformed` if a piece of language has been repeated for long, in the last `new_chars` or before.

    Looks back every 2,000 characters, in a stream at the same positions as in a complete text. Returns how many
    characters follow the last of them.
    """
    start = len(text) - new_chars
    end = start + MIN_REPETITION_CHARS * max(1, -((start - MIN_RUN_CHARS) // MIN_REPETITION_CHARS))
    while end <= len(text):
        if not _recurs(text, end):  # nor does a run end at the next positions: it would include this one
            end += _CHECKS_PER_RUN * MIN_REPETITION_CHARS
            continue
        piece = _repeated_piece(text[max(0, end - _TAIL_CHARS) : end], MIN_RUN_CHARS)
        if piece is not None and _is_language(piece):
            raise _runaway()
        end += MIN_REPETITION_CHARS
    return new_chars % MIN_REPETITION_CHARS


def _recurs(text: str, end: int) -> bool:
    """Return whether the last characters before `end` occur again at the distance of a period, as they rarely do."""
    probe = end - _PROBE_CHARS
    return text.rfind(text[probe:end], probe - MAX_PERIOD_CHARS, end - _MIN_PERIOD) >= 0


def _runaway() -> errors.UpstreamMalformed:
    return errors.UpstreamOutputInvalid("The model repeats itself without end.")


def _repeated_piece(text: str, min_chars: int) -> str | None:
    """Return the piece of which at least the last `min_chars` characters consist; None if there is none."""
    if len(text) < min_chars:
        return None
    for period in _candidate_periods(text):
        window = max(min_chars, period * _MIN_REPETITIONS)
        if len(text) < window + period:
            return None
        piece = text[-period:]
        if text[-window:] == text[-window - period : -period] and not piece.isspace():
            return piece
    return None


def _is_language(piece: str) -> bool:
    """Return whether a repeated piece is certainly language. It may begin in the middle of a word."""
    sample = piece * (_SAMPLE_CHARS // len(piece) + 3)
    if _STRUCTURE.search(sample):
        return False
    if any(len({*run} - _NUMERALS) >= _MIN_UNSPACED for run in _UNSPACED.findall(sample)):
        return True
    # The first and the last word may be a part of one.
    for words, end in _WORDS.findall(sample[sample.find(" ") + 1 : sample.rfind(" ")]):
        row = words.split(" ")
        different = {word.lower() for word in row if _is_of_language(word)}
        if len(different) >= (_MIN_WORDS_OF_SENTENCE if end or len(row) >= _LONG_ROW_WORDS else _MIN_WORDS):
            return True
    return False


def _is_of_language(word: str) -> bool:
    """Return whether a word can be language: not a value, and not in capitals, as the keywords of SQL."""
    rest = word[1:]
    return rest == rest.lower() and _NO_LANGUAGE.fullmatch(word) is None


def _candidate_periods(text: str) -> Iterator[int]:
    """Yield the distances at which the last characters occur again, shortest first. Only these can be periods."""
    last = text[-_PROBE_CHARS:]
    end = len(text)
    start = max(0, end - _PROBE_CHARS - MAX_PERIOD_CHARS)
    at = text.rfind(last, start, end - _MIN_PERIOD)
    while at >= 0:
        yield end - _PROBE_CHARS - at
        at = text.rfind(last, start, at + _PROBE_CHARS - 1)


class TextTail:
    """The end of a text that arrives in pieces. It stores a bounded part of it.

    Whoever must be fast adds a piece to `pieces` and its length to `unchecked_chars`, and calls `check` at
    `MIN_REPETITION_CHARS`. `add` does the same.
    """

    __slots__ = ("checked_chars", "pieces", "unchecked_chars")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.unchecked_chars = 0
        self.checked_chars = 0

    def add(self, text: str) -> None:
        """Add a piece. Raises `UpstreamMalformed` for endless repetition."""
        self.pieces.append(text)
        self.unchecked_chars += len(text)
        if self.unchecked_chars >= MIN_REPETITION_CHARS:
            self.check()

    def check(self) -> int:
        """Check the end of a text that continues. Raises `UpstreamMalformed`. Returns the size of what is new."""
        text = "".join(self.pieces)
        left = _check_runs(text, self.unchecked_chars)
        checked, self.unchecked_chars = self.unchecked_chars - left, left
        self.checked_chars += checked
        self.pieces = [text[-_TAIL_CHARS - left :]]
        return checked

    def check_end(self) -> None:
        """Check the end of the text of an answer that has reached a limit. Raises `UpstreamMalformed`."""
        check_repetition("".join(self.pieces)[-_TAIL_CHARS:])

"""The beginning of a continued answer: models often repeat the end of the text that they are asked to continue.

What is repeated is removed. A repetition and a text that happens to begin with the same characters can look the
same ("very" + "very good"), so only these count as repetitions:

- white space, because the model is not shown the white space at the end;
- the whole text so far, or its last characters, if they are at least `MIN_REPEATED_CHARS`;
- the last word, complete or cut off, if the continuation begins with it and would otherwise be glued to it.

A text that repeats itself anyway, such as a row of equal words, is left as it is.
"""

from typing import Final

from intellirouter.core import errors

MIN_REPEATED_CHARS: Final = 8
_MAX_OVERLAP_CHARS: Final = 2_000
"""How much of the end of the text is compared. A repetition of the whole text is found at any length."""
_MIN_WORD_CHARS: Final = 3
_MIN_WHOLE_CHARS: Final = 4
_RESTART_CHARS: Final = 64
"""A continuation that begins like the whole text for so long, but differs then, is another answer. So is one that ends
before it has repeated the whole text."""


class OverlapTrimmer:
    """Removes what a continuation repeats of `sent`. Holds back its beginning until that is clear."""

    def __init__(self, sent: str) -> None:
        self._sent = sent
        self._tail = sent[-_MAX_OVERLAP_CHARS:]
        self._held: list[str] = []
        self._held_chars = 0
        self._is_restart = True
        """What is held is the beginning of the whole text."""
        self._is_resolved = not sent

    def feed(self, text: str) -> str:
        """Return what is new of the continuation so far. Raises `UpstreamOutputInvalid` if it is another answer."""
        if self._is_resolved:
            return text
        self._is_restart = self._is_restart and self._sent.startswith(text, self._held_chars)
        self._held.append(text)
        self._held_chars += len(text)
        return "" if self._may_grow() else self._resolve()

    def end(self) -> str:
        """Return the rest of what was held back, because no more text follows. Raises `UpstreamOutputInvalid`."""
        return "" if self._is_resolved else self._resolve()

    def _may_grow(self) -> bool:
        """Return whether more text can make what is held a longer repetition."""
        if self._is_restart and self._held_chars < len(self._sent):
            return True
        room = len(self._tail) - self._held_chars
        return room > 0 and 0 <= self._tail.find("".join(self._held)) < room

    def _resolve(self) -> str:
        self._is_resolved = True
        held, sent = "".join(self._held), self._sent
        self._held.clear()
        size = self._overlap(held)
        if size and self._is_repetition(size):
            return held[size:]
        is_cut = MIN_REPEATED_CHARS <= len(held) < len(sent) and sent.startswith(held)
        if is_cut or (len(held) >= _RESTART_CHARS and sent.startswith(held[:_RESTART_CHARS])):
            raise errors.UpstreamOutputInvalid("The model began another answer instead of continuing this one.")
        return held

    def _overlap(self, held: str) -> int:
        """Return how many characters at the end of the text the continuation begins with."""
        if held.startswith(self._sent):
            return len(self._sent)
        longest = min(len(held), len(self._tail))
        return next((size for size in range(longest, 0, -1) if self._tail.endswith(held[:size])), 0)

    def _is_repetition(self, size: int) -> bool:
        sent = self._sent
        overlap = sent[-size:]
        if overlap.isspace():
            return True
        if overlap in sent[-2 * size : -1] or _is_periodic(overlap):
            return False
        if size >= MIN_REPEATED_CHARS or (size == len(sent) and size >= _MIN_WHOLE_CHARS):
            return True
        is_at_word = size == len(sent) or not sent[-size - 1].isalnum()
        return size >= _MIN_WORD_CHARS and is_at_word and overlap.isalnum()


def _is_periodic(text: str) -> bool:
    """Return whether a text consists of one piece again and again."""
    half = (len(text) + 1) // 2
    period = text.find(text[:half], 1)
    return 0 < period <= half and text[period:] == text[:-period]

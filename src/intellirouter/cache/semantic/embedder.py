"""What an embedder is, and how much of a text it reads. Pure."""

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Vector: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float32]]
    Matrix: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float32]]
else:  # numpy belongs to the extra `semantic`
    Vector: TypeAlias = object
    Matrix: TypeAlias = object

MAX_EMBEDDED_CHARACTERS: Final = 1_000
_GAP: Final = " … "


class Embedder(Protocol):
    """Turns texts into vectors of length 1, so that their product is their cosine. Does no I/O after it was loaded."""

    @property
    def name(self) -> str:
        """Name and version. Vectors of different embedders cannot be compared."""

    @property
    def dimensions(self) -> int: ...

    @property
    def is_fast(self) -> bool:
        """Whether a text takes less than a millisecond, so that it can be embedded on the event loop."""

    def embed(self, text: str) -> Vector | None:
        """Return the vector of a text; None if it has no direction, such as an empty text."""


def without_middle(text: str, max_characters: int = MAX_EMBEDDED_CHARACTERS) -> str:
    """Return a text with at most so many characters: its beginning and its end, where requests state what they want."""
    if len(text) <= max_characters:
        return text
    head = (max_characters - len(_GAP)) // 2
    tail = max_characters - len(_GAP) - head
    return f"{text[:head]}{_GAP}{text[-tail:]}"

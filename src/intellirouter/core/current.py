"""One value that is replaced as a whole while it is in use."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Current(Generic[T]):
    """Holds the value that serves now: nothing before the first `swap`, which the composition root makes.

    Read `value` once per piece of work and keep what you have read. Replacing the value is one assignment, so readers
    on the same event loop see either the old value or the new one.
    """

    __slots__ = ("value",)

    value: T

    def swap(self, value: T) -> None:
        """Replace the value."""
        self.value = value

"""What could not be honoured as asked, and what was done instead. Never silently lost: header, record and explain."""

from typing import Final, Literal

from msgspec import Struct

How = Literal["dropped", "clamped", "converted", "emulated"]

_MAX_LOSSES: Final = 64


class Loss(Struct, frozen=True):
    """One field of the request (or of the answer) that the other dialect has no equal for.

    `dropped`: it had no effect. `clamped`: it was moved into the range that the upstream allows. `converted`: it was
    said in another form, with the same meaning but less structure. `emulated`: the gateway does it itself.
    """

    field: str
    """As the client writes it: `seed`, `response_format`, `messages[].name`."""
    how: How = "dropped"
    detail: str = ""
    """In words: `forced tool`, `1.0`. Never a value of the client's."""

    def __str__(self) -> str:
        """Render as an item of a structured header field (RFC 8941): `seed;how=dropped`."""
        detail = f';as="{_quoted(self.detail)}"' if self.detail else ""
        return f"{self.field};how={self.how}{detail}"


class LossReport:
    """Collects losses while a request is encoded. Each field is named once; the first word stands."""

    __slots__ = ("_by_field", "_names")

    def __init__(self, names: dict[str, str] | None = None) -> None:
        """`names` says how the client's dialect spells what the intermediate form calls otherwise."""
        self._by_field: dict[str, Loss] = {}
        self._names = names or {}

    def add(self, field: str, how: How = "dropped", detail: str = "") -> None:
        """Note one loss. Bounded: what a client can send without end is not repeated without end."""
        name = self._names.get(field, field)
        if len(self._by_field) < _MAX_LOSSES:
            self._by_field.setdefault(name, Loss(name, how, detail))

    def dropped(self, field: str) -> None:
        self.add(field)

    def name_of(self, field: str) -> str:
        """Return the client's name of `field`, for error messages."""
        return self._names.get(field, field)

    def taken(self) -> tuple[Loss, ...]:
        return tuple(self._by_field.values())


def _quoted(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char.isascii()).replace("\\", "").replace('"', "'")

"""Request fields that could not be honored, and what was done instead. Header, record and explain report them."""

from typing import Final, Literal

from msgspec import Struct

LossKind = Literal["dropped", "clamped", "converted", "emulated"]

_MAX_LOSSES: Final = 64


class Loss(Struct, frozen=True):
    """A field of the request or of the response that has no equivalent in the other dialect.

    `dropped`: the field had no effect. `clamped`: the value was moved into the range that the upstream allows.
    `converted`: it was expressed differently, with the same meaning but less structure. `emulated`: the gateway
    provides the feature itself.
    """

    field: str
    """Name of the field in the client's dialect: `seed`, `response_format`, `messages[].name`."""
    how: LossKind = "dropped"
    detail: str = ""
    """What was used instead, for example `forced tool` or `1.0`. Never a value of the client."""

    def __str__(self) -> str:
        """Format as an item of a structured header field (RFC 8941): `seed;how=dropped`."""
        detail = f';as="{_quoted(self.detail)}"' if self.detail else ""
        return f"{self.field};how={self.how}{detail}"


class LossReport:
    """Collects losses while a request is encoded. A field is reported once, with its first loss."""

    __slots__ = ("_by_field", "_names")

    def __init__(self, names: dict[str, str] | None = None) -> None:
        """`names` maps fields of the conversation to their names in the client's dialect, where they differ."""
        self._by_field: dict[str, Loss] = {}
        self._names = names or {}

    def add(self, field: str, how: LossKind = "dropped", detail: str = "") -> None:
        """Add a loss. The number of losses is limited, because clients control the number of fields."""
        name = self._names.get(field, field)
        if len(self._by_field) < _MAX_LOSSES:
            self._by_field.setdefault(name, Loss(name, how, detail))

    def dropped(self, field: str) -> None:
        self.add(field)

    def name_of(self, field: str) -> str:
        """Return the name of `field` in the client's dialect, for error messages."""
        return self._names.get(field, field)

    def taken(self) -> tuple[Loss, ...]:
        return tuple(self._by_field.values())


def _quoted(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char.isascii()).replace("\\", "").replace('"', "'")

"""JSON lines: streams with one document per line."""


class JsonLines:
    """Implements `Framing`."""

    def payload(self, part: bytes) -> bytes | None:
        return part.removesuffix(b"\n")

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        del like
        return payload + b"\n"

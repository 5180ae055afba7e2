"""The exchange over one WebSocket, including faults. Pure: frames in, steps out."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.script import Cut, Step, Wait
from intellirouter.testing.faults.fault import Fault
from intellirouter.testing.wires.realtime import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, Session, frame

_PROTOCOL_ERROR: Final = (1002).to_bytes(2, "big")


class Conversation:
    """The session of one client. Faults that count events count those of the server."""

    def __init__(self, session: Session, fault: Fault | None) -> None:
        self._session = session
        self._fault = fault
        self._reader = FrameReader()
        self._sent = 0
        self.received_texts: list[str] = []
        """Text messages of the client that the connection has not recorded yet."""

    def opening(self) -> Iterator[Step]:
        return self._send(self._session.opening())

    def feed(self, data: bytes) -> Iterator[Step]:
        """Yield the steps that answer these bytes. Nothing follows a `Cut`."""
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            yield frame(CLOSE, _PROTOCOL_ERROR + str(error).encode())
            yield Cut()
            return
        for kind, payload in messages:
            if kind == CLOSE:
                yield frame(CLOSE, payload)
                yield Cut()
                return
            if kind == PING:
                yield frame(PONG, payload)
            elif kind == TEXT:
                text = payload.decode(errors="replace")
                self.received_texts.append(text)
                yield from self._send(self._session.take(text))

    def _send(self, events: list[dict[str, Any]]) -> Iterator[Step]:
        for event in events:
            yield from self._before_event()
            yield frame(TEXT, msgspec.json.encode(event))
            self._sent += 1

    def _before_event(self) -> Iterator[Step]:
        fault = self._fault
        if fault is None:
            return
        is_due = self._sent == fault.params.get("after_events", 1)
        match fault.kind:
            case "slow_drip":
                yield Wait(float(fault.params["delay_s"]))
            case "drop" | "reset" if is_due:
                yield Cut(is_reset=fault.kind == "reset")
            case "malformed" if self._sent == 1:
                yield frame(TEXT, b"{'type': not json}")
            case "error_in_stream" if is_due:
                error = {"type": "server_error", "code": fault.params["code"], "message": fault.params["message"]}
                document = {"type": "error", "event_id": new_id("event_"), "error": {**error, "param": None}}
                yield frame(TEXT, msgspec.json.encode(document))


def breaks_handshake(fault: Fault) -> bool:
    """Return whether a fault affects the handshake. Other faults affect the messages after it."""
    if fault.kind in ("drop", "reset"):
        return fault.params["at"] == "headers"
    return fault.kind in ("error", "rate_limit", "hang", "slow", "error_in_200")

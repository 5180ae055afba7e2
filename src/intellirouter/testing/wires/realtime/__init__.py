"""OpenAI's realtime API: a conversation of events over a WebSocket.

Door: `Session` (events in, events out), and WebSocket frames.
"""

from intellirouter.testing.wires.realtime.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    accept_key,
    frame,
)
from intellirouter.testing.wires.realtime.session import Session

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "FrameError", "FrameReader", "Session", "accept_key", "frame"]

"""The spine and the ways into it: one exchange from its beginning to its record.

Door: `Entry` and `Source` (the one way in), `Generation` (what a configuration determines), `Spine` with its `Parts`,
`Attempts`, the shapes of `stages`, `Exchange`, `Reply`, `Session`, `InFlight`. The room knows every room below it by
its door, and nothing of HTTP servers or of a client's connection.
"""

from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.body_log import BodyLog
from intellirouter.pipeline.entry import Entry, Source
from intellirouter.pipeline.exchange import (
    STATUS_CLIENT_GONE,
    Decided,
    Decoded,
    Exchange,
    Headers,
    Reply,
    Responder,
)
from intellirouter.pipeline.generation import Generation
from intellirouter.pipeline.in_flight import InFlight
from intellirouter.pipeline.preview import preview_losses
from intellirouter.pipeline.sessions import Session
from intellirouter.pipeline.spine import Parts, Spine
from intellirouter.pipeline.stages import AnswerSource, AnswerStage, AnswerTap, RequestStage, StageAnswer, Stages

__all__ = [
    "STATUS_CLIENT_GONE",
    "AnswerSource",
    "AnswerStage",
    "AnswerTap",
    "Attempts",
    "BodyLog",
    "Decided",
    "Decoded",
    "Entry",
    "Exchange",
    "Generation",
    "Headers",
    "InFlight",
    "Parts",
    "Reply",
    "RequestStage",
    "Responder",
    "Session",
    "Source",
    "Spine",
    "StageAnswer",
    "Stages",
    "preview_losses",
]

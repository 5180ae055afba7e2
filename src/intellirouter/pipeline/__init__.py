"""The request pipeline: one exchange, from the arrival of a request to its record.

Door: `Entry` and `Source` (the only way in), `Generation` (everything that a configuration determines), `Spine` with
its `Parts`, `Attempts`, the stage protocols, `Exchange`, `Reply`, `Session`, `InFlight`, `Hedging`. The room uses all
rooms below it. It does not know the HTTP server or the client's connection.
"""

from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.body_log import BodyLog
from intellirouter.pipeline.cache_stage import CacheStage
from intellirouter.pipeline.entry import Entry, Source
from intellirouter.pipeline.exchange import (
    STATUS_CLIENT_DISCONNECTED,
    CacheUse,
    Decided,
    Decoded,
    Exchange,
    Headers,
    Reply,
    Responder,
)
from intellirouter.pipeline.generation import Generation
from intellirouter.pipeline.hedges import Hedging
from intellirouter.pipeline.in_flight import InFlight
from intellirouter.pipeline.sessions import Session
from intellirouter.pipeline.spine import Parts, Spine
from intellirouter.pipeline.stages import (
    AnswerRescue,
    AnswerSource,
    AnswerStage,
    AnswerTap,
    Piece,
    Pieces,
    RequestStage,
    StageAnswer,
    Stages,
)

__all__ = [
    "STATUS_CLIENT_DISCONNECTED",
    "AnswerRescue",
    "AnswerSource",
    "AnswerStage",
    "AnswerTap",
    "Attempts",
    "BodyLog",
    "CacheStage",
    "CacheUse",
    "Decided",
    "Decoded",
    "Entry",
    "Exchange",
    "Generation",
    "Headers",
    "Hedging",
    "InFlight",
    "Parts",
    "Piece",
    "Pieces",
    "Reply",
    "RequestStage",
    "Responder",
    "Session",
    "Source",
    "Spine",
    "StageAnswer",
    "Stages",
]

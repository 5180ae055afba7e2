"""The spine and one exchange's walk along it. Door: `Spine`, `Parts`, `Exchange`, `Reply`, `Headers`,
`preview_losses`.

It knows every room below it by its door, and nothing of HTTP servers or of a client's connection.
"""

from intellirouter.pipeline.exchange import STATUS_CLIENT_GONE, Exchange, Headers, Reply
from intellirouter.pipeline.preview import preview_losses
from intellirouter.pipeline.sessions import Session
from intellirouter.pipeline.spine import Parts, Spine

__all__ = ["STATUS_CLIENT_GONE", "Exchange", "Headers", "Parts", "Reply", "Session", "Spine", "preview_losses"]

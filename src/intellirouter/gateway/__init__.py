"""The data plane's HTTP side: ASGI in, ASGI out; errors rendered in the caller's dialect.

Door: `Gateway`, `presented_key`, `RESPOND` (an ASGI extension that is used where the server offers it).
It knows clients; it does not know providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway, presented_key
from intellirouter.gateway.reply import RESPOND

__all__ = ["RESPOND", "Gateway", "presented_key"]

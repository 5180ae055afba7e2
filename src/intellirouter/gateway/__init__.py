"""The data plane's HTTP side: ASGI in, ASGI out; errors rendered in the caller's dialect.

Door: `Gateway`, `presented_key`. It knows clients; it does not know providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway, presented_key

__all__ = ["Gateway", "presented_key"]

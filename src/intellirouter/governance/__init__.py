"""Who may, and what it costs: keys and identities, the ledger's arithmetic.

Door: `KeyRing`, `Identity`, `ANONYMOUS`, `cost_of`, `estimated_usage`.
"""

from intellirouter.governance.identity import ANONYMOUS, Identity, KeyRing
from intellirouter.governance.ledger import cost_of, estimated_usage

__all__ = ["ANONYMOUS", "Identity", "KeyRing", "cost_of", "estimated_usage"]

"""Authentication and cost: API keys and identities, and the cost of usage.

Door: `KeyRing`, `Identity`, `ANONYMOUS`, `UNIDENTIFIED`, `cost_of`, `estimated_usage`,
`plausible_usage`.
"""

from intellirouter.governance.identity import ANONYMOUS, UNIDENTIFIED, Identity, KeyRing
from intellirouter.governance.ledger import cost_of, estimated_usage, plausible_usage

__all__ = ["ANONYMOUS", "UNIDENTIFIED", "Identity", "KeyRing", "cost_of", "estimated_usage", "plausible_usage"]

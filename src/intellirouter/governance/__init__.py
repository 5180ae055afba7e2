"""Authentication and cost: API keys and identities, and the cost of usage.

Door: `KeyRing`, `Identity`, `ANONYMOUS`, `UNIDENTIFIED`, `BrowserAccess`, `request_key`, `cost_of`, `estimated_usage`,
`plausible_usage`.
"""

from intellirouter.governance.browser_access import BrowserAccess
from intellirouter.governance.identity import ANONYMOUS, UNIDENTIFIED, Identity, KeyRing
from intellirouter.governance.ledger import cost_of, estimated_usage, plausible_usage
from intellirouter.governance.presented_key import request_key

__all__ = [
    "ANONYMOUS",
    "UNIDENTIFIED",
    "BrowserAccess",
    "Identity",
    "KeyRing",
    "cost_of",
    "estimated_usage",
    "plausible_usage",
    "request_key",
]

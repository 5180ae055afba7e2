"""Authentication and cost: API keys and identities, and the cost of usage.

Door: `KeyRing`, `Identity`, `ANONYMOUS`, `UNIDENTIFIED`, `BrowserAccess`, `is_preflight`, `PREFLIGHT_HINT`,
`request_key`, `cost_of`, `cache_saving_of`, `estimated_usage`, `plausible_usage`.
"""

from intellirouter.governance.browser_access import PREFLIGHT_HINT, BrowserAccess, is_preflight
from intellirouter.governance.identity import ANONYMOUS, UNIDENTIFIED, Identity, KeyRing
from intellirouter.governance.ledger import cache_saving_of, cost_of, estimated_usage, plausible_usage
from intellirouter.governance.presented_key import request_key

__all__ = [
    "ANONYMOUS",
    "PREFLIGHT_HINT",
    "UNIDENTIFIED",
    "BrowserAccess",
    "Identity",
    "KeyRing",
    "cache_saving_of",
    "cost_of",
    "estimated_usage",
    "is_preflight",
    "plausible_usage",
    "request_key",
]

"""The vocabulary every room speaks. Values, errors and ports; no I/O; imports nothing of ours.

Door: the names below, and `errors` for the tree.
"""

from intellirouter.core import errors
from intellirouter.core.call import Call, Surface
from intellirouter.core.decision import Attempt, AttemptKind, Candidate, Decision, Verdict
from intellirouter.core.deployment import Deployment, Endpoint, Secret, Timeouts
from intellirouter.core.ids import new_id
from intellirouter.core.money import Price, format_usd, pusd_per_token
from intellirouter.core.ports import Journal, Upstream, UpstreamResponse
from intellirouter.core.record import RECORD_VERSION, ExchangeRecord
from intellirouter.core.tasks import TaskOwner
from intellirouter.core.time import SYSTEM_CLOCK, Clock, SystemClock
from intellirouter.core.usage import NO_USAGE, Usage, estimate_tokens
from intellirouter.core.vendor import VendorRow

__all__ = [
    "NO_USAGE",
    "RECORD_VERSION",
    "SYSTEM_CLOCK",
    "Attempt",
    "AttemptKind",
    "Call",
    "Candidate",
    "Clock",
    "Decision",
    "Deployment",
    "Endpoint",
    "ExchangeRecord",
    "Journal",
    "Price",
    "Secret",
    "Surface",
    "SystemClock",
    "TaskOwner",
    "Timeouts",
    "Upstream",
    "UpstreamResponse",
    "Usage",
    "VendorRow",
    "Verdict",
    "errors",
    "estimate_tokens",
    "format_usd",
    "new_id",
    "pusd_per_token",
]

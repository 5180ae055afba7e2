"""Types that every room uses: values, errors and ports. No I/O, and no imports of other rooms.

Door: the names below, and `errors` for the error tree.
"""

from intellirouter.core import errors
from intellirouter.core.affinity import (
    DEFAULT_AFFINITY,
    AffinityKind,
    AffinityOutcome,
    AffinityPolicy,
    AffinityUse,
    CredentialChoice,
)
from intellirouter.core.answer_budget import FREE_ANSWER_BYTES, AnswerBudget, ArrivingAnswer
from intellirouter.core.answer_limits import DEFAULT_ANSWER_LIMITS, AnswerLimits
from intellirouter.core.attempt_control import (
    DEFAULT_MAX_ATTEMPTS,
    FALLBACKS_HEADER,
    HEADER_PREFIX,
    MAX_COST_HEADER,
    PRIORITY_HEADER,
    RETRIES_HEADER,
    SESSION_HEADER,
    TIMEOUT_HEADER,
    AttemptControl,
    attempt_control_of,
    session_of,
)
from intellirouter.core.bounded_files import read_bounded
from intellirouter.core.breaker import DEFAULT_BREAKER, DEFAULT_POOL, BreakerPolicy, BreakerState, PoolPolicy
from intellirouter.core.call import EMPTY_CONTEXT, Call, Operation, PeerAddress, RequestContext, UpstreamRequest
from intellirouter.core.certificates import (
    CertificateFileError,
    authorities_in,
    certificate_as_pem,
    is_encrypted_key,
    private_key_as_pem,
)
from intellirouter.core.concurrency import (
    DEFAULT_ADAPTIVE_MAX,
    DEFAULT_CONCURRENCY,
    DEFAULT_QUEUE,
    PRIORITIES,
    ConcurrencyPolicy,
    Priority,
    QueuePolicy,
    SlotPolicy,
    lower_priority,
)
from intellirouter.core.content_encoding import encoding_refusal
from intellirouter.core.counts import format_count
from intellirouter.core.current import Current
from intellirouter.core.decision import (
    HEDGE_LOST,
    Attempt,
    AttemptKind,
    Candidate,
    Decision,
    FallbackCause,
    RetryOrder,
    Verdict,
    reason_of,
)
from intellirouter.core.degradation import Degradation, DegradationStep, RefusalPolicy, StepResult
from intellirouter.core.deployment import Deployment, Phase, Timeouts, UpstreamAddress, timeout_error
from intellirouter.core.egress import (
    DIRECT,
    SYSTEM_TRUST,
    ClientCertificate,
    Proxy,
    ProxyRules,
    ProxyUrlError,
    TrustFiles,
    environment_proxies,
    environment_trust,
    format_authority,
    proxy_at,
)
from intellirouter.core.fair_share import has_fair_share
from intellirouter.core.hedging import HedgingPolicy
from intellirouter.core.ids import new_id
from intellirouter.core.json_outline import (
    MEDIUM_BYTES,
    SMALL_BYTES,
    count_containers,
    count_long_numbers,
    is_large,
    outline_of,
)
from intellirouter.core.limits import DEFAULT_LIMITS, RequestLimits
from intellirouter.core.loss import Loss, LossKind, LossReport
from intellirouter.core.masking import mask_credentials, mask_credentials_in_bytes, mask_error
from intellirouter.core.money import Price, format_usd, pusd_per_token
from intellirouter.core.off_loop import OffLoop, is_off_loop
from intellirouter.core.pin import Pin, Reference
from intellirouter.core.ports import (
    CredentialRotator,
    Fetcher,
    FrameSocket,
    Journal,
    SocketClosed,
    SocketRefusal,
    SocketUpstream,
    Upstream,
    UpstreamResponse,
)
from intellirouter.core.printable import escape_control_characters, escape_control_characters_in_json
from intellirouter.core.profile import UNKNOWN_PROFILE, Profile, ReasoningControl
from intellirouter.core.program import program_name, with_program_name
from intellirouter.core.reasoning_memory import ReasoningMemory
from intellirouter.core.record import RECORD_VERSION, ExchangeRecord, RecordColumn, SmallInt
from intellirouter.core.rendezvous import rendezvous_order, weighted_rendezvous_order
from intellirouter.core.retry_after import MAX_RETRY_AFTER_S, read_retry_after_s, whole_seconds
from intellirouter.core.secret import Secret
from intellirouter.core.service_links import is_service_link, linked_service
from intellirouter.core.tasks import TaskOwner
from intellirouter.core.throughput import ThroughputFloor, TokenSource
from intellirouter.core.time import SYSTEM_CLOCK, Clock, SystemClock
from intellirouter.core.usage import (
    BYTES_PER_TOKEN,
    INPUT_COUNTS,
    NO_USAGE,
    OUTPUT_COUNTS,
    Usage,
    estimate_input_tokens,
    estimate_tokens,
)
from intellirouter.core.vendor import NO_QUIRKS, AuthScheme, Quirks, VendorRow

__all__ = [
    "BYTES_PER_TOKEN",
    "DEFAULT_ADAPTIVE_MAX",
    "DEFAULT_AFFINITY",
    "DEFAULT_ANSWER_LIMITS",
    "DEFAULT_BREAKER",
    "DEFAULT_CONCURRENCY",
    "DEFAULT_LIMITS",
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_POOL",
    "DEFAULT_QUEUE",
    "DIRECT",
    "EMPTY_CONTEXT",
    "FALLBACKS_HEADER",
    "FREE_ANSWER_BYTES",
    "HEADER_PREFIX",
    "HEDGE_LOST",
    "INPUT_COUNTS",
    "MAX_COST_HEADER",
    "MAX_RETRY_AFTER_S",
    "MEDIUM_BYTES",
    "NO_QUIRKS",
    "NO_USAGE",
    "OUTPUT_COUNTS",
    "PRIORITIES",
    "PRIORITY_HEADER",
    "RECORD_VERSION",
    "RETRIES_HEADER",
    "SESSION_HEADER",
    "SMALL_BYTES",
    "SYSTEM_CLOCK",
    "SYSTEM_TRUST",
    "TIMEOUT_HEADER",
    "UNKNOWN_PROFILE",
    "AffinityKind",
    "AffinityOutcome",
    "AffinityPolicy",
    "AffinityUse",
    "AnswerBudget",
    "AnswerLimits",
    "ArrivingAnswer",
    "Attempt",
    "AttemptControl",
    "AttemptKind",
    "AuthScheme",
    "BreakerPolicy",
    "BreakerState",
    "Call",
    "Candidate",
    "CertificateFileError",
    "ClientCertificate",
    "Clock",
    "ConcurrencyPolicy",
    "CredentialChoice",
    "CredentialRotator",
    "Current",
    "Decision",
    "Degradation",
    "DegradationStep",
    "Deployment",
    "ExchangeRecord",
    "FallbackCause",
    "Fetcher",
    "FrameSocket",
    "HedgingPolicy",
    "Journal",
    "Loss",
    "LossKind",
    "LossReport",
    "OffLoop",
    "Operation",
    "PeerAddress",
    "Phase",
    "Pin",
    "PoolPolicy",
    "Price",
    "Priority",
    "Profile",
    "Proxy",
    "ProxyRules",
    "ProxyUrlError",
    "QueuePolicy",
    "Quirks",
    "ReasoningControl",
    "ReasoningMemory",
    "RecordColumn",
    "Reference",
    "RefusalPolicy",
    "RequestContext",
    "RequestLimits",
    "RetryOrder",
    "Secret",
    "SlotPolicy",
    "SmallInt",
    "SocketClosed",
    "SocketRefusal",
    "SocketUpstream",
    "StepResult",
    "SystemClock",
    "TaskOwner",
    "ThroughputFloor",
    "Timeouts",
    "TokenSource",
    "TrustFiles",
    "Upstream",
    "UpstreamAddress",
    "UpstreamRequest",
    "UpstreamResponse",
    "Usage",
    "VendorRow",
    "Verdict",
    "attempt_control_of",
    "authorities_in",
    "certificate_as_pem",
    "count_containers",
    "count_long_numbers",
    "encoding_refusal",
    "environment_proxies",
    "environment_trust",
    "errors",
    "escape_control_characters",
    "escape_control_characters_in_json",
    "estimate_input_tokens",
    "estimate_tokens",
    "format_authority",
    "format_count",
    "format_usd",
    "has_fair_share",
    "is_encrypted_key",
    "is_large",
    "is_off_loop",
    "is_service_link",
    "linked_service",
    "lower_priority",
    "mask_credentials",
    "mask_credentials_in_bytes",
    "mask_error",
    "new_id",
    "outline_of",
    "private_key_as_pem",
    "program_name",
    "proxy_at",
    "pusd_per_token",
    "read_bounded",
    "read_retry_after_s",
    "reason_of",
    "rendezvous_order",
    "session_of",
    "timeout_error",
    "weighted_rendezvous_order",
    "whole_seconds",
    "with_program_name",
]

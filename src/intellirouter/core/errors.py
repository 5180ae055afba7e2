"""The error tree. Each class fixes code, HTTP status, retryable, fallback, blame, log level and a hint.

    GatewayError
    ├── ClientError                    the request is at fault; never counts against a deployment
    │   ├── InvalidRequest             400  invalid_request (code says more)
    │   ├── BodyTooLarge               413  body_too_large
    │   ├── Unauthenticated            401  invalid_api_key
    │   ├── Forbidden                  403  forbidden
    │   ├── ModelNotFound              404  model_not_found
    │   ├── NotFound                   404  unknown_url
    │   ├── MethodNotAllowed           405  method_not_allowed
    │   ├── UnsupportedMediaType       415  unsupported_media_type
    │   ├── RequestTimeout             408  request_timeout (the body came too slowly)
    │   └── ClientGone                 499  client_gone (never rendered: nobody is listening)
    ├── PolicyError                    we refuse, by configuration
    │   ├── NoEligibleDeployment       503  no_eligible_deployment
    │   └── Overloaded                 503  overloaded
    ├── UpstreamError                  a deployment failed
    │   ├── UpstreamRejected           4xx  the vendor refuses the request itself; passed on as it came
    │   ├── UnsupportedFeature         400  unsupported_feature (this upstream cannot do what the request relies on)
    │   ├── UpstreamAuthFailed         502  upstream_authentication_failed (our credential, not their key)
    │   ├── UpstreamQuotaExhausted     429  insufficient_quota (the operator's account at the vendor)
    │   ├── UpstreamModelMissing       404  model_not_found (the vendor does not know the deployment's model)
    │   ├── UpstreamRateLimited        429  rate_limit_exceeded
    │   ├── UpstreamUnavailable        502  upstream_unavailable (5xx)
    │   ├── UpstreamConnectFailed      502  upstream_connect_failed
    │   ├── UpstreamDisconnected       502  upstream_disconnected
    │   ├── UpstreamTimeout            504  upstream_timeout
    │   ├── UpstreamMalformed          502  upstream_malformed
    │   └── AllAttemptsFailed          502  all_attempts_failed (several deployments, several reasons)
    ├── HostError                      a local worker failed
    │   └── ModelLoading               503  model_loading
    └── InternalError                  500  internal_error: our bug

Vendor errors become ours only in `dialects`; ours are rendered in the caller's dialect only in `gateway`.
"""

import logging
from typing import ClassVar, Literal

Blame = Literal["client", "policy", "upstream", "host", "us"]


class GatewayError(Exception):
    """Base of the tree. Class attributes are the contract; instances may narrow `status`, `code`, `param`."""

    code: str = "internal_error"
    status: int = 500
    type: str = "api_error"
    """The `type` of OpenAI's error envelope."""
    retryable: ClassVar[bool] = False
    """Another try on the same deployment may succeed."""
    fallback: ClassVar[bool] = False
    """Another deployment may succeed."""
    blame: ClassVar[Blame] = "us"
    log_level: ClassVar[int] = logging.ERROR
    hint: str = ""
    """How to fix it, for people; shown after the message."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status
        if hint is not None:
            self.hint = hint


class ClientError(GatewayError):
    status = 400
    type = "invalid_request_error"
    blame: ClassVar[Blame] = "client"
    log_level = logging.DEBUG


class InvalidRequest(ClientError):
    code = "invalid_request"


class BodyTooLarge(ClientError):
    status = 413
    code = "body_too_large"
    hint = "Send less, or raise server.max_body_bytes."


class Unauthenticated(ClientError):
    status = 401
    code = "invalid_api_key"
    hint = "Send one of the configured keys as `Authorization: Bearer KEY`."


class Forbidden(ClientError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class ModelNotFound(ClientError):
    status = 404
    code = "model_not_found"
    hint = "GET /v1/models lists what this key may use."


class NotFound(ClientError):
    status = 404
    code = "unknown_url"


class MethodNotAllowed(ClientError):
    status = 405
    code = "method_not_allowed"


class UnsupportedMediaType(ClientError):
    status = 415
    code = "unsupported_media_type"


class RequestTimeout(ClientError):
    status = 408
    code = "request_timeout"


class ClientGone(ClientError):
    status = 499
    code = "client_gone"


class PolicyError(GatewayError):
    status = 503
    blame: ClassVar[Blame] = "policy"
    log_level = logging.WARNING


class NoEligibleDeployment(PolicyError):
    code = "no_eligible_deployment"


class Overloaded(PolicyError):
    code = "overloaded"
    hint = "Try again shortly, or raise the limit that the message names."


class UpstreamError(GatewayError):
    status = 502
    blame: ClassVar[Blame] = "upstream"
    fallback = True
    log_level = logging.WARNING
    vendor_body: bytes | None = None
    """The vendor's own error document, passed on where it may be."""


class UpstreamRejected(UpstreamError):
    """The vendor says the request is wrong (400, 404, 413, 422, …): theirs to fix, in its words."""

    status = 400
    code = "upstream_rejected"
    type = "invalid_request_error"
    fallback = False
    blame: ClassVar[Blame] = "client"
    log_level = logging.INFO


class UnsupportedFeature(UpstreamError):
    """The request relies on what this upstream's dialect cannot say. Another deployment may; weakening it may not."""

    status = 400
    code = "unsupported_feature"
    type = "invalid_request_error"
    blame: ClassVar[Blame] = "client"
    log_level = logging.INFO
    hint = "Ask for a model that supports it, or leave it out."


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_authentication_failed"
    hint = "Check the credential of the provider that the message names."
    log_level = logging.ERROR


class UpstreamQuotaExhausted(UpstreamError):
    """Out of credit: waiting does not help, another deployment may."""

    status = 429
    code = "insufficient_quota"
    type = "insufficient_quota"
    hint = "Top up the account, or add another credential or deployment."
    log_level = logging.ERROR


class UpstreamModelMissing(UpstreamError):
    status = 404
    code = "model_not_found"
    type = "invalid_request_error"
    hint = "Check the deployment's `model` against the provider's list."
    log_level = logging.ERROR


class UpstreamRateLimited(UpstreamError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    retryable = True


class UpstreamConnectFailed(UpstreamError):
    code = "upstream_connect_failed"
    retryable = True


class UpstreamDisconnected(UpstreamError):
    code = "upstream_disconnected"
    retryable = True


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    retryable = True


class UpstreamMalformed(UpstreamError):
    code = "upstream_malformed"
    retryable = True


class AllAttemptsFailed(UpstreamError):
    """Its message tells the last attempts, the record all of them; its status is that of the last one."""

    code = "all_attempts_failed"


class HostError(GatewayError):
    status = 503
    blame: ClassVar[Blame] = "host"
    fallback = True
    log_level = logging.WARNING


class ModelLoading(HostError):
    code = "model_loading"
    hint = "The local model is being fetched or loaded; try again shortly."


class InternalError(GatewayError):
    """Our bug. The message shown to clients is fixed; the traceback goes to the log."""

"""The error tree. Each class defines code, HTTP status, retryable, fallback, blame, log level and a hint.

    GatewayError
    ├── ClientError                    the request is at fault; never counts against a deployment
    │   ├── InvalidRequest             400  invalid_request (usually raised with a more specific code)
    │   ├── BodyTooLarge               413  body_too_large
    │   ├── Unauthenticated            401  invalid_api_key
    │   ├── Forbidden                  403  forbidden
    │   ├── Misdirected                421  unknown_host
    │   ├── ModelNotFound              404  model_not_found
    │   ├── NotFound                   404  unknown_url
    │   ├── MethodNotAllowed           405  method_not_allowed
    │   ├── UnsupportedMediaType       415  unsupported_media_type
    │   ├── RequestTimeout             408  request_timeout (the request body arrived too slowly)
    │   ├── NotCached                  504  not_cached (`Cache-Control: only-if-cached`)
    │   └── ClientDisconnected         499  client_disconnected (only recorded: there is no client left to answer)
    ├── PolicyError                    the gateway refuses, because of its configuration
    │   ├── NoEligibleDeployment       400  no_eligible_deployment
    │   ├── Overloaded                 503  overloaded
    │   └── Refused                    503  model_unavailable (the last step of a degradation ladder)
    ├── UpstreamError                  a deployment failed
    │   ├── UpstreamRejected           4xx  the vendor rejects the request as invalid; its error is passed on unchanged
    │   ├── UnsupportedFeature         400  unsupported_feature (this upstream lacks a feature that the request needs)
    │   ├── UpstreamAuthFailed         502  upstream_authentication_failed (the provider's credential, not the key)
    │   ├── UpstreamQuotaExhausted     429  insufficient_quota (the operator's account at the vendor)
    │   ├── UpstreamModelMissing       404  model_not_found (the vendor does not have the deployment's model)
    │   ├── UpstreamRateLimited        429  rate_limit_exceeded
    │   ├── UpstreamUnavailable        502  upstream_unavailable (5xx)
    │   ├── UpstreamConnectFailed      502  upstream_connect_failed
    │   │   └── ProxyFailed            502  proxy_failed (the proxy cannot be reached, or cannot reach the upstream)
    │   │       └── ProxyRefused       502  proxy_refused (its credentials or its rules; it is not asked again)
    │   ├── UpstreamDisconnected       502  upstream_disconnected
    │   ├── UpstreamTimeout            504  upstream_timeout
    │   ├── UpstreamMalformed          502  upstream_malformed
    │   │   ├── UpstreamOutputInvalid  502  upstream_malformed (what the model produced is not usable)
    │   │   ├── UpstreamAnswerTooLarge 502  upstream_answer_too_large (the answer exceeds a limit of the gateway)
    │   │   └── UpstreamAnswerUnusable 502  upstream_answer_unusable (the vendor has worked; it is not asked again)
    │   └── AllAttemptsFailed          502  all_attempts_failed (several attempts failed for different reasons)
    ├── HostError                      a local worker failed
    │   └── ModelLoading               503  model_loading
    ├── AnswerBufferFull               503  answer_buffer_full (clients read too slowly)
    └── InternalError                  500  internal_error (a bug in the gateway)

Only `dialects` turns vendors' errors into these, and only `gateway` renders these in the client's dialect.
"""

import logging
from typing import ClassVar, Final, Literal

from intellirouter.core.usage import Usage

Blame = Literal["client", "policy", "upstream", "host", "gateway"]

_SENTENCE_ENDS: Final = (".", "?", "!", '."', ".'", ".`", ".)", "…")


def as_sentence(message: str) -> str:
    """Return a message that ends with a full stop, which vendors' messages often lack."""
    return message if not message or message.endswith(_SENTENCE_ENDS) else f"{message}."


def join_sentences(message: str, hint: str) -> str:
    """Return message and hint as one text, the message with a full stop."""
    return f"{as_sentence(message)} {hint}" if message and hint else message or hint


class GatewayError(Exception):
    """Base of the tree. Classes set the attributes; an instance may override `status`, `code` and `hint`."""

    code: str = "internal_error"
    status: int = 500
    other_statuses: ClassVar[tuple[int, ...]] = ()
    """The other statuses that instances may have. For the error reference."""
    status_note: ClassVar[str] = ""
    """Which other statuses instances may have, as a phrase, if they cannot be listed. For the error reference."""
    type: str = "api_error"
    """The `type` in OpenAI's error envelope."""
    retryable: ClassVar[bool] = False
    """Another attempt on the same deployment may succeed."""
    fallback: ClassVar[bool] = False
    """An attempt on another deployment may succeed."""
    blame: ClassVar[Blame] = "gateway"
    log_level: ClassVar[int] = logging.ERROR
    hint: str = ""
    """How to fix the problem; shown after the message."""

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
        """`message` and `hint` are complete sentences. `param` names the request field at fault."""
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

    @property
    def located_message(self) -> str:
        """The message for readers who do not see `param`."""
        return self.message

    @property
    def full_message(self) -> str:
        """The message, followed by the hint."""
        return join_sentences(self.message, self.hint)

    @property
    def log_message(self) -> str:
        """The message for readers who do not see `param`, followed by the hint."""
        return join_sentences(self.located_message, self.hint)


class ClientError(GatewayError):
    status = 400
    type = "invalid_request_error"
    blame: ClassVar[Blame] = "client"
    log_level = logging.DEBUG

    @property
    def located_message(self) -> str:
        """The message, which names the field if its value is invalid. OpenAI's messages do not."""
        if self.code == "invalid_value" and self.param and self.param not in self.message:
            return f"{self.param}: {self.message}"
        return self.message


class InvalidRequest(ClientError):
    code = "invalid_request"
    other_statuses = (409, 422, 426, 431)


class BodyTooLarge(ClientError):
    status = 413
    code = "body_too_large"
    hint = "Send a smaller body, or raise server.max_body_bytes."


class Unauthenticated(ClientError):
    status = 401
    code = "invalid_api_key"
    hint = "Send one of the configured keys as `Authorization: Bearer KEY`."


class Forbidden(ClientError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class Misdirected(ClientError):
    """A gateway that requires no key was called by a name that is not its own."""

    status = 421
    code = "unknown_host"


def model_list_hint(path: str) -> str:
    """Return the hint for an unknown model. `path` is the model list in the client's dialect."""
    return f"GET {path} lists the models that this key may use."


class ModelNotFound(ClientError):
    status = 404
    code = "model_not_found"
    hint = model_list_hint("/v1/models")


class NotFound(ClientError):
    status = 404
    code = "unknown_url"


def without_frames(error: GatewayError) -> GatewayError:
    """Remove the traceback of an error that is stored: its frames would keep the request alive, in a cycle."""
    error.__traceback__ = None
    error.__context__ = None
    return error


API_DOCS_HINT: Final = "See /api/docs for the endpoints of this gateway."


def allowed_methods_hint(allowed: str) -> str:
    """Return the hint for a method that a path does not support. `allowed` is the value of the header `Allow`."""
    first, _, last = allowed.rpartition(", ")
    return f"Use {first} or {last}." if first else f"Use {last}." if last else ""


class MethodNotAllowed(ClientError):
    status = 405
    code = "method_not_allowed"


class UnsupportedMediaType(ClientError):
    status = 415
    code = "unsupported_media_type"


class RequestTimeout(ClientError):
    status = 408
    code = "request_timeout"


class NotCached(ClientError):
    """The client accepts only a cached answer."""

    status = 504
    code = "not_cached"


class ClientDisconnected(ClientError):
    status = 499
    code = "client_disconnected"


class PolicyError(GatewayError):
    status = 503
    blame: ClassVar[Blame] = "policy"
    log_level = logging.WARNING


class NoEligibleDeployment(PolicyError):
    """The request needs something that no deployment of the model offers."""

    status = 400
    type = "invalid_request_error"
    code = "no_eligible_deployment"


class Overloaded(PolicyError):
    code = "overloaded"
    hint = "Try again later."


class Refused(PolicyError):
    """The model and the other steps of its degradation ladder have failed. The message is the configured one."""

    status_note = "or the configured status"
    code = "model_unavailable"


class AnswerBufferFull(GatewayError):
    """An answer could not be read, because too many others wait for clients that read slowly.

    The vendor has worked, and charges for it, so the request is not repeated.
    """

    status = 503
    code = "answer_buffer_full"
    log_level = logging.WARNING


class UpstreamError(GatewayError):
    status = 502
    blame: ClassVar[Blame] = "upstream"
    fallback = True
    log_level = logging.WARNING
    vendor_body: bytes | None = None
    """The vendor's own error document, which is passed on to clients of the same dialect."""


class UpstreamRejected(UpstreamError):
    """The vendor rejects the request as invalid (400, 413, 422, …). The client receives the vendor's message."""

    status = 400
    status_note = "or another 4xx status of the vendor"
    code = "upstream_rejected"
    type = "invalid_request_error"
    fallback = False
    blame: ClassVar[Blame] = "client"
    log_level = logging.INFO


class UnsupportedFeature(UpstreamError):
    """The request needs a feature that the upstream does not have. Another deployment may have it."""

    status = 400
    code = "unsupported_feature"
    type = "invalid_request_error"
    blame: ClassVar[Blame] = "client"
    log_level = logging.INFO
    hint = "Remove the field, or use a model that supports it."


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_authentication_failed"
    hint = "Check the credential of the provider."
    log_level = logging.ERROR
    is_explicit: bool = False
    """The error document itself blames the credential or its account, not only the HTTP status."""


class UpstreamQuotaExhausted(UpstreamError):
    """The account at the vendor is out of credit or quota. Waiting does not help; another deployment may."""

    status = 429
    other_statuses = (502,)
    code = "insufficient_quota"
    type = "insufficient_quota"
    hint = "Top up the account, or add another credential or deployment."
    log_level = logging.ERROR


class UpstreamModelMissing(UpstreamError):
    status = 404
    code = "model_not_found"
    type = "invalid_request_error"
    hint = "Check that the provider offers the deployment's `model`, and that the provider's `base_url` is correct."


class UpstreamRateLimited(UpstreamError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    other_statuses = (503,)
    code = "upstream_unavailable"
    retryable = True


class UpstreamConnectFailed(UpstreamError):
    code = "upstream_connect_failed"
    retryable = True


class ProxyFailed(UpstreamConnectFailed):
    """The proxy cannot be reached, or cannot reach the upstream."""

    code = "proxy_failed"


class ProxyRefused(ProxyFailed):
    """The proxy does not let the gateway through, which trying again does not change."""

    code = "proxy_refused"
    retryable = False
    hint = "Check the user name and the password in the proxy's URL, and whether the proxy allows the upstream's host."
    log_level = logging.ERROR


class UpstreamDisconnected(UpstreamError):
    code = "upstream_disconnected"
    retryable = True
    is_stale_connection: bool = False
    """The upstream had closed a pooled connection when the request was sent, or closed it at once, without a byte of a
    response. Nothing is wrong with the deployment: the request can be repeated on a new connection."""


CONNECT_TIMEOUT: Final = "upstream_connect_timeout"
"""The code of an `UpstreamTimeout` if no connection could be opened."""


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    retryable = True


class UpstreamMalformed(UpstreamError):
    code = "upstream_malformed"
    retryable = True
    usage: Usage | None = None
    """What the answer has used, if the upstream has reported it. None: unknown."""


class UpstreamOutputInvalid(UpstreamMalformed):
    """The answer has arrived, but what the model produced is not what the client asked for, or not usable.

    For example text instead of JSON, invalid tool arguments, or endless repetition. A prompt can cause that, so it says
    nothing about the health of the deployment.
    """


class UpstreamAnswerTooLarge(UpstreamMalformed):
    """The answer exceeds a limit of the gateway. Another deployment may answer in fewer words."""

    code = "upstream_answer_too_large"
    retryable = False


class UpstreamAnswerUnusable(UpstreamMalformed):
    """The vendor has worked, and charges for it, but the gateway cannot use what it sent. The request is not repeated.

    For example a compressed answer although none was requested, or a status such as 204.
    """

    code = "upstream_answer_unusable"
    retryable = False
    fallback = False
    hint = "Check what is between the gateway and the provider, for example a proxy that changes responses."


class AllAttemptsFailed(UpstreamError):
    """The message lists the last attempts, the record all of them. The status is that of the last attempt.

    It is 502 if the last attempt failed with `unsupported_feature`.
    """

    status_note = "or the status of the last attempt"
    code = "all_attempts_failed"


class HostError(GatewayError):
    status = 503
    blame: ClassVar[Blame] = "host"
    fallback = True
    log_level = logging.WARNING


class ModelLoading(HostError):
    code = "model_loading"
    hint = "Try again when the local model has been downloaded and loaded."


class InternalError(GatewayError):
    """A bug in the gateway. Clients receive a fixed message; the log has the traceback."""

"""The settings of the server: where it listens, and its limits."""

from typing import Annotated, Literal

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Count, HostName, Origin, Seconds, Text

PingSeconds = Annotated[float, Field(ge=0, le=86_400)]
"""An interval; 0 switches it off."""


class Server(Section):
    """The address on which the gateway listens, and limits on requests."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8080, ge=0, le=65535, description="TCP port to listen on. With 0 the system chooses a free port."
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Number of processes. Only 1 is available in this version."
    )
    role: Literal["monolith", "router", "orchestrator", "summarizer", "rag-injector", "host"] = Field(
        default="monolith",
        description="The parts of IntelliRouter that this process runs. Only monolith is available in this version.",
    )
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        le=4 * 1024**3,
        description="Maximum size of a request body, in bytes.",
    )
    max_json_depth: int = Field(default=128, ge=8, le=1024, description="Maximum nesting depth of a request body.")
    max_answer_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        le=1024**3,
        description="Maximum size of an upstream's answer that is not streamed, in bytes. Larger answers are errors, "
        "and another deployment is tried.",
    )
    max_answer_chars: Count = Field(
        default=8 * 1024 * 1024,
        description="Maximum number of characters in a streamed answer: text, reasoning and arguments of tool calls. "
        "Does not apply to streams that are relayed without being checked or translated.",
    )
    max_answer_parts: Count = Field(
        default=10_000,
        description="Maximum number of content parts in an upstream's answer, including tool calls, and of citations. "
        "Does not apply to streams that are relayed without being decoded.",
    )
    max_answer_tool_calls: Count = Field(
        default=1024,
        description="Maximum number of tool calls in an upstream's answer. Does not apply to streams that are relayed "
        "without being decoded.",
    )
    max_json_values: Count = Field(
        default=350_000,
        description="Maximum number of values in a JSON request body, counted as commas, objects and arrays. Bodies of "
        "up to 32 KiB are not counted if this and the other limits on the structure of requests have at least their "
        "default values.",
    )
    max_json_objects: Count = Field(
        default=100_000, description="Maximum number of objects and arrays in a JSON request body."
    )
    max_messages: Count = Field(default=20_000, description="Maximum number of messages or input items in a request.")
    max_content_parts: Count = Field(
        default=50_000,
        description="Maximum number of content parts in all messages of a request, including tool calls and the parts "
        "of tool results.",
    )
    max_tools: Count = Field(default=4096, description="Maximum number of tools in a request.")
    max_inputs: Count = Field(
        default=16_384,
        description="Maximum number of inputs in a request: texts to embed, documents to rank, prompts to complete.",
    )
    body_timeout_s: Seconds = Field(
        default=60.0,
        description="Timeout for receiving a whole request body, or a large WebSocket message, in seconds.",
    )
    head_timeout_s: Seconds = Field(
        default=30.0,
        description="Timeout for receiving the head of a request, and for the first request on a connection, in "
        "seconds.",
    )
    keep_alive_s: Seconds = Field(default=75.0, description="How long an idle connection is kept open, in seconds.")
    write_timeout_s: Seconds = Field(
        default=60.0,
        description="How long a client may read nothing of a response before its connection is closed, in seconds.",
    )
    stream_ping_s: PingSeconds = Field(
        default=15.0,
        description="How long a stream that has begun may be silent before the client is sent something that it "
        "ignores, in seconds, so that no proxy closes the connection. It is sent again after each further interval. "
        "With 0, nothing is sent.",
    )
    first_ping_s: PingSeconds = Field(
        default=25.0,
        description="How long the client of a stream waits for the first content before the same is sent, in seconds. "
        "The status of the response is 200 from then on: failed attempts still lead to others, but if all of them "
        "fail, the error is an event of the stream. With 0, nothing is sent before the first content. Has no effect if "
        "stream_ping_s is 0.",
    )
    max_buffered_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024**3,
        description="Maximum memory for large request bodies and WebSocket messages that are arriving, over all "
        "connections, in bytes. Further bodies wait for up to 5 seconds and are then rejected with 503, and further "
        "messages close their sockets with 1013. It is at least max_body_bytes.",
    )
    max_buffered_answer_bytes: int = Field(
        default=128 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024**3,
        description="Maximum memory for answers larger than 64 KiB that are not streamed, over all requests, in bytes: "
        "those that clients have not read yet, and in addition as much again for those that are arriving. Further ones "
        "are not read from their upstreams meanwhile, for up to 30 seconds, and are then errors. Each tenant may use "
        "as much as is left for the others: half if it is alone, except for its first answer.",
    )
    tls_cert_file: Text | None = Field(
        default=None,
        description="Certificate chain (PEM) for HTTPS. A reload reads it again. If not set, the gateway serves HTTP.",
    )
    tls_key_file: Text | None = Field(
        default=None, description="Private key (PEM) of the certificate, if it is not in the same file."
    )
    unix_socket: Text | None = Field(
        default=None, description="Path of a unix socket to listen on, instead of host and port."
    )
    drain_s: float = Field(
        default=30.0,
        ge=0,
        le=86_400,
        description="How long a stopping gateway waits for in-flight requests, in seconds. It waits at least 1 second.",
    )
    max_in_flight: Count = Field(
        default=8192, description="Maximum number of concurrent requests. Requests beyond it are rejected with 503."
    )
    max_in_flight_bytes: int = Field(
        default=1024**3,
        ge=1024 * 1024,
        description="Maximum size of the bodies of all requests in flight that are larger than 64 KiB, in bytes. A "
        "body is kept until its request has ended, because a retry or fallback may need it. Further requests are "
        "rejected with 503.",
    )
    max_open_sockets: Count = Field(
        default=8192, description="Maximum number of open WebSockets. Handshakes beyond it are rejected with 503."
    )
    socket_idle_s: Seconds = Field(default=300.0, description="How long an idle WebSocket is kept open, in seconds.")
    socket_max_s: Seconds = Field(
        default=3600.0,
        description="Maximum duration of a realtime session, in seconds. Its usage is accounted for when it ends.",
    )
    fetch_allow: list[Text] = Field(
        default_factory=list,
        description="Hosts, addresses and networks (10.0.0.0/8) from which URLs in requests may be fetched, in "
        "addition to the public internet. If a proxy is used, it resolves the hosts in this list.",
    )
    allowed_hosts: list[HostName] = Field(
        default_factory=list,
        description="Names in the header Host that are served if no key is required, in addition to server.host and "
        'loopback names. With "*", all of them, which lets any web page use the gateway (DNS rebinding).',
    )
    cors_origins: list[Origin] = Field(
        default_factory=list,
        description="Origins of web pages that may use the gateway from a browser (CORS), such as "
        'https://app.example.com, or "*" for all.',
    )

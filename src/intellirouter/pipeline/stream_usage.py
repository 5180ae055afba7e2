"""What a stream has used, also if it has broken off."""

from msgspec import structs

from intellirouter.core import Usage
from intellirouter.governance import estimated_usage, plausible_usage
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from intellirouter.pipeline.stream import OpenStream


def stream_usage(context: AttemptContext, stream: OpenStream, estimated_tokens: int) -> Usage:
    """Return the usage of a stream: what the upstream has reported, if it is possible, or else an estimate.

    What upstreams report at the beginning of a stream contains hardly any output. The output of a stream that has not
    come to its end is estimated, if that is more.
    """
    relay = stream.relay
    if (reported := relay.usage) is None:
        return estimated_usage(context.call, estimated_tokens)
    usage = plausible_usage(reported, context.call, context.deployment, stream.received_bytes)
    missing = estimated_tokens - usage.total_output_tokens
    if missing > 0 and not (relay.is_finished and relay.error is None):
        return structs.replace(usage, output_tokens=usage.output_tokens + missing, is_estimated=True)
    return usage

"""The fake models `fake/*`: deterministic answers in OpenAI's format, made inside the process without a network.

Door: `FakeProvider`, the upstream that serves them, `FAKE_MODELS`, their names with a description, and
`is_fake_model`, for names with a number as well.

MockVendor (`intellirouter.testing`) gives the same answers over a real network, so it builds on the modules of this
room: the planned completion, the OpenAI wire format, and the faults that fake models cause. This room must not know
the test kit; a gateway that serves requests does not load it.
"""

from intellirouter.fake.models import FAKE_MODELS, is_fake_model
from intellirouter.fake.provider import FakeProvider

__all__ = ["FAKE_MODELS", "FakeProvider", "is_fake_model"]

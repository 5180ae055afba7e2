"""The test kit: test an integration without a vendor, without a network and without waiting.

Door: `MockVendor` (a vendor in a separate process, with faults on demand), `FAULT_KINDS` (the faults it supports),
`FakeProvider` (an upstream inside the process), `FAKE_MODELS` (its fake models), `FakeClock`.
"""

from intellirouter.fake import FAKE_MODELS, FakeProvider
from intellirouter.testing.fake_clock import FakeClock
from intellirouter.testing.faults import FAULT_KINDS
from intellirouter.testing.mock_vendor import MockVendor

__all__ = ["FAKE_MODELS", "FAULT_KINDS", "FakeClock", "FakeProvider", "MockVendor"]

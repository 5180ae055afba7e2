"""A vendor that is a real process: OpenAI's surface over real sockets, with faults on demand.

Door: `MockVendor`, which starts and controls the process from a test. The process itself is
`python -m intellirouter.testing.mock_vendor`.
"""

from intellirouter.testing.mock_vendor.process import MockVendor

__all__ = ["MockVendor"]

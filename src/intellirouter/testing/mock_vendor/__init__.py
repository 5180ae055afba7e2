"""A vendor in a separate process that serves the APIs of several vendors over real sockets, with faults on demand.

Door: `MockVendor`, which starts and controls the process from a test. The process is
`python -m intellirouter.testing.mock_vendor`.
"""

from intellirouter.testing.mock_vendor.process import MockVendor

__all__ = ["MockVendor"]

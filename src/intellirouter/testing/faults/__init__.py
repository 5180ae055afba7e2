"""What can go wrong between a gateway and a vendor, as transformations of a good reply into a script.

Door: `FAULT_KINDS` (the kinds of faults), `Fault` (a kind with its parameters), `apply_fault` (from reply to script).
"""

from intellirouter.testing.faults.fault import FAULT_KINDS, Fault, FaultKind, Param, apply_fault

__all__ = ["FAULT_KINDS", "Fault", "FaultKind", "Param", "apply_fault"]

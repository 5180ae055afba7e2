"""Everything that can go wrong between a gateway and a vendor, as transformations of a good answer.

Door: `FAULT_KINDS` (what there is), `Fault` (one of them with its parameters), `break_reply` (reply to script), and
the steps that a server plays.
"""

from intellirouter.testing.faults.fault import FAULT_KINDS, Fault, FaultKind, Param, break_reply
from intellirouter.testing.faults.script import Cut, Ending, Hang, Script, Step, Wait, script_of

__all__ = [
    "FAULT_KINDS",
    "Cut",
    "Ending",
    "Fault",
    "FaultKind",
    "Hang",
    "Param",
    "Script",
    "Step",
    "Wait",
    "break_reply",
    "script_of",
]

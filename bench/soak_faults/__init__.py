"""Soak with faults: whether anything grows, or is left over, when mixed load meets faults for a long time."""

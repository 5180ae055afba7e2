"""Golden cases of the dialects, comparisons of their meaning, and validators of what the dialects write."""

"""The semantic cache: answers to requests that mean the same as an earlier one. Pure, without I/O.

A request may get a stored answer if three things hold:

- `eligibility` allows it: the request is deterministic enough, has no tools or media, and only its last turn may differ
  from the stored request. Everything else belongs to the key of the partition.
- `SimilarIndex` finds a stored text with a similar embedding. This only finds candidates: texts that differ in one
  number have nearly the same embedding.
- `first_difference` finds no difference between the readings of the two texts that could change the answer.

`PrecisionMonitor` measures how many hits are right, and stops the use of the cache while they are not. DESIGN.md
explains the rules. The index and the default embedder need the extra `semantic`, which is imported when they are used.
"""

from intellirouter.cache.semantic.agreement import answers_agree
from intellirouter.cache.semantic.eligibility import Limits, ineligible_reason
from intellirouter.cache.semantic.embedder import Embedder, Vector, without_middle
from intellirouter.cache.semantic.guard import Difference, first_difference
from intellirouter.cache.semantic.precision import MonitorState, PrecisionMonitor, PrecisionTarget, wilson_lower_bound
from intellirouter.cache.semantic.reading import Reading, read_text
from intellirouter.cache.semantic.similar_index import Entry, Match, SimilarIndex
from intellirouter.cache.semantic.static_table import load_static_table
from intellirouter.cache.semantic.tenant_indexes import TenantIndexes

__all__ = [
    "Difference",
    "Embedder",
    "Entry",
    "Limits",
    "Match",
    "MonitorState",
    "PrecisionMonitor",
    "PrecisionTarget",
    "Reading",
    "SimilarIndex",
    "TenantIndexes",
    "Vector",
    "answers_agree",
    "first_difference",
    "ineligible_reason",
    "load_static_table",
    "read_text",
    "wilson_lower_bound",
    "without_middle",
]

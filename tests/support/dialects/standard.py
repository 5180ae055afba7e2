"""The endpoints of all dialects of the gateway."""

from typing import Final

from intellirouter.dialects import DIALECTS, build_dialects

STANDARD_DIALECTS: Final = build_dialects(DIALECTS)
ENDPOINTS: Final = STANDARD_DIALECTS.endpoints
ENDPOINTS_BY_PATH: Final = STANDARD_DIALECTS.endpoints_by_path

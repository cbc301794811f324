"""For all tests. Property tests are the same at each run; GATEWAY_EXPLORE=1 tries other examples each time."""

import os

from hypothesis import HealthCheck, settings

# A busy machine is no fault: nothing is measured against a clock.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **UNTIMED)
settings.register_profile("explore", derandomize=False, print_blob=True, **UNTIMED)
settings.load_profile("explore" if os.environ.get("GATEWAY_EXPLORE") else "same")

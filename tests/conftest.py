"""For all tests. Property tests are the same at each run; GATEWAY_EXPLORE=1 tries other examples each time."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("explore" if os.environ.get("GATEWAY_EXPLORE") else "same")

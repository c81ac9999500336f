"""What every layer of tests shares: how hypothesis searches."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

# The same examples in every run, and nothing kept between two runs: a test that fails, fails for
# everyone. `HYPOTHESIS_PROFILE=thorough` searches on, with other examples each time.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("default"), derandomize=False, max_examples=2_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Hypothesis keeps a table of Unicode's categories; the working tree is not the place for it.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

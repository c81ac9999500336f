"""gpw, the operator's command line: `gpw --help`."""

import sys
from pathlib import Path

_INFRA = Path(__file__).resolve().parents[1]

# In the wheel, functions/ and template.yaml are inside `infra` (see pyproject.toml).
INSTALLED = (_INFRA / "functions").is_dir()
ROOT = _INFRA.parent  # the repository, or where packages are installed
SOURCES = _INFRA if INSTALLED else ROOT  # what holds functions/ and template.yaml

# The domain and the rules for a secret are imported from the deployed code, so that each has one
# definition. functions/ is the root of a zip, not a package, so it is added to the path, and at the
# end, so that it hides no other package.
if str(SOURCES / "functions") not in sys.path:
    sys.path.append(str(SOURCES / "functions"))

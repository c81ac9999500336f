"""gpw, the operator's command line: `gpw --help`."""

import sys
from pathlib import Path

_INFRA = Path(__file__).resolve().parents[1]

# The wheel has functions/ and template.yaml inside of `infra`: see pyproject.toml.
INSTALLED = (_INFRA / "functions").is_dir()
ROOT = _INFRA.parent  # the repository, or where packages are installed
SOURCES = _INFRA if INSTALLED else ROOT  # what holds functions/ and template.yaml

# The domain and the secret's rules are imported from what is deployed, so that there is one
# definition of each. functions/ is the root of a zip, not a package, hence the path; last, so that
# it hides nothing.
if str(SOURCES / "functions") not in sys.path:
    sys.path.append(str(SOURCES / "functions"))

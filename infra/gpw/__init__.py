"""gpw, the operator's command line: `gpw --help`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The domain and the secret's rules are imported from what is deployed, so that there is one
# definition of each. functions/ is the root of a zip, not a package, hence the path; last, so that
# it hides nothing.
if str(ROOT / "functions") not in sys.path:
    sys.path.append(str(ROOT / "functions"))

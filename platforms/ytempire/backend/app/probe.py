"""Ask one URL of this container: exit 0 on 200, 1 on anything else. For health checks."""

import sys
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except OSError as problem:
    sys.exit(f"{sys.argv[1]}: {problem}")

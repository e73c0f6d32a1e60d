"""`python -m rawprint`."""

from __future__ import annotations

import sys

from rawprint.cli import main

sys.exit(main())

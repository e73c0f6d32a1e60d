"""`python -m rawprint_server` is the command `rawprint-server`."""

import sys

from rawprint_server.cli import main

sys.exit(main())

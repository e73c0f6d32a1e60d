"""Ask a printer how it is: python status.py tcp://192.168.1.50 tspl."""

from __future__ import annotations

import sys

import rawprint


def main(address: str = "virtual://tspl?media-empty=true", dialect: str | None = None) -> int:
    """Print the state, and every reason that the printer reported; what is missing it did not say."""
    try:
        with rawprint.open(address, dialect) as printer:
            status = printer.status()
    except rawprint.RawprintError as error:
        print(f"{error.code}: {error}. {error.hint}")
        return 1
    print(f"{address} is {status.state}")
    for reason, true in status.reasons.items():
        print(f"  {reason}: {'yes' if true else 'no'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

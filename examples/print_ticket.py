"""Print a ticket and hear how it ended: python print_ticket.py tcp://192.168.1.60 escpos."""

from __future__ import annotations

import sys

import rawprint

TICKET = b"\x1b@" + b"One espresso        2.50\nOne croissant       1.80\n\n\n" + b"\x1dV\x00"  # init, text, cut


def main(address: str = "virtual://escpos", dialect: str | None = None) -> int:
    """Queue the ticket; the queue waits for a printer that is off or out of paper, and so does this."""
    with rawprint.PrintQueue(address, dialect, on_job=print) as queue:
        job = queue.submit(TICKET)
        job.wait()
    print(f"{job.state}, on the evidence of: {', '.join(job.evidence) or 'nothing'}")
    return 0 if job.state in ("completed", "delivered") else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

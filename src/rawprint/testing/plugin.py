"""The pytest fixtures `virtual_printer` and `virtual_printers`; pytest finds them by itself where rawprint is installed.

`-p no:rawprint` leaves them out. Nothing of rawprint's virtual printers is imported before a test asks for one.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.testing import VirtualPrinter


class MakePrinter(Protocol):
    """What `virtual_printers` gives."""

    def __call__(self, dialect: str = "escpos", **options: object) -> VirtualPrinter:
        """Make a printer that listens until the test ends; the arguments are those of `VirtualPrinter`."""


def pytest_configure(config: pytest.Config) -> None:
    """Let `--strict-markers` know the marker."""
    config.addinivalue_line(
        "markers",
        "virtual_printer(dialect, **options): what the fixture `virtual_printer` is; the arguments are those of"
        " rawprint.testing.VirtualPrinter",
    )


@pytest.fixture
def virtual_printers() -> Iterator[MakePrinter]:
    """Make virtual printers: `virtual_printers("tspl", media=500)`; they are closed after the test."""
    from rawprint.testing import VirtualPrinter  # noqa: PLC0415

    with ExitStack() as stack:

        def make(dialect: str = "escpos", **options: object) -> VirtualPrinter:
            return stack.enter_context(VirtualPrinter(dialect, **options))

        yield make


@pytest.fixture
def virtual_printer(request: pytest.FixtureRequest, virtual_printers: MakePrinter) -> VirtualPrinter:
    """A virtual printer: ESC/POS, or what `@pytest.mark.virtual_printer("tspl", speed=1000)` says."""
    marker = request.node.get_closest_marker("virtual_printer")
    return virtual_printers() if marker is None else virtual_printers(*marker.args, **marker.kwargs)

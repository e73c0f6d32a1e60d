"""Files that a page names by their URL: fetched from the page's own host and nowhere else, where the configuration allows it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rawprint import DocumentError, DocumentTimeout, DocumentTooLarge
from rawprint_server.messages import BadRequest

if TYPE_CHECKING:
    from http.client import HTTPMessage
    from typing import IO

MAX_BYTES = 32 * 1024 * 1024
SECONDS = 10.0  # without a byte
WHOLE_SECONDS = 30.0
MAX_URL = 4096  # characters


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Another address could be anywhere, in the network behind the firewall, too."""

    def redirect_request(  # noqa: PLR0917 - the base's signature
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


def check_url(url: str, origin: str | None, *, allowed: bool) -> None:
    """Makes sure that the server may fetch it for a page.

    Args:
        url: What the page names.
        origin: The page's; None: a program.
        allowed: What the configuration says.

    Raises:
        BadRequest: It may not.
    """
    if not allowed:
        raise BadRequest(
            "this server fetches no files",
            hint="Send their bytes, or set fetch = true in [access] of its configuration.",
        )
    if origin is None:
        raise BadRequest("a program has no host from which files could be fetched", hint="Send their bytes.")
    try:
        parts = urlsplit(url)
        there = f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        there = ""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or there != origin or " " in url:
        raise BadRequest(
            f"only files of {origin} are fetched for it", hint="Name the file by its whole URL, or send its bytes."
        )


async def fetch(url: str) -> bytes:
    """The bytes at a URL that `check_url` let through.

    Raises:
        DocumentError: It cannot be fetched.
        DocumentTimeout: It took too long.
        DocumentTooLarge: It has more than `MAX_BYTES`.
    """
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            data = await asyncio.to_thread(_read, url)
    except TimeoutError as error:
        raise DocumentTimeout(f"{url[:200]} did not come in time") from error
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        raise DocumentError(f"{url[:200]} cannot be fetched: {error}"[:400]) from error
    if len(data) > MAX_BYTES:
        raise DocumentTooLarge(f"{url[:200]} has more than {MAX_BYTES:,} bytes")
    return data


def _read(url: str) -> bytes:
    # No proxy: it would resolve the name elsewhere. No credentials: it is not the user who asks.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    return data

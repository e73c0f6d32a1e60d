"""The server's certificate: read from its files, and read again when they are renewed."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from rawprint_server.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Certificate:
    """A certificate and its key.

    Args:
        cert: The file with the certificate and those that vouch for it (PEM).
        key: The file with the key (PEM); may be the same.

    Attributes:
        context: For the listening sockets. A renewed certificate is used for connections from then on; others stay.

    Raises:
        ConfigError: They cannot be read, or do not belong together.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._signature()
        try:
            self.context.load_cert_chain(cert, key)
        except OSError as error:  # SSLError is one
            raise ConfigError(
                f"server.tls_cert: cannot use {cert} with {key}: {error.strerror or error}",
                hint="Both are PEM files that this user may read, and the key is the certificate's.",
            ) from error

    def look(self) -> None:
        """Reads the files again where they have changed; where they cannot be used, the certificate of before stays."""
        now = self._signature()
        if now == self._seen:
            return
        self._seen = now
        try:
            # Tried apart: half of a pair must not get into the context in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except OSError as error:
            log.warning("the renewed certificate cannot be used, the one of before stays: %s", error.strerror or error)
        else:
            log.info("the renewed certificate is in use")

    def _signature(self) -> tuple[object, ...]:
        found: list[object] = []
        for file in (self._cert, self._key):
            try:
                stat = file.stat()
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

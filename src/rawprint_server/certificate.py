"""The server's certificate: read from its files, and read again when they are renewed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from rawprint_server.config import LOOPBACK, ConfigError, Mistake

if TYPE_CHECKING:
    from rawprint_server.config import ServerConfig

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
        self._seen = self._signature()
        try:
            self.context = self._load()
        except OSError as error:
            mistake = Mistake(
                None,
                "server.tls_cert",
                f"cannot use {cert} with the key of {key}: {_why(error)}",
                "Both are PEM files that this user may read; the key is the certificate's, and has no password.",
            )
            raise ConfigError.of([mistake]) from error
        self._latest = self.context
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Reads the files again where they have changed; where they cannot be used, the certificate of before stays."""
        now = self._signature()
        if now == self._seen:
            return
        self._seen = now
        try:
            self._latest = self._load()
        except OSError as error:
            log.warning("the renewed certificate cannot be used, the one of before stays: %s", _why(error))
        else:
            log.info("the renewed certificate is in use")

    def _load(self) -> ssl.SSLContext:
        # Always a new context: one that is in use must get neither half of a pair nor changes from another thread.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._cert, self._key, password=_no_password)
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Begins each connection with the newest certificate; OpenSSL asks where the client names no server, too."""
        connection.context = self._latest

    def _signature(self) -> tuple[object, ...]:
        found: list[object] = []
        for file in (self._cert, self._key):
            try:
                stat = file.stat()
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)


def certificate_of(server: ServerConfig) -> Certificate | None:
    """The certificate of the configuration; None where there is none, or loopback alone is served, which needs none.

    Raises:
        ConfigError: It cannot be used.
    """
    if server.tls_cert is None or server.host in LOOPBACK:
        return None
    return Certificate(Path(server.tls_cert), Path(server.tls_key or server.tls_cert))


def _no_password() -> str:
    """Stands before OpenSSL's own way to a password, which is to ask at the terminal and wait.

    Raises:
        OSError: Always.
    """
    raise OSError("the key has a password")


def _why(error: OSError) -> str:
    """What is wrong, for a person; OpenSSL's words where it has any."""
    if isinstance(error, ssl.SSLError):
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        return "the key is not the certificate's" if mismatch else f"one of them holds no such thing ({error})"
    return error.strerror or str(error)

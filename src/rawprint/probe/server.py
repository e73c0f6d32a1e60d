"""Examines a running rawprint-server as a web page would reach it: does it answer, is its certificate good, may the page in."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

from rawprint.probe import Report
from rawprint.probe.findings import Severity
from rawprint.remote import SUBPROTOCOL, split

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_FORBIDDEN = 4403  # the close code of a page whose origin is not allowed
_MOST = 1 << 20

# OpenSSL's verify codes (openssl-verification-options(1)).
_CERTIFICATE = {
    9: (
        "certificate-not-yet-valid",
        "Its certificate is not valid yet.",
        "Set the clock of this computer, or of the server's.",
    ),
    10: ("certificate-expired", "Its certificate has expired.", "Renew it."),
    18: (
        "certificate-self-signed",
        "Its certificate is self-signed: browsers refuse it without a word to the page.",
        "",
    ),
    19: ("certificate-self-signed", "Its certificate is signed by an authority that nobody here knows.", ""),
    20: ("certificate-unknown-authority", "Its certificate is signed by an authority that nobody here knows.", ""),
    62: ("certificate-name", "Its certificate is for another name.", "Reach it by the name in the certificate."),
    64: ("certificate-name", "Its certificate is for another address.", "Reach it by the name in the certificate."),
}
_TRUST = "Have this computer and its browsers trust the authority, or use a certificate of one that they know."


def examine(url: str, origin: str | None, timeout: float) -> Report:
    """Connect as a page of that origin would.

    Args:
        url: ws:// or wss://, host, port.
        origin: Of the page, such as "https://pos.example.com"; None: as a program that is no page.
        timeout: Seconds.

    Raises:
        AddressError: That is no URL of a server.
    """
    parts = split(url)
    from websockets.exceptions import (  # noqa: PLC0415
        ConnectionClosed,
        InvalidHandshake,
        InvalidMessage,
        InvalidStatus,
    )
    from websockets.sync.client import connect  # noqa: PLC0415
    from websockets.typing import Origin, Subprotocol  # noqa: PLC0415

    report = Report(
        url, make_model="rawprint-server", reached="WebSocket over TLS" if parts.scheme == "wss" else "WebSocket"
    )
    try:
        with connect(
            url,
            origin=Origin(origin) if origin else None,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            open_timeout=timeout,
            close_timeout=1.0,
            max_size=_MOST,
            proxy=None,
        ) as connection:
            _greet(connection, report, timeout)
    except ConnectionClosed as error:
        if error.rcvd is not None and error.rcvd.code == _FORBIDDEN:
            _refused(report, origin)
        else:
            report.add("server-closed", Severity.ERROR, "The server ends the connection.", str(error), "See its log.")
    except ssl.SSLCertVerificationError as error:
        code, title, remedy = _CERTIFICATE.get(
            error.verify_code, ("certificate", "Its certificate cannot be verified.", "")
        )
        report.add(code, Severity.ERROR, title, error.verify_message or str(error), remedy or _TRUST)
    except ssl.SSLError as error:
        report.add(
            "tls",
            Severity.ERROR,
            "It does not speak TLS.",
            str(error),
            f"Try ws://{parts.netloc}, or see the server's log.",
        )
    except InvalidStatus as error:
        if error.response.status_code == 403:
            _refused(report, origin)
        else:
            report.add("not-a-server", Severity.ERROR, "That is no rawprint-server.", str(error), "Check the port.")
    except (InvalidMessage, InvalidHandshake, EOFError) as error:
        hint = "Try wss:// instead: it may want TLS." if parts.scheme == "ws" else "Check the port."
        report.add("not-a-server", Severity.ERROR, "That is no rawprint-server.", str(error), hint)
    except TimeoutError:
        report.add(
            "server-silent", Severity.ERROR, "It does not answer.", "", "See whether the server hangs, and its log."
        )
    except OSError as error:
        report.add(
            "server-down",
            Severity.ERROR,
            f"No server runs at {parts.netloc}.",
            error.strerror or str(error),
            "Start it: rawprint-server; see its log for the port that it has.",
        )
    return report


def _greet(connection: ClientConnection, report: Report, timeout: float) -> None:
    connection.send(json.dumps({"call": "server.version", "uid": "probe"}))
    answer = connection.recv(timeout)
    try:
        result = json.loads(answer)["result"]
        report.make_model = f"rawprint-server {result['version']}"
    except (ValueError, KeyError, TypeError):
        report.add("not-a-server", Severity.ERROR, "That is no rawprint-server.", "", "Check the port.")


def _refused(report: Report, origin: str | None) -> None:
    remedy = (
        f'Allow it in the configuration: [access] origins = ["{origin}"]'
        if origin
        else "See [access] of the configuration."
    )
    report.add(
        "origin-refused",
        Severity.ERROR,
        f"The server refuses the page {origin}.",
        "It is not in [access] origins.",
        remedy,
    )

"""The errors that rawprint raises: each has a stable `code`, and a `hint` that says how to mend it.

RawprintError
├─ AddressError (ValueError)         bad-address
├─ OpenError
│  ├─ PrinterNotFound                not-found
│  ├─ AmbiguousAddress               ambiguous        .candidates
│  ├─ AccessDenied (PermissionError) access-denied
│  ├─ PrinterBusy                    busy
│  └─ BackendMissing                 backend-missing
├─ Disconnected (ConnectionError)    disconnected
├─ WriteStalled (TimeoutError)       write-stalled    .written .total .reasons
├─ NoReply (TimeoutError)            no-reply
├─ BadReply                          bad-reply        .raw
├─ JobCanceled                       canceled         .written
├─ JobExpired                        expired
├─ JournalError                      journal
│  └─ JournalTaken                   journal-taken
├─ DocumentError                     bad-document
│  ├─ DocumentTooLarge               document-too-large
│  ├─ DocumentTimeout (TimeoutError) document-timeout
│  └─ UnprintableText                unprintable      .characters
├─ Unsettled                         unsettled
└─ Unsupported                       unsupported

The standard library's classes in parentheses are bases too, so that `except TimeoutError` works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rawprint.status import Reason


class RawprintError(Exception):
    """Base of every error raised on purpose; anything else that escapes is a bug in rawprint.

    Attributes:
        code: What the command line, the JSON and the JavaScript client show; never reworded.
        hint: One sentence that says how to mend it; may be empty.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """What happened, in one sentence."""
        return str(self.args[0])

    def __str__(self) -> str:
        return self.message


class AddressError(RawprintError, ValueError):
    """The text is no printer address, or names a scheme that has no transport."""

    code = "bad-address"


class OpenError(RawprintError):
    """The printer could not be opened. Nothing was sent to it."""

    code = "open-failed"


class PrinterNotFound(OpenError):
    """Nothing answers at the address: switched off, unplugged, another name, a closed port."""

    code = "not-found"


class AmbiguousAddress(OpenError):
    """More than one printer fits the address.

    Attributes:
        candidates: Addresses that open one printer each.
    """

    code = "ambiguous"

    def __init__(self, message: str, *, hint: str = "", candidates: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.candidates = tuple(candidates)


class AccessDenied(OpenError, PermissionError):
    """The system does not let this user open the printer."""

    code = "access-denied"


class PrinterBusy(OpenError):
    """Somebody else holds the printer: another program, or another host."""

    code = "busy"


class BackendMissing(OpenError):
    """A transport that the address needs is not there on this machine."""

    code = "backend-missing"


class Disconnected(RawprintError, ConnectionError):
    """The connection ended: cable out, printer off, connection closed or reset.

    Attributes:
        lost: Whether bytes that the far side did not acknowledge may have arrived all the same: it fell silent, or it
            reset the connection so soon after them that it had no time to. False: those bytes did not arrive.
    """

    code = "disconnected"

    def __init__(self, message: str, *, hint: str = "", lost: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lost = lost


class WriteStalled(RawprintError, TimeoutError):
    """The printer took no more bytes within the time allowed.

    Attributes:
        written: Bytes that must not be sent again.
        total: Bytes that were to be written.
        reasons: What the printer itself said meanwhile, IPP keyword -> true or false; often empty.
    """

    code = "write-stalled"

    def __init__(
        self, message: str, *, written: int, total: int, reasons: Mapping[Reason, bool], hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.written = written
        self.total = total
        self.reasons = dict(reasons)


class NoReply(RawprintError, TimeoutError):
    """The printer did not answer a query in time. That says nothing about its state."""

    code = "no-reply"


class BadReply(RawprintError):
    """Bytes came that fit no reply to what was asked, or more of them than were asked for.

    Attributes:
        raw: The bytes, at most 256 of them.
    """

    code = "bad-reply"

    def __init__(self, message: str, *, raw: bytes = b"", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.raw = bytes(raw[:256])


class JobCanceled(RawprintError):
    """The job was canceled.

    Attributes:
        written: Bytes that the printer had been given by then; 0 means that nothing was printed.
    """

    code = "canceled"

    def __init__(self, message: str, *, written: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.written = written


class JobExpired(RawprintError):
    """The job had not begun when its time was up; nothing of it was printed."""

    code = "expired"


class Unsupported(RawprintError):
    """The printer, or its language, has no such thing."""

    code = "unsupported"


class JournalError(RawprintError):
    """The journal, which keeps jobs over a crash, cannot be used or written."""

    code = "journal"


class JournalTaken(JournalError):
    """Another process has the journal: two of them would print its jobs twice."""

    code = "journal-taken"


class Unsettled(RawprintError):
    """An earlier job may have come out or not, and holds this one up until somebody has said which."""

    code = "unsettled"


class DocumentError(RawprintError):
    """A picture, a PDF, a text or a ticket cannot be printed as it is: broken, of another kind, encrypted, or wrongly described."""

    code = "bad-document"


class DocumentTooLarge(DocumentError):
    """It has more pixels, pages or bytes than are taken."""

    code = "document-too-large"


class DocumentTimeout(DocumentError, TimeoutError):
    """It took too long to be made ready for the printer."""

    code = "document-timeout"


class UnprintableText(DocumentError):
    """A text has characters that the printer is not sure to print.

    Attributes:
        characters: Each of them once.
    """

    code = "unprintable"

    def __init__(self, message: str, *, hint: str = "", characters: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.characters = tuple(characters)

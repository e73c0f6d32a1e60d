"""Who may connect, and what they may do: pure functions of a request's headers, the configuration and what was granted.

A browser cannot be told by a page what it writes into Host and Origin. Host keeps out a foreign name that
was made to point at this machine (DNS rebinding), Origin a page that nobody allowed. A program writes there what it likes:
where that matters, a token says who it is.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from rawprint import RawprintError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

KINDS = ("status", "print", "drawer", "jobs", "admin")
"""What can be granted: to see printers, to print, to open cash drawers, to see and settle jobs, to change who may."""

NEEDS: Mapping[str, str] = {
    "server.version": "status",
    "printers.find": "status",
    "printers.list": "status",
    "printers.status": "status",
    "printerStatus": "status",
    "subscribe": "status",
    "unsubscribe": "status",
    "print": "print",
    "printers.test": "print",
    "drawer.open": "drawer",
    "printers.pause": "jobs",
    "printers.resume": "jobs",
    "jobs.get": "jobs",
    "jobs.list": "jobs",
    "jobs.cancel": "jobs",
    "jobs.resolve": "jobs",
    "jobs.text": "jobs",
    "jobs.again": "jobs",
    "printers.history": "jobs",
    "admin.enter": "",  # what makes an administrator of somebody who may do nothing else
    "admin.code": "admin",
    "admin.access": "admin",
    "admin.allow": "admin",
    "admin.deny": "admin",
    "admin.watch": "admin",
    "admin.unwatch": "admin",
    "admin.disconnect": "admin",
    "admin.add": "admin",
    "admin.probe": "admin",
    "admin.raw": "admin",
}
"""Call -> what must be granted for it; "": nothing."""

ORDINARY = frozenset({"status", "print", "drawer", "jobs"})
PAIRED = ORDINARY - {"drawer"}  # what a code on paper grants: opening the drawer takes the owner's word

TOKEN_PREFIX = "rp_"  # noqa: S105 - says what it is where one turns up
_BEARER = "bearer "
_TOKEN_PROTOCOL = "rawprint.token."  # noqa: S105 - a WebSocket subprotocol: pages cannot send headers of their own


class NotGranted(RawprintError):
    """The client may not do that."""

    code = "not-granted"


class Grant(Struct, frozen=True):
    """What somebody may do.

    Attributes:
        calls: Of `KINDS`.
        printers: Names; None: all.
        raw: Whether commands that change the printer for good are let through.
    """

    calls: frozenset[str] = ORDINARY
    printers: frozenset[str] | None = None
    raw: bool = False

    def covers(self, printer: str) -> bool:
        """Whether the printer is one of those that are granted."""
        return self.printers is None or printer in self.printers

    @property
    def sees_jobs(self) -> bool:
        """Whether it hears of jobs: who prints hears how its own fare, and so of all on those printers."""
        return not self.calls.isdisjoint({"print", "jobs"})

    def __and__(self, other: Grant) -> Grant:
        printers = self.printers if other.printers is None else other.printers
        if self.printers is not None and other.printers is not None:
            printers = self.printers & other.printers
        return Grant(self.calls & other.calls, printers, self.raw and other.raw)


PROGRAM = Grant(raw=True)  # a program on this machine could open the printer itself
ADMIN = Grant(frozenset(KINDS), raw=True)


class Token(Struct, frozen=True):
    """What is kept of a token: whoever reads the file cannot use it.

    Attributes:
        name: What people call it.
        sha256: Of the token, hex.
        origin: The only page that may use it; None: programs, and pages that are allowed themselves.
    """

    name: str
    sha256: str
    grant: Grant = Grant()
    origin: str | None = None


class Rules(Struct, frozen=True):
    """All that decides who may connect.

    Attributes:
        own: Origins of the server's own pages.
        allowed: Origin, compared exactly -> what it may do; `null` (a file, a sandbox) is one like others.
        denied: Origins that stay out whatever else allows them.
        programs: Whether a program on this machine needs a token: "open" or "token".
        admin: SHA-256 of the secret that makes an administrator, hex; "": there is none.
    """

    own: frozenset[str] = frozenset()
    allowed: dict[str, Grant] = {}
    denied: frozenset[str] = frozenset()
    tokens: tuple[Token, ...] = ()
    programs: Literal["open", "token"] = "open"
    admin: str = ""


class Asking(NamedTuple):
    """What a request says of itself.

    Attributes:
        origins: The values of all Origin headers.
        token: As `presented` has it; None: none.
        remote: Whether it came in by an address that other machines reach, too.
    """

    origins: tuple[str, ...] = ()
    token: str | None = None
    remote: bool = False


class Entry(NamedTuple):
    """Somebody who may connect.

    Attributes:
        origin: The page's; None: a program.
        token: The token's name; None: there was none.
    """

    origin: str | None
    token: str | None
    grant: Grant

    @property
    def who(self) -> str:
        """For logs and limits."""
        return self.origin or (f"token {self.token}" if self.token else "program")


class Refusal(NamedTuple):
    """Somebody who may not.

    Attributes:
        code: "origin-not-allowed", "token-needed" or "bad-token".
        reason: For a person; short enough for a close frame where the origin is.
        origin: The page's, where that is what is not allowed.
    """

    code: str
    reason: str
    origin: str | None = None


def decide(asking: Asking, rules: Rules) -> Entry | Refusal:
    """Whether the request may come in, and what it may do then."""
    if len(asking.origins) > 1:
        return Refusal("origin-not-allowed", "there is more than one Origin")
    origin = asking.origins[0] if asking.origins else None
    token = None
    if asking.token is not None:
        token = _known(asking.token, rules)
        wrong = token is None or (token.origin is not None and token.origin != origin)
        # Who has read the administrator's file is on this machine.
        if token is None or wrong or (asking.remote and "admin" in token.grant.calls):
            return Refusal("bad-token", "the token is not known, or is another page's")
    elif asking.remote or (origin is None and rules.programs == "token"):
        return Refusal("token-needed", "a token is needed: rawprint-server access token new NAME")
    if origin is None:
        return Entry(None, None, PROGRAM) if token is None else Entry(None, token.name, token.grant)
    grant = _of_page(origin, token, rules)
    if grant is None:
        return Refusal("origin-not-allowed", " is not allowed: rawprint-server access allow", origin)
    return Entry(origin, None, grant) if token is None else Entry(origin, token.name, grant & token.grant)


def _of_page(origin: str, token: Token | None, rules: Rules) -> Grant | None:
    if origin in rules.denied:
        return None
    if origin in rules.own:
        if token is not None and "admin" in token.grant.calls:
            return ADMIN
        # A program can pretend to be the page: where it needs a token it must not get in by that.
        return Grant(raw=True) if rules.programs == "open" else Grant(frozenset())
    if (grant := rules.allowed.get(origin)) is not None:
        return grant
    return token.grant if token is not None and token.origin == origin else None


def _known(presented: str, rules: Rules) -> Token | None:
    digest = hashed(presented)
    if rules.admin and _same(digest, rules.admin):
        return Token("admin", digest, ADMIN)
    found = None
    for token in rules.tokens:  # all of them, so that the time tells nothing
        if _same(digest, token.sha256):
            found = token
    return found


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())  # text that is not ASCII it would not take


def hashed(token: str) -> str:
    """What is kept of a token: it is 256 random bits, which no search can undo."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def presented(authorizations: Sequence[str], protocols: Sequence[str]) -> str | None:
    """The token that a request brings: a program's in `Authorization: Bearer`, a page's as a WebSocket subprotocol.

    More than one is nobody's honest request: then it is "", which is no token.
    """
    tokens = [value[len(_BEARER) :].strip() for value in authorizations if value.lower().startswith(_BEARER)]
    tokens += [name[len(_TOKEN_PROTOCOL) :] for name in protocols if name.startswith(_TOKEN_PROTOCOL)]
    if not tokens and not authorizations:
        return None
    return tokens[0] if len(tokens) == 1 else ""


def host_allowed(hosts: Sequence[str], port: int, names: Collection[str] = ()) -> bool:
    """Whether the request means this machine by a name of its own, at the port that is really bound.

    Args:
        hosts: The values of all Host headers of the request; only one is accepted.
        port: The bound port. It may be absent from the header only where it is HTTP's own, 80 or 443.
        names: Its names beside the loopback ones, in small letters; IPv6 addresses in brackets.
    """
    return len(hosts) == 1 and hosts[0].lower() in authorities(port, names)


def own_origins(port: int, names: Collection[str] = (), *, tls: bool = False) -> frozenset[str]:
    """The origins of the server's own pages; with TLS the other names are served by that alone."""
    plain = {f"http://{authority}" for authority in _with_port(LOOPBACK_NAMES, port, 80)}
    scheme, default = ("https", 443) if tls else ("http", 80)
    return frozenset(plain | {f"{scheme}://{authority}" for authority in _with_port(names, port, default)})


def bracketed(name: str) -> str:
    """A name or address as it stands before a port."""
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def authorities(port: int, names: Collection[str] = ()) -> frozenset[str]:
    """What may stand in Host."""
    return _with_port((*LOOPBACK_NAMES, *names), port, 80) | (
        _with_port((*LOOPBACK_NAMES, *names), port, 443) if port == 443 else frozenset()
    )


def _with_port(names: Collection[str], port: int, default: int) -> frozenset[str]:
    return frozenset({f"{name}:{port}" for name in names} | (set(names) if port == default else set()))

"""The commands `rawprint-server access …` and `dashboard`: who may connect, told to the folder that a running server looks at."""

from __future__ import annotations

import html
import json
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawprint_server import files, grants
from rawprint_server.access import KINDS, ORDINARY, Grant, Token, hashed
from rawprint_server.config import EVERYWHERE, ConfigError, load, origin_fault, state_folder
from rawprint_server.grants import GrantsError
from rawprint_server.messages import AllowedView

if TYPE_CHECKING:
    import argparse

    from rawprint_server.config import Config

_CALLS = ",".join(kind for kind in KINDS if kind != "admin")


def add(commands: Any, suppress: object) -> None:
    """Adds the commands to the parser."""
    access = commands.add_parser("access", help="say who may connect: list, allow, deny, forget, token")
    access.add_argument("--config", type=Path, metavar="FILE", default=suppress, help="configuration (TOML)")
    steps = access.add_subparsers(dest="step", metavar="list | allow | deny | forget | token", required=True)
    lister = steps.add_parser("list", help="who may, who may not, and who asked")
    lister.add_argument("--json", action="store_true", help="print one JSON document")
    allow = steps.add_parser("allow", help="let a page in")
    allow.add_argument("origin", metavar="ORIGIN", help="such as https://pos.example.com")
    _add_grant(allow)
    deny = steps.add_parser("deny", help="keep a page out, whatever the configuration says")
    deny.add_argument("origin", metavar="ORIGIN")
    forget = steps.add_parser("forget", help="neither let in nor keep out: as if nobody had said anything")
    forget.add_argument("origin", metavar="ORIGIN")
    token = steps.add_parser("token", help="secrets for programs, and for other machines: new, list, revoke")
    tokens = token.add_subparsers(dest="token_step", metavar="new | list | revoke", required=True)
    new = tokens.add_parser("new", help="make one, and print it, once")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--origin", metavar="ORIGIN", help="only this page may use it, and may connect by it")
    _add_grant(new)
    tokens.add_parser("list", help="their names")
    revoke = tokens.add_parser("revoke", help="end one; who is connected by it is cut off")
    revoke.add_argument("name", metavar="NAME")
    dashboard = commands.add_parser("dashboard", help="open the server's page as its administrator")
    dashboard.add_argument("--config", type=Path, metavar="FILE", default=suppress, help="configuration (TOML)")
    dashboard.add_argument("--server", metavar="URL", help="default: ws://127.0.0.1 with the configuration's port")
    dashboard.add_argument("--print", action="store_true", help="print the page's address, and open nothing")


def _add_grant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", metavar="KINDS", default=_CALLS, help=f"what it may do (default: {_CALLS})")
    parser.add_argument(
        "--printer", action="append", metavar="NAME", help="only this printer; repeatable (default: all)"
    )
    parser.add_argument("--raw", action="store_true", help="let commands through that change a printer for good")


def run(args: argparse.Namespace) -> int:
    """Carries out one of them.

    Raises:
        ConfigError, GrantsError: It cannot be.
    """
    config = load(args.config)
    folder = state_folder(config)
    if folder is None:
        raise ConfigError("this user has no folder for what is granted", hint="Write state_dir in [server].")
    if args.command == "dashboard":
        return _dashboard(args, config, folder)
    match args.step:
        case "list":
            _list(config, grants.read(folder), as_json=args.json)
        case "allow":
            origin, grant = _origin(args.origin), _grant(args, config)
            grants.change(folder, lambda before: before.allow(origin, grant, "command"))
            print(f"{origin}: {_text(AllowedView.of(origin, grant, 'command', None))}")
        case "deny":
            origin = _origin(args.origin)
            grants.change(folder, lambda before: before.deny(origin))
            print(f"{origin} stays out")
        case "forget":
            grants.change(folder, lambda before: before.forget(args.origin))
            print(f"{args.origin}: as the configuration says")
        case "token":
            _token(args, config, folder)
    return 0


def _token(args: argparse.Namespace, config: Config, folder: Path) -> None:
    match args.token_step:
        case "new":
            secret = grants.new_token()
            origin = None if args.origin is None else _origin(args.origin)
            token = Token(args.name, hashed(secret), _grant(args, config), origin)
            grants.change(folder, lambda before: before.with_token(token))
            print(secret)
        case "list":
            for each in grants.read(folder).tokens:
                view = AllowedView.of(each.origin or "", each.grant, "", None)
                print("  ".join(filter(None, (each.name, each.origin or "", _text(view)))))
        case "revoke":
            grants.change(folder, lambda before: before.revoke(args.name))
            print(f"{args.name} is revoked")


def _list(config: Config, granted: grants.Grants, *, as_json: bool) -> None:
    views = [
        AllowedView.of(each.origin, each.grant, each.how, each.at)
        for each in granted.with_configured(config.access.origins)
    ]
    if as_json:
        document = {
            "allowed": [
                {"origin": v.origin, "calls": v.calls, "printers": v.printers, "raw": v.raw, "how": v.how}
                for v in views
            ],
            "denied": list(granted.denied),
            "asked": [{"origin": each.origin, "at": each.at.isoformat()} for each in granted.asked],
            "tokens": [each.name for each in granted.tokens],
        }
        print(json.dumps(document))
        return
    for view in views:
        print(f"allowed  {view.origin}  {_text(view)}  ({view.how})")
    for origin in granted.denied:
        print(f"denied   {origin}")
    for each in granted.asked:
        print(f"asked    {each.origin}  {each.at:%Y-%m-%d %H:%M} UTC")
    for token in granted.tokens:
        print(f"token    {token.name}")


def _text(view: AllowedView) -> str:
    where = "" if view.printers is None else f" on {', '.join(view.printers)}"
    return ",".join(view.calls) + where + (" raw" if view.raw else "")


def _origin(text: str) -> str:
    if fault := origin_fault(text):
        raise ConfigError(fault[0], hint=fault[1])
    return text


def _grant(args: argparse.Namespace, config: Config) -> Grant:
    calls = frozenset(filter(None, args.calls.split(",")))
    if not calls or not calls <= ORDINARY:
        raise ConfigError(f"--calls {args.calls}: some of that cannot be granted", hint=f"Of {_CALLS}.")
    for name in args.printer or ():
        if name not in config.printers:
            known = ", ".join(config.printers) or "none"
            raise ConfigError(f"no printer is named {name!r}", hint=f"The printers are: {known}.")
    return Grant(calls, None if args.printer is None else frozenset(args.printer), args.raw)


def _dashboard(args: argparse.Namespace, config: Config, folder: Path) -> int:
    if args.server is None and config.server.host in EVERYWHERE:
        raise ConfigError(
            f"host = {config.server.host!r} leaves this machine no way in of its own, and the dashboard comes by that",
            hint="Name one address of this machine as host: then loopback is served beside it.",
        )
    secret = grants.admin_secret(folder, make=False)
    if secret is None:
        raise GrantsError(
            f"there is no {folder / grants.ADMIN_FILE}", hint="Start rawprint-server; it must be this user's."
        )
    server = args.server or f"ws://127.0.0.1:{config.server.port}"
    code = _ask(server, secret)
    page = f"{server.replace('ws', 'http', 1).rstrip('/')}/#code={code}"
    if args.print or not _opened(page, folder):
        print(page)
    return 0


def _opened(page: str, folder: Path) -> bool:
    """Opens the page by a file: what stands in a browser's command line, other users see."""
    file = folder / "dashboard.html"
    content = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={html.escape(page)}">\n'
    try:
        file.unlink(missing_ok=True)
        files.replace(file, content.encode(), 0o600)
    except OSError:
        return False
    return webbrowser.open(file.resolve().as_uri())


def _ask(server: str, secret: str) -> str:
    """A one-time code from the running server.

    Raises:
        GrantsError: There is none, or it does not know the secret.
    """
    from websockets.exceptions import WebSocketException  # noqa: PLC0415 - the other commands need none
    from websockets.sync.client import connect  # noqa: PLC0415

    headers = {"Authorization": f"Bearer {secret}"}
    hint = "Start rawprint-server as this user; --server names another address."
    try:
        with connect(server, subprotocols=["rawprint.v1"], additional_headers=headers, proxy=None) as socket:  # type: ignore[list-item]
            socket.send('{"call":"admin.code","uid":1}')
            answer = json.loads(socket.recv(timeout=10))
        return str(answer["result"]["code"])
    except (OSError, WebSocketException, TimeoutError, ValueError) as error:
        raise GrantsError(f"no rawprint-server answers at {server}: {error}", hint=hint) from error
    except (KeyError, TypeError) as error:
        raise GrantsError(f"the server at {server} gave no code", hint=hint) from error

"""The layers: who may touch a cable, who may import whom, and what `import rawprint` costs."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rawprint

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
LIBRARY = SRC / "rawprint"
SERVER = SRC / "rawprint_server"

# Each imports only from rows above it, and from its own row.
ROWS = [
    *(
        "errors",
        "status",
        "address",
        "device_id",
        "virtual",
        "testing",
        "dialects",
        "filtering",
        "identify",
        "channels",
        "transports",
        "capabilities",
        "printer",
        "aside",
        "console",
    ),
    *(
        "dns_sd",
        "discovery",
        "journal",
        "jobs",
        "flight",
        "polling",
        "print_queue",
        "documents",
        "remote",
        "probe",
        "status_view",
        "list_view",
        "print_files",
        "cli",
        "__main__",
    ),
]
# An error names reasons in its annotations, and nothing more of the row below it.
TYPES_ONLY = {("errors", "status")}
# These hold values and logic alone: nothing but the standard library, now and later.
PURE = {
    *("errors", "status", "address", "device_id", "dialects", "filtering", "identify", "channels", "capabilities"),
    *("printer", "aside", "console", "jobs", "flight", "polling"),
}


def ruff(folder):
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--output-format",
        "concise",
    ]
    return subprocess.run([*command, "src"], cwd=folder, capture_output=True, text=True, check=False)


def imports(path, root=SRC):
    """What a file imports, as dotted names with the imported name, and whether only for the type checker."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            parts = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                yield module, alias.name, id(node) in for_types


def row(module, name=""):
    """The row of the library that an import reaches into, or "" for what `rawprint` itself exports."""
    parts = module.split(".")
    if parts[1:]:
        return parts[1]
    return name if name in ROWS else ""


# -- who may touch a cable -----------------------------------------------------------------------------------


def test_no_cable_outside_its_layer():
    result = ruff(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(SRC, folder / "src", ignore=shutil.ignore_patterns("__pycache__", "static"))
    return folder


def test_a_forbidden_import_is_caught(copy):
    forbidden = {
        "rawprint/status.py": "import socket",
        "rawprint/dialects/tspl.py": "import serial",
        "rawprint/dialects/escpos.py": "from usb import core",
        "rawprint/channels/snmp.py": "import socket",
        "rawprint/aside.py": "import socket",
        "rawprint/printer.py": "from socket import create_connection",
        "rawprint/print_queue.py": "import asyncio",
        "rawprint/cli.py": "import asyncio.subprocess",
        "rawprint/brandnew.py": "import usb.core",
    }
    allowed = {
        "rawprint/transports/base.py": "import socket, serial, usb",
        "rawprint/virtual/device.py": "import socket",
        "rawprint_server/config.py": "import asyncio",
    }
    for name, line in (forbidden | allowed).items():
        path = copy / "src" / name
        path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    result = ruff(copy)
    assert result.returncode == 1, result.stderr
    caught = {line.split(":")[0].replace("\\", "/") for line in result.stdout.splitlines() if "TID251" in line}
    assert caught == {f"src/{name}" for name in forbidden}


# -- who may import whom -------------------------------------------------------------------------------------


def test_every_module_has_a_row():
    names = {p.stem for p in LIBRARY.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert names - {"__init__"} <= set(ROWS)


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_imports_only_from_rows_above(path):
    own = path.relative_to(LIBRARY).with_suffix("").parts[0]
    if own == "__init__":
        return  # it hands out the public names of every row
    for module, name, for_types in imports(path):
        top = module.split(".")[0]
        assert top != "rawprint_server", f"{module} is above the library"
        if own in PURE:
            assert top == "rawprint" or top in sys.stdlib_module_names, f"{module} is not of the standard library"
        if top != "rawprint":
            continue
        reached = row(module, name)
        if for_types and (own, reached) in TYPES_ONLY:
            continue
        if not reached:
            assert own == "cli", "only the commands use the public names"
            continue
        assert ROWS.index(reached) <= ROWS.index(own), f"{own} is above {reached}"


def test_a_virtual_printer_knows_no_decoder():
    for path in (LIBRARY / "virtual").rglob("*.py"):
        reached = {row(module, name) for module, name, _ in imports(path) if module.split(".")[0] == "rawprint"}
        assert reached <= {"errors", "status", "address", "device_id", "virtual"}, path


@pytest.mark.parametrize("folder", ["dialects", "channels", "filtering"])
def test_a_language_does_no_work_but_decoding(folder):
    for path in (LIBRARY / folder).rglob("*.py"):
        for module, _, _ in imports(path):
            assert module.split(".")[0] in {
                "__future__",
                "collections",
                "dataclasses",
                "enum",
                "functools",
                "heapq",
                "itertools",
                "rawprint",
                "re",
                "types",
                "typing",
            }, f"{path.name} imports {module}: no clock, no input or output, no logging"


@pytest.mark.parametrize("path", sorted(SERVER.rglob("*.py")), ids=lambda path: str(path.relative_to(SERVER)))
def test_the_server_uses_public_names_only(path):
    public = {*rawprint.__all__, "__version__"}
    for module, name, _ in imports(path):
        if module == "rawprint":
            assert name in public, f"rawprint.{name} is not public"
        elif module.startswith("rawprint."):
            assert module in {"rawprint.documents", "rawprint.virtual"}, f"{module} is not public"
            assert name in importable(module), f"{module}.{name} is not public"


def importable(module):
    return set(__import__(module, fromlist=["__all__"]).__all__)


def test_how_imports_are_read(tmp_path):
    path = tmp_path / "rawprint" / "dialects" / "new.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import a.b\nfrom rawprint import address as addresses\nfrom . import base\nfrom ..status import Reason\n"
        "if TYPE_CHECKING:\n    from rawprint.jobs import Job\ndef f():\n    import c\n"
    )
    assert sorted(imports(path, tmp_path)) == [
        ("a.b", "", False),
        ("c", "", False),
        ("rawprint", "address", False),
        ("rawprint.dialects", "base", False),
        ("rawprint.jobs", "Job", True),
        ("rawprint.status", "Reason", False),
    ]
    assert [row("rawprint.dialects.base"), row("rawprint", "address"), row("rawprint", "Printer")] == [
        "dialects",
        "address",
        "",
    ]


# -- what an import costs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("rawprint", "socket ssl serial usb asyncio websockets msgspec argparse http.client escpos PIL"),
        ("rawprint.cli", "serial usb asyncio websockets msgspec http.client escpos PIL rawprint_server"),
        ("rawprint.virtual", "socket serial usb asyncio websockets msgspec http.server"),
        ("rawprint.testing", "pytest socket serial usb asyncio websockets msgspec http.server PIL"),
    ],
)
def test_an_import_leaves_the_rest_alone(module, never):
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert module in loaded
    assert not loaded & set(never.split())

"""What the README shows works: its Python blocks run, its configuration loads, its commands and clones exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rawprint.cli import main
from rawprint.virtual import CLONES
from rawprint_server.config import ServerConfig, find_mistakes, load

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", PYTHON, ids=[f"block {n}" for n in range(1, len(PYTHON) + 1)])
def test_python_blocks_run(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_second_block_says_what_comes_out(capsys):
    exec(compile(PYTHON[1], "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() in PYTHON[1]


def test_the_configuration_loads(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", README, re.DOTALL)[1], encoding="utf-8")
    assert list(load(file).printers) == ["Label", "Receipt"]


def test_the_other_configurations_load():
    for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[1:]:
        assert find_mistakes(block) == []


def test_every_key_of_the_server_is_there():
    """A row may hold several keys."""
    for key in ServerConfig.__struct_fields__:
        assert re.search(rf"^\|[^|]*`{key}`", README, re.MULTILINE), key


def test_the_commands_exist(capsys):
    for command in set(re.findall(r"^    rawprint (\w+)", README, re.MULTILINE)):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out


def test_the_clones_are_all_named():
    for name in CLONES:
        assert not name or f"`{name}`" in README

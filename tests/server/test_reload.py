"""What becomes of a configuration file that changes, breaks, goes away and comes back while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from functools import partial

import pytest

from rawprint_server import reload
from rawprint_server.config import Config, load, parse

PATIENCE = 5.0  # seconds until something that must come is given up

ONE = '[printers.One]\naddress = "tcp://one"\n'
TWO = ONE + '[printers.Two]\naddress = "tcp://two"\n'
BROKEN = TWO + "[server]\nprot = 1\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(reload, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(reload, "SETTLE", 0.01)


class Following:
    """A file that is followed; what comes of it waits in `configs` and `said`."""

    def __init__(self, file, current=None, read=None):
        self.file = file
        self.look = asyncio.Event()
        self.configs = asyncio.Queue()
        self.said = asyncio.Queue()
        self.faults = []  # what `changed` raises
        self._current = load(file) if current is None else current
        self._read = partial(load, file) if read is None else read

    async def __aenter__(self):
        self._handler = logging.Handler()
        self._handler.emit = lambda record: self.said.put_nowait((record.levelname, record.getMessage()))
        reload.log.addHandler(self._handler)
        self._level = reload.log.level
        reload.log.setLevel(logging.INFO)
        self._task = asyncio.create_task(
            reload.follow(self.file, self._read, self.changed, current=self._current, look=self.look)
        )
        return self

    async def __aexit__(self, *_):
        reload.log.removeHandler(self._handler)
        reload.log.setLevel(self._level)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def changed(self, config):
        if self.faults:
            raise self.faults.pop()
        self.configs.put_nowait(config)

    async def printers(self):
        """The printers' names of the next configuration; nothing was said before it."""
        config = await asyncio.wait_for(self.configs.get(), PATIENCE)
        assert self.said.empty()
        return list(config.printers)

    async def told(self, level="WARNING"):
        got, message = await asyncio.wait_for(self.said.get(), PATIENCE)
        assert got == level, message
        return message


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(ONE)
    return file


def following(test):
    """Runs a test that is a coroutine."""

    def run(file):
        asyncio.run(test(file))

    return run


def as_a_new_file(file, text):
    """Writes it as many editors do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


async def looked(monkeypatch, times=8):
    """Waits until the file has been looked at so often."""
    done = asyncio.Event()
    left = times
    original = reload._signature

    def signature(path):
        nonlocal left
        left -= 1
        if left == 0:
            done.set()
        return original(path)

    with monkeypatch.context() as patched:
        patched.setattr(reload, "_signature", signature)
        await asyncio.wait_for(done.wait(), PATIENCE)


@following
async def test_a_change_is_handed_on(file):
    async with Following(file) as it:
        file.write_text(TWO)
        assert await it.printers() == ["One", "Two"]
        as_a_new_file(file, ONE)
        assert await it.printers() == ["One"]


@following
async def test_a_file_that_changed_before_it_was_followed(file):
    async with Following(file, current=Config()) as it:
        assert await it.printers() == ["One"]


def test_a_file_that_says_the_same_is_nothing_new(file, monkeypatch):
    async def test():
        async with Following(file) as it:
            os.utime(file, (1, 1))
            await looked(monkeypatch)
            file.write_text("# a comment\n" + ONE)
            await looked(monkeypatch)
            file.write_text(TWO)
            assert await it.printers() == ["One", "Two"]
            assert it.configs.empty()

    asyncio.run(test())


@following
async def test_another_order_is_new(file):
    async with Following(file, current=parse(TWO)) as it:
        file.write_text(TWO.removeprefix(ONE) + ONE)
        assert await it.printers() == ["Two", "One"]


def test_mistakes_are_told_once_and_change_nothing(file, monkeypatch):
    async def test():
        async with Following(file) as it:
            file.write_text(BROKEN)
            told = await it.told()
            assert f"{file}: line 6: server.prot" in told
            assert "'port'" in told
            os.utime(file, (1, 1))
            await looked(monkeypatch)
            as_a_new_file(file, BROKEN)
            await looked(monkeypatch)
            assert it.said.empty()
            file.write_text(BROKEN.replace("prot", "hots"))
            assert "server.hots" in await it.told()
            assert it.configs.empty()
            file.write_text(ONE)
            assert "nothing is new" in await it.told("INFO")
            file.write_text(BROKEN)
            assert "server.prot" in await it.told()
            file.write_text(TWO)
            assert await it.printers() == ["One", "Two"]

    asyncio.run(test())


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_file_that_is_gone_or_empty_changes_nothing(file, how, monkeypatch):
    async def test():
        async with Following(file) as it:
            await looked(monkeypatch)  # at the file as it was
            if how == "gone":
                file.unlink()
            else:
                file.write_text("")
            assert await it.told() == f"the configuration stays as it was: {file} is {how}"
            await looked(monkeypatch)
            assert it.said.empty()
            file.write_text(TWO)
            assert await it.printers() == ["One", "Two"]

    asyncio.run(test())


def test_a_default_file_that_is_made_later(tmp_path, monkeypatch):
    async def test():
        file = tmp_path / "later" / "server.toml"
        async with Following(file, current=Config()) as it:
            await looked(monkeypatch)
            assert it.said.empty()
            file.parent.mkdir()
            file.write_text(ONE)
            assert await it.printers() == ["One"]

    asyncio.run(test())


def test_a_file_that_is_being_written_is_left_to_rest(file, monkeypatch):
    """Each look but the last meets the next step of an editor."""
    steps = [
        file.unlink,
        partial(file.write_text, ""),
        partial(file.write_text, ONE[:-3]),
        partial(file.write_text, ONE),
    ]
    original = reload._signature

    def signature(path):
        if steps:
            steps.pop(0)()
        return original(path)

    async def test():
        async with Following(file) as it:
            await looked(monkeypatch)
            file.write_text(TWO)
            assert await it.printers() == ["One", "Two"]
            steps.append(partial(file.write_text, ONE))
            monkeypatch.setattr(reload, "_signature", signature)
            assert await it.printers() == ["One"]
            assert it.said.empty()

    asyncio.run(test())


@following
async def test_what_was_read_while_the_file_was_written_is_not_used(file):
    texts = [TWO + ONE.replace("One", "Three").replace("one", "three"), TWO]

    def read():
        config = load(file)
        if texts:
            file.write_text(texts.pop())
        return config

    async with Following(file, current=Config(), read=read) as it:
        assert await it.printers() == ["One", "Two", "Three"]
        assert it.said.empty()


def test_asked_to_it_looks_at_once(file, monkeypatch):
    monkeypatch.setattr(reload, "LOOK_EVERY", 3600.0)

    async def test():
        async with Following(file) as it:
            file.write_text(TWO)
            it.look.set()
            assert await it.printers() == ["One", "Two"]
            it.look.set()
            assert "nothing is new" in await it.told("INFO")
            file.write_text(BROKEN)
            for _ in range(2):  # whoever asks is answered
                it.look.set()
                assert "server.prot" in await it.told()
            file.unlink()
            it.look.set()
            assert "gone" in await it.told()

    asyncio.run(test())


@following
async def test_a_fault_of_the_one_who_takes_over_ends_nothing(file):
    async with Following(file) as it:
        it.faults.append(RuntimeError("no"))
        file.write_text(TWO)
        assert await it.told("ERROR") == "the configuration could not be taken over"
        it.look.set()
        assert await it.printers() == ["One", "Two"]


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_what_is_no_file_is_never_read(file, monkeypatch):
    async def test():
        async with Following(file) as it:
            await looked(monkeypatch)
            file.unlink()
            os.mkfifo(file)  # reading it would stop the server
            assert "gone" in await it.told()
            file.unlink()
            file.mkdir()
            await looked(monkeypatch)
            assert it.said.empty()
            file.rmdir()
            file.write_text(TWO)
            assert await it.printers() == ["One", "Two"]

    asyncio.run(test())

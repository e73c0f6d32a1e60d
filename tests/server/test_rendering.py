"""Documents made in processes of their own: turns, deadlines, deaths, and that nothing is left behind."""

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import pytest

import rawprint
from rawprint import BackendMissing, DocumentError, DocumentTimeout, DocumentTooLarge, Unsupported
from rawprint_server.rendering import Renderers

HERE = Path(__file__).parent
SRC = HERE.parent.parent / "src"
ODD = [sys.executable, "-I", str(HERE / "odd_worker.py"), str(SRC)]
PATIENCE = 20.0
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def run(test, workers=1, page_seconds=PATIENCE, command=ODD, loop=None, **options):
    """Runs `test(renderers)`, closes them, and makes sure that nothing is left of them."""
    children = []

    async def main():
        renderers = Renderers(workers, page_seconds, command=command, **options)
        start = renderers._start

        async def started():
            worker = await start()
            children.append(worker.process)
            return worker

        renderers._start = started
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await test(renderers)
        finally:
            await renderers.close()
        assert not renderers._workers
        assert all(child.returncode is not None for child in children)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    gc.collect()  # what was not closed warns
    return children


async def pages(renderers, name, *args, notes=None, **kwargs):
    return [page.data async for page in renderers.pages((name, args, kwargs), notes=notes)]


async def until(condition):
    """Lets the others run; who calls has a deadline."""
    while not condition():  # noqa: ASYNC110 - nobody would set an event
        await asyncio.sleep(0)


async def works(renderers):
    assert await pages(renderers, "count", 2) == [b"\0\0\0\0", b"\0\0\0\1"]


# -- pages -------------------------------------------------------------------------------------------------------


def test_pages_of_the_real_worker():
    paper = rawprint.documents.Paper.of("escpos", width_mm=80)

    async def test(renderers):
        expected = rawprint.documents.print_image(PNG, paper)
        assert await pages(renderers, "image", PNG, paper) == [expected]
        assert await pages(renderers, "image", PNG, paper, invert=True) != [expected]
        for broken, kind in ((b"no image", DocumentError), (b"", DocumentError)):
            with pytest.raises(kind) as caught:
                await pages(renderers, "image", broken, paper)
            assert caught.value.hint
        with pytest.raises(DocumentError, match="no PDF"):
            await pages(renderers, "pdf", PNG, paper)
        with pytest.raises(DocumentError, match="KeyError"):
            await pages(renderers, "unknown")
        assert await pages(renderers, "image", PNG, paper) == [expected]

    assert len(run(test, command=None)) == 1


def test_a_worker_is_kept_and_ends_when_nobody_needs_it():
    async def test(renderers):
        first = await pages(renderers, "pid")
        renderers._idle_seconds = 0.05
        assert await pages(renderers, "pid") == first
        (worker,) = renderers._workers
        await worker.process.wait()  # by itself, after a moment
        await until(lambda: not renderers._workers)
        assert not renderers._idle
        assert worker.process.returncode == 0  # it was not killed
        assert await pages(renderers, "pid") != first

    assert len(run(test)) == 2


def test_none_is_started_before_it_is_needed():
    async def test(renderers):
        renderers.pages(("pid", (), {}))  # nor by asking without taking

    assert not run(test)


def test_a_page_is_made_when_it_is_asked_for(tmp_path):
    async def test(renderers):
        async with aclosing(renderers.pages(("told", (str(tmp_path), 5), {}))) as some:
            for each in range(3):
                assert not (tmp_path / str(each)).exists()
                assert (await anext(some)).data == b"page"
                await works_elsewhere()
                assert (tmp_path / str(each)).exists()
            assert not (tmp_path / "3").exists()
        assert (tmp_path / "end").exists()  # the function was ended, and the worker stays
        assert not (tmp_path / "3").exists()
        await works(renderers)

    async def works_elsewhere():
        other = Renderers(1, PATIENCE, command=ODD)
        await works(other)  # time enough for the first to make a page too many
        await other.close()

    assert len(run(test)) == 1


def test_notes():
    async def test(renderers):
        notes = []
        async with aclosing(renderers.pages(("count", (2,), {"notes": True}), notes=notes)) as some:
            await anext(some)
            assert notes == ["note 0"]
            await anext(some)
            assert notes == ["note 0", "note 1"]
        assert len(await pages(renderers, "count", 2, notes=None)) == 2

    run(test)


def test_what_a_library_prints_is_no_frame():
    async def test(renderers):
        assert await pages(renderers, "printing") == [b"page"]
        await works(renderers)

    assert len(run(test)) == 1


def test_large_pages_one_at_a_time():
    async def test(renderers):
        sizes = [len(page.data) async for page in renderers.pages(("count", (4, 8 << 20), {}))]
        assert sizes == [8 << 20] * 4

    run(test)


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        (("wrong", "memory"), DocumentTooLarge, "memory"),
        (("wrong", "os"), DocumentError, "what it says"),
        (("wrong", "value"), DocumentError, "ValueError: what it says"),
        (("wrong", "deep"), DocumentError, "RecursionError"),
        (("refuse", "bad-document"), DocumentError, "what it says"),
        (("refuse", "document-too-large"), DocumentTooLarge, "what it says"),
        (("refuse", "document-timeout"), DocumentTimeout, "what it says"),
        (("refuse", "backend-missing"), BackendMissing, "what it says"),
        (("refuse", "unsupported"), Unsupported, "what it says"),
        (("refuse", "of-the-future"), DocumentError, "what it says"),
        (("large", (64 << 20) + 1), DocumentTooLarge, "67,108,865 bytes"),
        pytest.param(("eat",), DocumentTooLarge, "memory", marks=linux),
    ],
)
def test_an_error_ends_the_request_alone(request_, kind, text):
    async def test(renderers):
        with pytest.raises(kind, match=text) as caught:
            await pages(renderers, *request_)
        assert type(caught.value) is kind
        if request_[0] == "refuse":
            assert caught.value.hint == "what to do"
        await works(renderers)

    assert len(run(test)) == 1


@linux
@pytest.mark.parametrize(
    "frames",
    [
        b"",
        b"P",
        b"P\xff\xff\xff\xff",
        b"P\x00\x00\x00\x05four",
        b"E\x00\x00\x00\x02[]",
        b"E\x00\x00\x00\x02{[",
        b"E\x7f\xff\xff\xff",
        b"L\x00\x00\x00\x02{}",
        b"L\x00\x00\x27\x10" + b"[" * 10_000,
        (b"L\x00\x00\x00\x02[]" * 2000 + b"L\x00\x01\x00\x00" + b"[" + b" " * 65534 + b"]") * 8,
        b"D\x00\x00\x00\x01d",
        b"\x80\x04N.",
        random.Random(1).randbytes(64),
    ],
    ids=range(13),
)
def test_a_worker_that_answers_nonsense_is_replaced(frames):
    async def test(renderers):
        with pytest.raises(DocumentError) as caught:
            await pages(renderers, "out", frames)
        assert caught.value.hint
        await works(renderers)

    assert len(run(test)) == 2


@posix
@pytest.mark.parametrize(
    ("number", "kind"),
    [("SIGKILL", DocumentTooLarge), ("SIGABRT", DocumentTooLarge), ("SIGSEGV", DocumentError)],
)
def test_a_worker_that_dies_is_replaced(number, kind):
    async def test(renderers):
        with pytest.raises(DocumentError) as caught:
            await pages(renderers, "die", getattr(signal, number))
        assert type(caught.value) is kind
        assert caught.value.hint
        await works(renderers)

    assert len(run(test)) == 2


@posix
def test_a_worker_that_is_killed_between_two_pages():
    async def test(renderers):
        some = renderers.pages(("count", (5,), {}))
        await anext(some)
        (worker,) = renderers._workers
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(DocumentTooLarge):
            await anext(some)
        await works(renderers)

    assert len(run(test)) == 2


@posix
def test_a_worker_that_is_killed_while_it_waits():
    async def test(renderers):
        await works(renderers)
        (worker,) = renderers._idle
        os.kill(worker.process.pid, signal.SIGKILL)
        await worker.process.wait()
        await works(renderers)
        assert len(renderers._workers) == 1

    assert len(run(test)) == 2


@posix
def test_signals_that_mean_the_server_leave_a_worker_alone():
    async def test(renderers):
        first = await pages(renderers, "pid")
        for each in (signal.SIGINT, signal.SIGTERM):
            os.kill(int(first[0]), each)
        assert await pages(renderers, "pid") == first

    run(test)


def test_no_process_can_be_started():
    async def test(renderers):
        with pytest.raises(BackendMissing, match="no process"):
            await works(renderers)
        renderers._command = ODD
        await works(renderers)  # and the turn was given back

    run(test, command=["/there/is/no/such/program"])


def test_a_request_that_is_too_large_starts_nothing(monkeypatch):
    monkeypatch.setattr("rawprint_server.rendering.MAX_REQUEST", 1000)

    async def test(renderers):
        with pytest.raises(DocumentTooLarge):
            await pages(renderers, "count", bytes(1000))

    assert not run(test)


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hang", "busy"])
def test_a_page_that_takes_too_long(name):
    async def test(renderers):
        await works(renderers)
        renderers._page_seconds = 0.2
        before = time.monotonic()
        with pytest.raises(DocumentTimeout, match=r"longer than 0\.2 seconds") as caught:
            await pages(renderers, name, 0)
        assert time.monotonic() - before < 5
        assert isinstance(caught.value, TimeoutError)
        renderers._page_seconds = PATIENCE
        await works(renderers)

    assert len(run(test)) == 2


def test_each_page_has_its_own_time():
    async def test(renderers):
        await works(renderers)
        renderers._page_seconds = 0.7
        got = []
        with pytest.raises(DocumentTimeout):  # noqa: PT012
            async for page in renderers.pages(("hang", (3,), {})):
                got.append(page)
                await asyncio.sleep(0.3)  # what the reader takes is not the page's time: 3 x 0.3 is more than 0.7
        assert len(got) == 3

    run(test)


# -- who leaves, and who waits -----------------------------------------------------------------------------------


def test_who_leaves_early_leaves_a_worker_that_works():
    async def test(renderers):
        for _ in range(3):
            async with aclosing(renderers.pages(("count", (1000, 100_000), {}))) as some:
                async for _ in some:
                    break
        await works(renderers)

    assert len(run(test)) == 1


def test_who_is_cancelled_in_the_midst_of_a_page():
    async def test(renderers):
        await works(renderers)
        task = asyncio.create_task(pages(renderers, "hang"))
        await until(lambda: not renderers._idle)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await works(renderers)

    assert len(run(test)) == 2


def test_who_is_cancelled_in_the_midst_of_a_start():
    async def test(renderers):
        for turns in range(30):
            task = asyncio.create_task(works(renderers))
            for _ in range(turns % 10):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await works(renderers)

    run(test)


def test_who_is_cancelled_while_it_waits_for_its_turn():
    async def test(renderers):
        async with aclosing(renderers.pages(("count", (2,), {}))) as some:
            await anext(some)
            task = asyncio.create_task(works(renderers))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await works(renderers)

    assert len(run(test)) == 1


def test_a_generator_that_is_forgotten():
    async def test(renderers):
        some = renderers.pages(("count", (5,), {}))
        await anext(some)
        del some
        gc.collect()
        await works(renderers)  # the turn comes back

    run(test)


def test_one_worker_serves_in_order():
    async def test(renderers):
        order = []

        async def one(number):
            await pages(renderers, "count", number % 3)
            order.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(20)]
        await asyncio.gather(*tasks)
        assert order == list(range(20))

    assert len(run(test)) == 1


def test_many_at_once_on_few_workers():
    async def test(renderers):
        most = 0

        async def one(number):
            nonlocal most
            got = []
            async for page in renderers.pages(("count", (number % 5,), {})):
                most = max(most, len(renderers._workers))
                got.append(int.from_bytes(page.data, "big"))
            assert got == list(range(number % 5))

        await asyncio.gather(*(one(number) for number in range(100)))
        assert most == 2
        assert len(renderers._idle) == 2

    assert len(run(test, workers=2)) == 2


def test_two_workers_at_once():
    async def test(renderers):
        async with aclosing(renderers.pages(("count", (2,), {}))) as some:
            await anext(some)
            await works(renderers)  # though the first is held
            assert (await anext(some)).data == b"\0\0\0\1"

    assert len(run(test, workers=2)) == 2


@posix
@pytest.mark.parametrize("way", ["left", "killed", "closed", "late"])
def test_on_the_faster_loop(way):
    uvloop = pytest.importorskip("uvloop")

    async def test(renderers):
        await works(renderers)
        some = renderers.pages(("hang", (1,), {}))
        await anext(some)
        (worker,) = renderers._workers
        match way:
            case "left":
                await some.aclose()
            case "killed":
                os.kill(worker.process.pid, signal.SIGKILL)
                await worker.process.wait()
                with pytest.raises(DocumentTooLarge):
                    await anext(some)
            case "closed":
                await renderers.close()
                with pytest.raises(DocumentError, match="the server is ending"):
                    await anext(some)
                return
            case "late":
                renderers._page_seconds = 0.1
                with pytest.raises(DocumentTimeout):
                    await anext(some)
                renderers._page_seconds = PATIENCE
        await works(renderers)

    run(test, loop=uvloop.new_event_loop)


# -- the end -----------------------------------------------------------------------------------------------------


def test_closed_in_the_midst_of_a_page():
    async def test(renderers):
        await works(renderers)
        tasks = [asyncio.create_task(pages(renderers, "hang")) for _ in range(3)]  # two of them wait for their turn
        await until(lambda: not renderers._idle)
        await renderers.close()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, DocumentError), result
            assert "the server is ending" in str(result)
        with pytest.raises(DocumentError, match="the server is ending"):
            await works(renderers)
        await renderers.close()

    assert len(run(test)) == 1


def test_closed_while_another_is_ended():
    async def test(renderers):
        await works(renderers)
        (worker,) = renderers._idle
        worker.keep()
        worker.retire_in(0, renderers._retire)
        await asyncio.sleep(0)
        await renderers.close()
        assert worker.process.returncode is not None

    run(test)


def test_a_forgotten_end_is_counted_all_the_same():
    """Who is cancelled while a process is ended does not keep it in the books."""

    async def test(renderers):
        await works(renderers)
        (worker,) = renderers._idle
        task = asyncio.create_task(renderers._end(worker))
        await asyncio.sleep(0)
        task.cancel()
        await until(lambda: not renderers._workers)

    run(test)


def test_closed_between_two_pages():
    async def test(renderers):
        some = renderers.pages(("count", (1000, 1 << 20), {}))
        await anext(some)
        await renderers.close()
        with pytest.raises(DocumentError, match="the server is ending"):
            await anext(some)

    run(test)


def test_closed_in_the_midst_of_a_start():
    async def test(renderers):
        for turns in range(12):
            other = Renderers(1, PATIENCE, command=ODD)
            task = asyncio.create_task(works(other))
            for _ in range(turns):
                await asyncio.sleep(0)
            await other.close()
            with pytest.raises(DocumentError, match="the server is ending"):
                await task
            assert not other._workers

    run(test)


@linux
@pytest.mark.parametrize("doing", ["pid", "busy", "hang"])
def test_workers_end_when_the_server_is_killed(doing):
    code = f"""if True:
        import asyncio, sys
        from rawprint_server.rendering import Renderers
        async def main():
            renderers = Renderers(1, 60, command={ODD!r})
            async for page in renderers.pages(({doing!r}, (), {{}})):
                print(page.data.decode(), flush=True)
            await asyncio.Event().wait()
        asyncio.run(main())
    """
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        watched = os.pidfd_open(child)
        try:
            parent.kill()
            parent.wait()
            assert ended(watched, PATIENCE)
        finally:
            os.close(watched)


def ended(pidfd, seconds):
    import select

    return bool(select.select([pidfd], [], [], seconds)[0])


def test_the_program_is_found_as_this_one_finds_it(tmp_path, monkeypatch):
    """Neither the environment nor the folder decides what a worker imports."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    async def test(renderers):
        with pytest.raises(DocumentError, match="no image"):
            await pages(renderers, "image", b"x", rawprint.documents.Paper.of("tspl"))

    run(test, command=None)

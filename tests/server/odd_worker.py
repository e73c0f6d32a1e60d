"""A worker whose functions do what documents should not: hang, die, print, and answer nonsense. Run as a script with `src` as arguments."""

import os
import sys

if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]


def count(pages, size=4, notes=False):
    for each in range(pages):
        if notes:
            yield [f"note {each}"]
        yield each.to_bytes(4, "big").ljust(size, b".")


def told(folder, pages):
    """Leaves a file for each page that is made, and one at its end."""
    try:
        for each in range(pages):
            open(os.path.join(folder, str(each)), "w").close()
            yield b"page"
    finally:
        open(os.path.join(folder, "end"), "w").close()


def hang(pages=None):
    import threading

    yield from [pid()] if pages is None else count(pages)
    threading.Event().wait()


def busy(pages=1):
    yield from [pid()] * pages
    while True:
        pass


def die(signal):
    os.kill(os.getpid(), signal)


def pid():
    return str(os.getpid()).encode()


def printing():
    print("print")
    os.system("echo from a process")
    os.write(1, b"written")
    return b"page"


def wrong(kind):
    raise {"memory": MemoryError, "os": OSError, "value": ValueError, "deep": RecursionError}[kind]("what it says")


def refuse(code):
    from rawprint import RawprintError

    error = RawprintError("what it says", hint="what to do")
    error.code = code
    raise error


def large(size):
    return bytes(size)


def eat():
    return bytes(3 << 30)


def out(data):
    """Writes to the frames' own descriptor, as only a process that a document has taken over would."""
    for each in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{each}")
        except OSError:
            continue
        if name.startswith("pipe:") and int(each) > 2:
            os.write(int(each), data)
    os._exit(0)


if __name__ == "__main__":
    from rawprint.documents import worker

    sys.modules["odd_worker"] = sys.modules["__main__"]
    for name in ("count", "told", "hang", "busy", "die", "pid", "printing", "wrong", "refuse", "large", "eat", "out"):
        worker.FUNCTIONS[name] = f"odd_worker:{name}"
    worker.main()

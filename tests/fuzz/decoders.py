"""Fuzzes all that reads bytes from outside, led by what code they reach (atheris); `make fuzz` runs it for ten minutes.

    decoders.py SECONDS

Ends with exit code 0 where nothing was found; else with the input that broke something, which libFuzzer has written down.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["rawprint"]):
    from rawprint import device_id, dns_sd, identify
    from rawprint.channels import epson, snmp, star, tsc  # noqa: F401
    from rawprint.dialects import DIALECTS, Reader
    from rawprint.errors import BadReply
    from rawprint.filtering import LANGUAGES as FILTERED
    from rawprint.filtering import notable_commands
    from rawprint.probe import network, surroundings
    from rawprint.transports import hotplug

LANGUAGES = tuple(DIALECTS.values())


def decode(data: bytes) -> None:
    """A language, what was asked, and bytes in pieces: a reply, "more is needed", or BadReply; never more is kept than allowed."""
    provider = atheris.FuzzedDataProvider(data)
    dialect = LANGUAGES[provider.ConsumeIntInRange(0, len(LANGUAGES) - 1)]
    questions = (*dialect.queries, *dialect.identity, *dialect.fences)
    owed = [
        questions[provider.ConsumeIntInRange(0, len(questions) - 1)] for _ in range(provider.ConsumeIntInRange(0, 4))
    ]
    reader, answers = Reader(dialect), {}
    while provider.remaining_bytes():
        reader.feed(provider.ConsumeBytes(provider.ConsumeIntInRange(1, 64)))
        with contextlib.suppress(BadReply):
            while (decoded := reader.peek(tuple(owed))) is not None:
                before = reader.rest
                if not 1 <= decoded.used <= min(len(before), dialect.max_reply):
                    raise RuntimeError(f"{dialect.name} used {decoded.used} of {before!r}")
                reader.take(decoded)
                if decoded.answers is not None:
                    answers[decoded.answers.name] = decoded
                    del owed[: owed.index(decoded.answers) + 1]
        if len(reader.rest) >= dialect.max_reply:
            raise RuntimeError(f"{dialect.name} keeps {len(reader.rest)} bytes")
    with contextlib.suppress(BadReply):
        dialect.conclude({name: each for name, each in answers.items() if name in {q.name for q in dialect.queries}})


def say(data: bytes) -> None:
    """What printers, systems and networks say of themselves."""
    text = data.decode("utf-8", "surrogateescape")
    keys = device_id.parse(data)
    identify.guess(device_id=text, txt=keys, names=[text], vid=len(data), pid=0)
    for question in identify.questions():
        identify.classify(data, question.dialect)
    hotplug.is_plug(data)
    network.read_neighbours(text)
    surroundings.read_queues(text)
    for found in dns_sd.printers(
        [dns_sd.Service(dns_sd.RAW, text, text, (text,), len(data), dns_sd.read_txt({data: data}))]
    ):
        if not found.address.startswith("tcp://"):
            raise RuntimeError(found.address)


def read_job(data: bytes) -> None:
    """A job of any language: what is notable in it comes in order, and lies in it."""
    for language in (*FILTERED, None):
        offsets = [command.offset for command in notable_commands(data, language)]
        if offsets != sorted(offsets) or not all(0 <= offset < len(data) for offset in offsets):
            raise RuntimeError(f"{language}: {offsets}")


def one(data: bytes) -> None:
    """One input."""
    if data:
        (decode, say, read_job)[data[0] % 3](data[1:])


def main() -> None:
    """Fuzz for so many seconds."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    options = [f"-max_total_time={seconds}", "-max_len=600", "-timeout=5", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

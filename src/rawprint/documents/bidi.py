"""The order of writing: the levels of a paragraph's characters, by Unicode's bidirectional algorithm (UAX 9)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_DEPTH = 125  # BD2
_ISOLATES = frozenset({"LRI", "RLI", "FSI"})
_EMBEDS = frozenset({"LRE", "RLE", "LRO", "RLO"})
_REMOVED = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "BN"})
_NEUTRAL = frozenset({"B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"})
_RIGHT_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})
# Of BidiBrackets.txt, what is in use.
_PAIRS = "()[]{}⁅⁆⁽⁾₍₎⌈⌉⌊⌋❨❩❪❫❬❭❮❯❰❱❲❳❴❵⟦⟧⟨⟩⟪⟫⟬⟭⟮⟯⦃⦄⦅⦆〈〉《》「」『』【】〔〕〖〗〘〙〚〛﹙﹚﹛﹜﹝﹞()[]{}⦅⦆「」"
_OPENS = dict(zip(_PAIRS[0::2], _PAIRS[1::2], strict=True))
_CLOSES = frozenset(_PAIRS[1::2])
_SAME = {"\u2329": "\u3008", "\u232a": "\u3009"}  # canonically equivalent


def base_level(text: str) -> int:
    """1 where the first strong character is written from right to left, else 0 (P2, P3)."""
    isolates = 0
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in _ISOLATES:
            isolates += 1
        elif kind == "PDI":
            isolates = max(isolates - 1, 0)
        elif not isolates and kind in {"L", "R", "AL"}:
            return int(kind != "L")
    return 0


def is_right_to_left(character: str) -> bool:
    """Whether a character is written from right to left, or has what is beside it written so."""
    return unicodedata.bidirectional(character) in _RIGHT_LEFT


def plain(text: str) -> bool:
    """Whether all of it runs from left to right, so that nothing need be done."""
    return text.isascii() or not any(map(is_right_to_left, text))


def levels(text: str, base: int) -> list[int]:
    """The level of each character of one paragraph: odd ones are written from right to left.

    Characters that only control the order have the level of what is before them.
    """
    if not base and plain(text):
        return [0] * len(text)
    kinds = [unicodedata.bidirectional(each) or "L" for each in text]
    found, resolved = _explicit(kinds, base)
    embedded = tuple(found)
    kept = [at for at, kind in enumerate(kinds) if kind not in _REMOVED]
    borders = [base, *(embedded[at] for at in kept), base]
    around = {at: (borders[order], borders[order + 2]) for order, at in enumerate(kept)}
    for sequence in _sequences(kinds, embedded, kept):
        _resolve(text, kinds, resolved, embedded, found=found, sequence=sequence, around=around, base=base)
    before = base
    for at, kind in enumerate(kinds):
        if kind in _REMOVED:
            found[at] = before
        else:
            before = found[at]
    white = True  # L1: white space at the end, and before a tab, runs with the paragraph
    for at in range(len(kinds) - 1, -1, -1):
        if kinds[at] in {"B", "S"}:
            found[at], white = base, True
        elif kinds[at] in {"WS", *_ISOLATES, "PDI", *_REMOVED}:
            if white:
                found[at] = base
        else:
            white = False
    return found


def _explicit(kinds: Sequence[str], base: int) -> tuple[list[int], list[str]]:
    """X1 to X8."""
    strong = _first_strong(kinds, _isolate_ends(kinds)) if "FSI" in kinds else []
    stack: list[tuple[int, str, bool]] = [(base, "", False)]
    lost_isolates = lost_embeddings = isolates = 0
    found, resolved = [base] * len(kinds), list(kinds)
    for at, kind in enumerate(kinds):
        level, override, _ = stack[-1]
        if kind in _EMBEDS or kind in _ISOLATES:
            right = kind in {"RLE", "RLO", "RLI"}
            if kind == "FSI":
                right = strong[at + 1] in {"R", "AL"}
            deeper = (level + 1) | 1 if right else (level + 2) & ~1
            found[at] = level
            if kind in _ISOLATES and override:
                resolved[at] = override
            if deeper <= _MAX_DEPTH and not lost_isolates and not lost_embeddings:
                forced = {"RLO": "R", "LRO": "L"}.get(kind, "")
                isolates += kind in _ISOLATES
                stack.append((deeper, forced, kind in _ISOLATES))
            elif kind in _ISOLATES:
                lost_isolates += 1
            elif not lost_isolates:
                lost_embeddings += 1
        elif kind == "PDI":
            if lost_isolates:
                lost_isolates -= 1
            elif isolates:
                lost_embeddings = 0
                while not stack[-1][2]:
                    stack.pop()
                stack.pop()
                isolates -= 1
            level, override, _ = stack[-1]
            found[at] = level
            if override:
                resolved[at] = override
        elif kind == "PDF":
            if lost_isolates:
                pass
            elif lost_embeddings:
                lost_embeddings -= 1
            elif not stack[-1][2] and len(stack) > 1:
                stack.pop()
        elif kind == "B":
            found[at] = base
        elif kind != "BN":
            found[at] = level
            if override:
                resolved[at] = override
    return found, resolved


def _isolate_ends(kinds: Sequence[str]) -> dict[int, int]:
    """Each isolate's beginning -> its PDI (BD9)."""
    open_ones: list[int] = []
    ends = {}
    for at, kind in enumerate(kinds):
        if kind in _ISOLATES:
            open_ones.append(at)
        elif kind == "PDI" and open_ones:
            ends[open_ones.pop()] = at
    return ends


def _first_strong(kinds: Sequence[str], ends: Mapping[int, int]) -> list[str]:
    """For each place the first strong character from there to the end of the isolate it is in, or "" (P2, P3)."""
    found = [""] * (len(kinds) + 1)
    for at in range(len(kinds) - 1, -1, -1):
        kind = kinds[at]
        if kind in {"L", "R", "AL"}:
            found[at] = kind
        elif kind in _ISOLATES:
            found[at] = found[ends[at] + 1] if at in ends else ""
        elif kind != "PDI":
            found[at] = found[at + 1]
    return found


def _sequences(kinds: Sequence[str], found: Sequence[int], kept: Sequence[int]) -> list[list[int]]:
    """Isolating run sequences (BD13), without what X9 removes."""
    runs: list[list[int]] = []
    for at in kept:
        if runs and found[runs[-1][-1]] == found[at]:
            runs[-1].append(at)
        else:
            runs.append([at])
    ends = _isolate_ends(kinds)
    starts = {end: start for start, end in ends.items()}
    by_first = {run[0]: run for run in runs}
    sequences = []
    for run in runs:
        if run[0] in starts:
            continue  # it goes on from the run with the isolate's beginning
        sequence = list(run)
        while sequence[-1] in ends and ends[sequence[-1]] in by_first:
            sequence += by_first[ends[sequence[-1]]]
        sequences.append(sequence)
    return sequences


def _resolve(
    text: str,
    kinds: Sequence[str],
    resolved: Sequence[str],
    embedded: Sequence[int],
    *,
    found: list[int],
    sequence: Sequence[int],
    around: Mapping[int, tuple[int, int]],
    base: int,
) -> None:
    """W1 to W7, N0 to N2, I1 and I2, for one sequence."""
    level = embedded[sequence[0]]
    first, last = sequence[0], sequence[-1]
    before, after = around[first][0], base if kinds[last] in _ISOLATES else around[last][1]
    start = "R" if max(level, before) % 2 else "L"
    end = "R" if max(level, after) % 2 else "L"
    types = [resolved[at] for at in sequence]
    original = list(types)
    _weak(types, start)
    _brackets(text, sequence, types, original, start=start, embedding="R" if level % 2 else "L")
    at = 0
    while at < len(types):  # N1, N2
        if types[at] not in _NEUTRAL:
            at += 1
            continue
        stop = at
        while stop < len(types) and types[stop] in _NEUTRAL:
            stop += 1
        left = start if at == 0 else _strong(types[at - 1])
        right = end if stop == len(types) else _strong(types[stop])
        direction = left if left == right else ("R" if level % 2 else "L")
        types[at:stop] = [direction] * (stop - at)
        at = stop
    for where, kind in zip(sequence, types, strict=True):
        if level % 2:
            found[where] = level + (kind in {"L", "EN", "AN"})
        else:
            found[where] = level + {"R": 1, "AN": 2, "EN": 2}.get(kind, 0)


def _strong(kind: str) -> str:
    return "L" if kind == "L" else "R"


def _weak(types: list[str], start: str) -> None:
    before = start
    strong = start
    for at, kind in enumerate(types):  # W1, W2, W3
        if kind == "NSM":
            kind = "ON" if before in {*_ISOLATES, "PDI"} else before
        before = kind
        if kind in {"R", "L", "AL"}:
            strong = kind
        elif kind == "EN" and strong == "AL":
            kind = "AN"
        types[at] = kind
    types[:] = ["R" if kind == "AL" else kind for kind in types]
    for at in range(1, len(types) - 1):  # W4
        left = types[at - 1]
        if left == types[at + 1] and (
            (types[at] in {"ES", "CS"} and left == "EN") or (types[at] == "CS" and left == "AN")
        ):
            types[at] = left
    at = 0
    while at < len(types):  # W5
        if types[at] != "ET":
            at += 1
            continue
        stop = at
        while stop < len(types) and types[stop] == "ET":
            stop += 1
        if (at and types[at - 1] == "EN") or (stop < len(types) and types[stop] == "EN"):
            types[at:stop] = ["EN"] * (stop - at)
        at = stop
    strong = start
    for at, kind in enumerate(types):  # W6, W7
        if kind in {"ES", "ET", "CS"}:
            types[at] = "ON"
        elif kind in {"R", "L"}:
            strong = kind
        elif kind == "EN" and strong == "L":
            types[at] = "L"


def _brackets(
    text: str, sequence: Sequence[int], types: list[str], original: Sequence[str], *, start: str, embedding: str
) -> None:
    """N0: a pair of brackets runs with what is in it."""
    open_ones: list[tuple[str, int]] = []
    pairs = []
    for at, where in enumerate(sequence):
        character = _SAME.get(text[where], text[where])
        if types[at] != "ON":
            continue
        if character in _OPENS:
            if len(open_ones) == 63:
                return  # BD16
            open_ones.append((_OPENS[character], at))
        elif character in _CLOSES:
            for depth in range(len(open_ones) - 1, -1, -1):
                if open_ones[depth][0] == character:
                    pairs.append((open_ones[depth][1], at))
                    del open_ones[depth:]
                    break
    strong = {"L": "L", "R": "R", "EN": "R", "AN": "R"}
    for opening, closing in sorted(pairs):
        inside = {strong[kind] for kind in types[opening + 1 : closing] if kind in strong}
        if embedding in inside:
            direction = embedding
        elif inside:
            context = next((strong[types[at]] for at in range(opening - 1, -1, -1) if types[at] in strong), start)
            direction = context if context != embedding else embedding
        else:
            continue
        for at in (opening, closing):
            types[at] = direction
            following = at + 1
            while following < len(types) and original[following] == "NSM":
                types[following] = direction
                following += 1


def visual(levels_of: Sequence[int]) -> list[int]:
    """The order from left to right in which things of these levels stand on a line (L2)."""
    order = list(range(len(levels_of)))
    if not levels_of:
        return order
    for level in range(max(levels_of), 0, -1):
        at = 0
        while at < len(order):
            if levels_of[order[at]] < level:
                at += 1
                continue
            stop = at
            while stop < len(order) and levels_of[order[stop]] >= level:
                stop += 1
            order[at:stop] = order[at:stop][::-1]
            at = stop
    return order

"""Characters become dots: which are drawn as one, with which font, and how their glyphs lie on a grid of cells."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from rawprint.errors import BackendMissing, DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

    from rawprint.documents.fonts import Font, Library

_HINT = "pip install 'rawprint[text]'"

# First code point of a block whose script wants shaping, one behind its last, and the script: letters that join, marks that
# are stacked or stand before what they follow. None of them fits a grid of cells.
_BLOCKS = (
    *((0x0590, 0x0600, "Hebr"), (0x0600, 0x0700, "Arab"), (0x0700, 0x0750, "Syrc"), (0x0750, 0x0780, "Arab")),
    *((0x0780, 0x07C0, "Thaa"), (0x07C0, 0x0800, "Nkoo"), (0x0800, 0x0860, "Samr"), (0x0860, 0x0900, "Arab")),
    *((0x0900, 0x0980, "Deva"), (0x0980, 0x0A00, "Beng"), (0x0A00, 0x0A80, "Guru"), (0x0A80, 0x0B00, "Gujr")),
    *((0x0B00, 0x0B80, "Orya"), (0x0B80, 0x0C00, "Taml"), (0x0C00, 0x0C80, "Telu"), (0x0C80, 0x0D00, "Knda")),
    *((0x0D00, 0x0D80, "Mlym"), (0x0D80, 0x0E00, "Sinh"), (0x0E00, 0x0E80, "Thai"), (0x0E80, 0x0F00, "Laoo")),
    *((0x0F00, 0x1000, "Tibt"), (0x1000, 0x10A0, "Mymr"), (0x1780, 0x1800, "Khmr"), (0x1800, 0x18B0, "Mong")),
    *((0x1900, 0x1950, "Limb"), (0x1A20, 0x1AB0, "Lana"), (0x1B00, 0x1C80, "Bali"), (0xA800, 0xA830, "Sylo")),
    *((0xA840, 0xA960, "Phag"), (0xA980, 0xAAE0, "Java"), (0xABC0, 0xAC00, "Mtei"), (0xFB1D, 0xFB50, "Hebr")),
    *((0xFB50, 0xFE00, "Arab"), (0xFE70, 0xFEFF, "Arab"), (0x10800, 0x11000, "Phnx"), (0x11000, 0x12000, "Brah")),
    *((0x16100, 0x16140, "Gukh"), (0x1E800, 0x1EF00, "Adlm")),
)
_FIRST = tuple(first for first, _, _ in _BLOCKS)

_JOINER = "\u200d"
_EMOJI_STYLE, _TEXT_STYLE = "\ufe0f", "\ufe0e"
_KEYCAP = "\u20e3"

_EM = 5 / 6  # of a cell's height, for fonts that are not monospaced
_WIDE_EM = 11 / 12
_BASELINE = 19 / 24
_MAX_EMOJI = 256  # pixels of a font's picture, to a side
_PICTURE_SIZES = (109, 160, 136, 128, 96, 64)  # Noto's one size, Apple's
_SAMPLE = 32  # pixels of the picture of which its greys are judged
_FLAT = 1_500
_DARK = 160


@dataclass(frozen=True, slots=True)
class Cell:
    """The room of one Latin character, in dots."""

    width: int
    height: int

    @property
    def baseline(self) -> int:
        """Rows from the top on which letters stand."""
        return round(self.height * _BASELINE)


def script(character: str) -> str:
    """The tag of a script that wants shaping; "": it needs none."""
    code = ord(character)
    if code < 0x590:
        return ""
    at = bisect_right(_FIRST, code) - 1
    return _BLOCKS[at][2] if at >= 0 and code < _BLOCKS[at][1] else ""


@lru_cache(maxsize=4096)
def invisible(character: str) -> bool:
    """Whether a character has no look of its own: joiners, marks of direction, selectors."""
    code = ord(character)
    return (
        unicodedata.category(character) == "Cf"
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
        or code in {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
        or 0x180B <= code <= 0x180F
    )


def _emoji_by_itself(code: int) -> bool:
    """Emoji_Presentation of emoji-data.txt, as far as the planes of emoji go; others want a selector behind them."""
    if code >= 0x1F000:
        return 0x1F300 <= code < 0x1FB00 or 0x1F1E6 <= code <= 0x1F1FF or code in {0x1F004, 0x1F0CF, 0x1F18E, 0x1F201}
    return code in _EMOJI_BELOW


_EMOJI_BELOW = frozenset(
    ord(each)
    for each in "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕"
)


def emoji(cluster: str) -> bool:
    """Whether what is drawn as one shall look like an emoji."""
    if _TEXT_STYLE in cluster:
        return False
    return _EMOJI_STYLE in cluster or _KEYCAP in cluster[1:] or _emoji_by_itself(ord(cluster[0]))


def _regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF


def _extends(character: str) -> bool:
    """Whether it belongs to what stands before it."""
    code = ord(character)
    if code < 0x300:
        return False
    return (
        unicodedata.category(character) in {"Mn", "Me", "Mc"}
        or code in {0x200C, 0x200D}
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
        or 0x1160 <= code <= 0x11FF  # vowels and finals of Hangul
        or 0xFF9E <= code <= 0xFF9F
    )


def clusters(line: str) -> Iterator[tuple[int, str]]:
    """What is drawn as one, composed (NFC), and where in the line it begins: a letter with its marks, an emoji with its joiners."""
    if line.isascii():
        yield from enumerate(line)
        return
    start, size = 0, len(line)
    while start < size:
        stop = start + 1
        if _regional(line[start]) and stop < size and _regional(line[stop]):
            stop += 1
        while stop < size and stop - start < 64:
            joined = line[stop - 1] == _JOINER and stop - 1 > start and ord(line[stop]) > 0x2000
            if not (joined or _extends(line[stop])):
                break
            stop += 1
        yield start, unicodedata.normalize("NFC", line[start:stop])
        start = stop


@dataclass(frozen=True, slots=True)
class Ink:
    """Something drawn.

    Attributes:
        advance: Dots to the right at which the next begins.
        mask: Mode "L", 255 where it is black; None: nothing is.
        left: From where it begins, dots.
        top: From the baseline, dots; negative is above.
        picture: Whether it is none of letters, which bold makes no thicker.
    """

    advance: float
    mask: Image | None = None
    left: int = 0
    top: int = 0
    picture: bool = False


class Drawer(Protocol):
    """What makes dots of glyphs."""

    def ink(self, text: str, font: Font, em: tuple[float, float], right_to_left: bool) -> Ink:
        """A run of one font and direction; the em is in dots across and down."""


@cache
def _hb() -> Any:
    try:
        import uharfbuzz  # noqa: PLC0415
    except ImportError:
        return None
    # Older ones have no rasteriser.
    return uharfbuzz if hasattr(uharfbuzz, "RasterDraw") else None


def shapes() -> bool:
    """Whether scripts that want shaping can be drawn here."""
    return _hb() is not None


class Shaper:
    """HarfBuzz, which shapes and draws."""

    def __init__(self) -> None:
        self._hb = _hb()
        self._raster = self._hb.RasterDraw()
        self._raster.scale_factor = (64, 64)

    def ink(self, text: str, font: Font, em: tuple[float, float], right_to_left: bool) -> Ink:
        """See `Drawer`."""
        hb = self._hb
        scaled = hb.Font(font.shaper)
        scaled.scale = (round(em[0] * 64), round(em[1] * 64))
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.direction = "rtl" if right_to_left else "ltr"
        buffer.guess_segment_properties()
        hb.shape(scaled, buffer)
        raster = self._raster
        pictures: list[Image] = []
        x = y = 0
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            picture = self._picture(scaled, font, info.codepoint) if font.coloured else None
            if picture is not None:
                pictures.append(picture)
            else:
                raster.transform = (1, 0, 0, 1, x + position.x_offset, y + position.y_offset)
                raster.draw_glyph(scaled, info.codepoint)
            x += position.x_advance
            y += position.y_advance
        drawn = raster.render()
        advance = x / 64
        if pictures:
            return _pasted(pictures, em)
        return _outline(drawn, advance)

    def _picture(self, scaled: Any, font: Font, glyph: int) -> Image | None:
        """A glyph of colour as a picture; None: it has none."""
        from PIL import Image  # noqa: PLC0415

        face = font.shaper
        if face.has_color_png:
            data = scaled.get_glyph_color_png(glyph).data
            return open_picture(data) if data else None
        if face.has_color_paint or face.has_color_layers:
            paint = self._hb.RasterPaint()
            paint.scale_factor = (64, 64)
            paint.foreground = self._hb.Color(0, 0, 0, 255)
            paint.paint_glyph(scaled, glyph)
            drawn = paint.render()
            extents = drawn.extents if drawn is not None else None
            if extents is None or not extents.width or not extents.height:
                return None
            size = extents.width, extents.height
            return Image.frombytes("RGBA", size, bytes(drawn.buffer), "raw", "BGRa", extents.stride, -1)
        return None


def _outline(drawn: Any, advance: float) -> Ink:
    from PIL import Image  # noqa: PLC0415

    extents = drawn.extents if drawn is not None else None
    if extents is None or not extents.width or not extents.height:
        return Ink(advance)
    size = extents.width, extents.height
    # HarfBuzz's rows go up, Pillow's down.
    grey = Image.frombytes("L", size, bytes(drawn.buffer), "raw", "L", extents.stride, -1)
    return Ink(advance, grey.point(_half()), extents.x_origin, -(extents.y_origin + extents.height))


@cache
def _half() -> list[int]:
    """Half a dot covered is black, and a little less: thin strokes must not break."""
    return [0] * 112 + [255] * 144


def open_picture(data: bytes) -> Image | None:
    """The PNG of a glyph; None: it is none."""
    from PIL import Image  # noqa: PLC0415

    try:
        opened = Image.open(BytesIO(data), formats=("PNG",))
        if max(opened.size) > _MAX_EMOJI or not min(opened.size):
            return None
        return opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, EOFError):
        return None


def _fitted(picture: Image, em: tuple[float, float]) -> Image:
    from PIL import Image  # noqa: PLC0415

    factor = min(em[0] / picture.width, em[1] / picture.height)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def thermal(source: Image, em: tuple[float, float]) -> Image:
    """A picture with colours and transparency as a mask of black dots of an em's size: its dark parts, and a line round it.

    Faces are yellow, which is white in black and white: without a line they would be eyes and a mouth in the air.
    """
    from PIL import Image, ImageChops, ImageFilter, ImageOps  # noqa: PLC0415

    picture = _fitted(source, em)
    alpha = picture.getchannel("A").point(_half())
    padded = ImageOps.expand(alpha, 1, 0)
    inner = padded.filter(ImageFilter.MinFilter(3)).crop((1, 1, alpha.width + 1, alpha.height + 1))
    line = ImageChops.subtract(alpha, inner)
    white = Image.new("L", picture.size, 255)
    white.paste(picture.convert("L"), mask=picture.getchannel("A"))
    limit = _limit(source)
    dark = white.point([255] * limit + [0] * (256 - limit))
    return ImageChops.lighter(line, ImageChops.multiply(dark, alpha))


def _limit(picture: Image) -> int:
    """The grey below which a picture is black: where most of its edges are crossed, so that what is drawn in it is seen.

    Dithered, a picture of 24 dots is noise; half grey leaves a heart empty and a white digit on blue away.
    """
    small = picture.resize((_SAMPLE, _SAMPLE))
    grey, alpha = small.convert("L").tobytes(), small.getchannel("A").tobytes()
    steps = [0] * 257  # how much of an edge begins, or ends, at a grey
    for at, value in enumerate(grey):
        for other in (at + 1 if (at + 1) % _SAMPLE else at, at + _SAMPLE):
            if other < len(grey) and alpha[at] > 200 and alpha[other] > 200:
                low, high = sorted((value, grey[other]))
                steps[low + 1] += high - low
                steps[high + 1] -= high - low
    crossed = list(accumulate(steps))
    most = max(crossed)
    if most < _FLAT:
        return _DARK  # one colour: a red ball is black, a yellow one is white
    best = [limit for limit, edges in enumerate(crossed[:256]) if edges >= most * 0.98]
    return best[len(best) // 2]


def _pasted(pictures: list[Image], em: tuple[float, float]) -> Ink:
    """Pictures side by side, over the whole height of a cell; more than one where the font has no joined one."""
    from PIL import Image  # noqa: PLC0415

    step = round(em[0])
    mask = Image.new("L", (step * len(pictures), round(em[1])))
    for at, picture in enumerate(pictures):
        drawn = thermal(picture, em)
        mask.paste(drawn, (at * step + (step - drawn.width) // 2, (mask.height - drawn.height) // 2))
    return Ink(mask.width, mask, 0, round(em[1] * (1 - _BASELINE)) - mask.height, picture=True)


class Plain:
    """Pillow alone: one glyph after the other."""

    def __init__(self) -> None:
        self._fonts: dict[tuple[str, int, float], FreeTypeFont] = {}

    def ink(self, text: str, font: Font, em: tuple[float, float], right_to_left: bool) -> Ink:
        """See `Drawer`.

        Raises:
            BackendMissing: It wants shaping.
            DocumentError: Pillow cannot draw with the font.
        """
        from PIL import Image, ImageDraw  # noqa: PLC0415

        if right_to_left or any(script(each) for each in text):
            raise BackendMissing("text in scripts like Arabic, Hebrew or Thai wants shaping", hint=_HINT)
        text = "".join(each for each in text if not invisible(each))
        if not text:
            return Ink(0)
        loaded = self._loaded(font, em[1])
        if font.coloured:
            return _pasted([_coloured(each, loaded) for each in text], em)
        # Marks lie over their letter: those that take no room begin behind it, those of monospaced fonts where it begins.
        advance = loaded.getlength(text[0])
        placed = [(each, round(advance - loaded.getlength(each)) if at else 0) for at, each in enumerate(text)]
        boxes = [(x, *loaded.getbbox(each, anchor="ls")) for each, x in placed]
        left, top = math.floor(min(x + box[0] for x, *box in boxes)), math.floor(min(box[1] for _, *box in boxes))
        right, bottom = math.ceil(max(x + box[2] for x, *box in boxes)), math.ceil(max(box[3] for _, *box in boxes))
        across = em[0] / em[1]
        if right <= left or bottom <= top:
            return Ink(advance * across)
        mask = Image.new("L", (right - left, bottom - top))
        for each, x in placed:
            ImageDraw.Draw(mask).text((x - left, -top), each, 255, font=loaded, anchor="ls")
        if across != 1:
            mask = mask.resize((max(1, round(mask.width * across)), mask.height), Image.Resampling.BOX)
            left = round(left * across)
        return Ink(advance * across, mask.point(_half()), left, top)

    def _loaded(self, font: Font, size: float) -> FreeTypeFont:
        """Pillow's font; one of pictures in whichever size it has."""
        from PIL import ImageFont  # noqa: PLC0415

        key = font.path, font.index, 0.0 if font.coloured else size
        for each in _PICTURE_SIZES if font.coloured else (size,):
            if key in self._fonts:
                break
            with suppress(OSError, ValueError):
                self._fonts[key] = ImageFont.truetype(
                    font.path, each, index=font.index, layout_engine=ImageFont.Layout.BASIC
                )
        if key not in self._fonts:
            raise DocumentError(f"the font {font.path} cannot be drawn with", hint=f"{_HINT}, or name another font.")
        return self._fonts[key]


def _coloured(character: str, loaded: FreeTypeFont) -> Image:
    """A glyph of a font of pictures."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    left, top, right, bottom = (round(each) for each in loaded.getbbox(character, anchor="ls"))
    picture = Image.new("RGBA", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(picture).text((-left, -top), character, font=loaded, anchor="ls", embedded_color=True)
    return picture


class Pen:
    """Draws in cells of one size, with the fonts of one library; what was drawn once is kept.

    Args:
        library: The fonts.
        cell: The room of a Latin character.
    """

    def __init__(self, library: Library, cell: Cell) -> None:
        self.library = library
        self.cell = cell
        self._drawer: Drawer = Shaper() if shapes() else Plain()
        self._kept: dict[tuple[str, Font, bool, tuple[float, float]], Ink] = {}

    def font(self, cluster: str) -> Font | None:
        """The font for what is drawn as one; None: none has all of it."""
        return font_for(self.library, cluster)

    def run(self, text: str, font: Font, right_to_left: bool) -> Ink:
        """A run of a script that wants shaping, as wide as it is."""
        return self._ink(text, font, right_to_left, (2 * self.cell.width * _EM, self.cell.height * _EM))

    def one(self, cluster: str, font: Font, right_to_left: bool) -> Ink:
        """What is drawn as one, in the middle of its cells."""
        cell, wide = self.cell, 2 * self.cell.width
        if emoji(cluster) and font.coloured:
            return self._placed(self._ink(cluster, font, right_to_left, (wide, cell.height)), 0)
        if unicodedata.east_asian_width(cluster[0]) in {"W", "F"}:
            return self._placed(self._ink(cluster, font, right_to_left, (wide * _WIDE_EM, cell.height * _WIDE_EM)), 2)
        if font.advance:
            em = cell.width / font.advance, min(cell.height / 2 / font.advance, cell.height)
            return self._placed(self._ink(cluster, font, right_to_left, em), 0)
        em = wide * _EM, cell.height * _EM
        ink = self._ink(cluster, font, right_to_left, em)
        if font.given:
            return ink
        if cell.width < ink.advance < cell.width * 1.4:  # better a little narrow than two cells
            ink = self._ink(cluster, font, right_to_left, (em[0] * cell.width / ink.advance, em[1]))
        return self._placed(ink, 0)

    @cached_property
    def space(self) -> float:
        """Dots of a space: a cell, but of a font that was given what is its own."""
        font = self.library.find(" ")
        return self.one(" ", font, right_to_left=False).advance if font and font.given else self.cell.width

    def box(self, character: str) -> Ink:
        """A box with a code point in it, for a character that no font has."""
        digits = f"{ord(character):04X}"
        return _box(digits, self.cell)

    def _ink(self, text: str, font: Font, right_to_left: bool, em: tuple[float, float]) -> Ink:
        key = text, font, right_to_left, em
        if key not in self._kept:
            if len(self._kept) > 5_000:
                self._kept.clear()
            self._kept[key] = self._drawer.ink(text, font, em, right_to_left)
        return self._kept[key]

    def _placed(self, ink: Ink, cells: int) -> Ink:
        """In the middle of so many cells; 0: as many as it needs."""
        cells = cells or max(1, -(-round(ink.advance) // self.cell.width))
        room = cells * self.cell.width
        return replace(ink, advance=room, left=ink.left + round((room - ink.advance) / 2))


def font_for(library: Library, cluster: str) -> Font | None:
    """The font for what is drawn as one; None: none has all of it."""
    visible = "".join(each for each in cluster if not invisible(each))
    kind = "emoji" if emoji(cluster) else script(cluster[0])
    return library.find(visible, kind) if visible else library.mono()


_DIGITS = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 1, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    "A": (2, 5, 7, 5, 5),
    "B": (6, 5, 6, 5, 6),
    "C": (3, 4, 4, 4, 3),
    "D": (6, 5, 5, 5, 6),
    "E": (7, 4, 6, 4, 7),
    "F": (7, 4, 6, 4, 4),
}


def _box(digits: str, cell: Cell) -> Ink:
    from PIL import Image, ImageDraw  # noqa: PLC0415

    columns = -(-len(digits) // 2)
    cells = 1 if columns == 2 else 2
    width, height = cells * cell.width, cell.height
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    draw.rectangle((1, 1, width - 2, height - 2), outline=255)
    small = Image.new("L", (4 * columns - 1, 11))
    for at, digit in enumerate(digits):
        left, top = at % columns * 4, at // columns * 6
        for y, row in enumerate(_DIGITS[digit]):
            for x in range(3):
                if row >> (2 - x) & 1:
                    small.putpixel((left + x, top + y), 255)
    scale = min((width - 5) // small.width, (height - 5) // small.height)
    if scale >= 1:
        small = small.resize((small.width * scale, small.height * scale), Image.Resampling.NEAREST)
        mask.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return Ink(width, mask, 0, -cell.baseline, picture=True)

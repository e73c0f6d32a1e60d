"""Images and PDFs that are broken, or meant to hurt whoever opens them; always the same ones."""

from __future__ import annotations

import io
import random
import struct
import zlib

from PIL import Image

from .pdfs import HELVETICA, box, document, encrypted, file, stream, text


def squeezed(byte, size):
    """A zlib stream of so many equal bytes, made without having them."""
    packer = zlib.compressobj(1)
    piece = byte * (1 << 20)
    return b"".join([*(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])


def bent(name, data, number):
    """The same file cut off at some places, and with some bytes changed at others."""
    for part in range(number):
        yield f"{name} cut {part}", data[: len(data) * part // number + part]
    chance = random.Random(name)  # of the same seed always
    for each in range(number):
        changed = bytearray(data)
        for _ in range(1 + each):
            changed[chance.randrange(len(changed) if each % 2 else min(len(changed), 200))] = chance.choice(
                (0, 0xFF, 0x7F, 0x80, chance.randrange(256))
            )
        yield f"{name} changed {each}", bytes(changed)


# -- images ------------------------------------------------------------------------------------------------------


def pictures():
    """Good ones, in many ways."""
    colours = Image.frombytes("RGB", (32, 24), bytes(x * 7 % 256 for x in range(32 * 24 * 3)))
    for name, picture, kind, options in (
        ("png", colours, "PNG", {}),
        ("png p", colours.quantize(16), "PNG", {"transparency": 3}),
        ("png la", colours.convert("LA"), "PNG", {}),
        ("png 16", colours.convert("L").convert("I;16"), "PNG", {}),
        ("png 1", colours.convert("1"), "PNG", {}),
        ("apng", colours, "PNG", {"save_all": True, "append_images": [colours.rotate(90)]}),
        ("jpeg", colours, "JPEG", {}),
        ("jpeg progressive", colours, "JPEG", {"progressive": True, "exif": Image.Exif()}),
        ("jpeg cmyk", colours.convert("CMYK"), "JPEG", {}),
        ("gif", colours.quantize(8), "GIF", {"save_all": True, "append_images": [colours.rotate(90).quantize(8)]}),
        ("bmp", colours, "BMP", {}),
        ("bmp p", colours.quantize(256), "BMP", {}),
        ("webp", colours, "WEBP", {}),
        ("webp lossless", colours.convert("RGBA"), "WEBP", {"lossless": True}),
        ("webp animated", colours, "WEBP", {"save_all": True, "append_images": [colours.rotate(90)]}),
        ("tiff", colours, "TIFF", {}),
        ("tiff lzw", colours, "TIFF", {"compression": "tiff_lzw"}),
        ("tiff deflate", colours, "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("tiff jpeg", colours, "TIFF", {"compression": "jpeg"}),
        ("tiff g4", colours.convert("1"), "TIFF", {"compression": "group4"}),
    ):
        out = io.BytesIO()
        picture.save(out, kind, **options)
        yield name, out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=8, height=8, depth=8, colour=0, *chunks, data=None, method=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, method)
    data = zlib.compress(bytes(9 * 8)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(*entries, data=b"", following=0, order="<"):
    """An IFD of (tag, type, count, value)."""
    body = b"".join(struct.pack(order + "HHII", *each) for each in entries)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", following) + data


def plain_tiff(width=8, height=8, bits=8, compression=1, strip=200, rows=8, size=64, extra=(), **options):
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, strip),
        (278, 4, 1, rows),
        (279, 4, 1, size),
        *extra,
    ]
    return tiff(*entries, data=bytes(400), **options)


def bmp(width=8, height=8, bits=24, compression=0, colours=0, head=40, offset=54, data=bytes(256)):
    info = struct.pack("<IiiHHIIiiII", head, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, offset) + info + data


def gif(width, height, left=0, top=0, wide=8, high=8, data=b"\x02\x16\x8c\x2d\x99\x87\x2a\x1c\xdc\x33\xa0\x02\x75"):
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff"
        + b","
        + struct.pack("<HHHHB", left, top, wide, high, 0)
        + data
        + b"\0;"
    )


def jpeg_of_size(data, width, height):
    at = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in {0xC0, 0xC2})
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def riff(*chunks, size=None):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def images():
    """(name, bytes)."""
    good = dict(pictures())
    for name, data in good.items():
        yield from bent(name, data, 4)
    zeros = squeezed(b"\0", 193 << 20)
    yield from {
        "png 1 x 10^9": png(1, 10**9),
        "png 10^9 x 1": png(10**9, 1),
        "png 50,000 x 50,000": png(50_000, 50_000),
        "png 2^31 - 1": png(2**31 - 1, 2**31 - 1),
        "png 2^32 - 1": png(2**32 - 1, 2**32 - 1),
        "png 0 x 0": png(0, 0),
        "png of the most pixels, coloured": png(8000, 8000, 8, 2, data=zeros),
        "png of the most pixels, 16 bits": png(8000, 8000, 16, 0, data=zeros),
        "png of the most pixels, a row": png(64_000_000, 1, 8, 0, data=zeros),
        "png with more data than pixels": png(data=zeros),
        "png with iCCP that is a bomb": png(8, 8, 8, 0, chunk(b"iCCP", b"a\0\0" + zeros)),
        "png with zTXt that is a bomb": png(8, 8, 8, 0, chunk(b"zTXt", b"a\0\0" + zeros)),
        "png with iTXt that is a bomb": png(8, 8, 8, 0, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)),
        "png with many texts": png(8, 8, 8, 0, chunk(b"tEXt", b"a\0" + bytes(900_000)) * 80),
        "png with a million chunks": png(8, 8, 8, 0, chunk(b"teSt", b"") * 10**5),
        "png with broken EXIF": png(8, 8, 8, 0, chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
        "png with EXIF in a loop": png(8, 8, 8, 0, chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0")),
        "png without a palette": png(8, 8, 8, 3),
        "png with half a palette": png(8, 8, 8, 3, chunk(b"PLTE", b"\0\1")),
        "png with a long tRNS": png(8, 8, 8, 0, chunk(b"tRNS", bytes(1000))),
        "png with an empty tRNS": png(8, 8, 8, 2, chunk(b"tRNS", b"")),
        "png of depth 3": png(8, 8, 3),
        "png of colour 5": png(8, 8, 8, 5),
        "png of interlace 7": png(method=7),
        "png interlaced": png(method=1),
        "png without data": png(data=b""),
        "png with broken data": png(data=b"\x78\x9c" + b"\xff" * 100),
        "png with a header alone": png()[:33],
        "png with a short header": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0\0\1"),
        "png with an empty header": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b""),
        "png with two headers": png(8, 8, 8, 0, chunk(b"IHDR", struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0))),
        "png with a chunk of 4 GB": b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR" + bytes(100),
        "png with a billion frames": png(8, 8, 8, 0, chunk(b"acTL", struct.pack(">II", 10**9, 0))),
        "png with a frame outside": png(
            8,
            8,
            8,
            0,
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 10**6, 10**6, 1, 1, 0, 0)),
        ),
        "gif of a huge canvas": gif(65535, 65535),
        "gif of a wide canvas": gif(65535, 900),
        "gif of no canvas": gif(0, 0),
        "gif with a frame outside": gif(8, 8, 60000, 60000),
        "gif with a huge frame": gif(8, 8, 0, 0, 65535, 65535),
        "gif with a broken code size": gif(8, 8, data=b"\xff\x05abcde"),
        "gif with endless comments": b"GIF89a\x08\0\x08\0\0\0\0" + b"!\xfe\xff" + b"c" * 10**6,
        "bmp of a huge size": bmp(10**9, 10**9),
        "bmp of a negative size": bmp(-8, -8),
        "bmp upside down": bmp(8, -8),
        "bmp of the lowest height": bmp(8, -(2**31)),
        "bmp of 7 bits": bmp(bits=7),
        "bmp of a billion colours": bmp(bits=8, colours=10**9),
        "bmp with its data behind its end": bmp(offset=10**9),
        "bmp with RLE beyond its end": bmp(bits=8, compression=1, colours=2, offset=62, data=bytes(8) + b"\xff\1" * 100 + b"\0\2\xff\xff" * 50),
        "bmp with RLE of half a pair": bmp(bits=8, compression=1, colours=2, offset=62, data=bytes(8) + b"\0\xff\1"),
        "bmp of an unknown head": bmp(head=17),
        "bmp of a huge head": bmp(head=2**31),
        "jpeg of a huge size": jpeg_of_size(good["jpeg"], 65535, 65535),
        "jpeg of a large size, progressive": jpeg_of_size(good["jpeg progressive"], 8000, 8000),
        "jpeg of a large size, CMYK": jpeg_of_size(good["jpeg cmyk"], 8000, 8000),
        "jpeg of no size": jpeg_of_size(good["jpeg"], 0, 0),
        "jpeg without an end": good["jpeg"][:-2],
        "jpeg with many scans": good["jpeg progressive"][:-2] + good["jpeg progressive"][-200:-2] * 2000,
        "jpeg with endless markers": b"\xff\xd8" + b"\xff\xe0\0\2" * 10**5,
        "jpeg with a marker alone": b"\xff\xd8\xff",
        "jpeg with a short APP1": b"\xff\xd8\xff\xe1\0\x08Exif\0\0" + good["jpeg"][2:],
        "jpeg with EXIF in a loop": b"\xff\xd8\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0" + good["jpeg"][2:],
        "jpeg with a broken ICC profile": b"\xff\xd8\xff\xe2\0\x14ICC_PROFILE\0\7\1" + b"xxxx" + good["jpeg"][2:],
        "webp of nothing": riff(),
        "webp that says 4 GB": riff((b"VP8 ", bytes(10)), size=2**32 - 1),
        "webp of a huge canvas": riff((b"VP8X", b"\x02\0\0\0" + b"\xff" * 6), (b"ANIM", bytes(6))),
        "webp of a huge lossless picture": riff((b"VP8L", b"\x2f" + b"\xff" * 40)),
        "webp of zeros": riff((b"VP8L", b"\x2f" + bytes(400))),
        "webp that is a bomb": riff((b"VP8L", b"\x2f\x3e\x1f\xcf\x07" + bytes(40))),
        "tiff of a huge size": plain_tiff(10**9, 10**9),
        "tiff of a large size": plain_tiff(8000, 8000, size=10**9, rows=8000),
        "tiff of no size": plain_tiff(0, 0),
        "tiff of 7 bits": plain_tiff(bits=7),
        "tiff of 65535 bits": plain_tiff(bits=65535),
        "tiff of an unknown compression": plain_tiff(compression=12345),
        "tiff with LZW of zeros": plain_tiff(compression=5),
        "tiff with deflate of zeros": plain_tiff(compression=8),
        "tiff with JPEG of zeros": plain_tiff(compression=7),
        "tiff with fax of zeros": plain_tiff(bits=1, compression=3),
        "tiff with WEBP of zeros": plain_tiff(compression=50001),
        "tiff with strips behind its end": plain_tiff(strip=10**9),
        "tiff with a negative strip": plain_tiff(strip=2**32 - 1),
        "tiff with an empty strip": plain_tiff(size=0),
        "tiff with no rows in a strip": plain_tiff(rows=0),
        "tiff with 2^32 rows in a strip": plain_tiff(rows=2**32 - 1),
        "tiff with an orientation of 99": plain_tiff(extra=((274, 3, 1, 99),)),
        "tiff with an orientation of text": plain_tiff(extra=((274, 2, 4, 0x61616161),)),
        "tiff with 65535 samples": plain_tiff(extra=((277, 3, 1, 65535),)),
        "tiff with a billion values": plain_tiff(extra=((320, 3, 10**9, 8),)),
        "tiff with a tag of type 99": plain_tiff(extra=((305, 99, 5, 5),)),
        "tiff with EXIF in itself": plain_tiff(extra=((34665, 4, 1, 8),)),
        "tiff in a loop": plain_tiff(following=8),
        "tiff without tags": tiff(),
        "tiff with 65535 tags": b"II*\0\x08\0\0\0\xff\xff" + bytes(1000),
        "tiff with tiles of no size": tiff(
            (256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (322, 4, 1, 0), (323, 4, 1, 0), (324, 4, 1, 8), (325, 4, 1, 8)
        ),
        "tiff of many tiny tiles": tiff(
            (256, 4, 1, 8000), (257, 4, 1, 8000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 64 * 10**6, 8), (325, 4, 64 * 10**6, 8)
        ),
        "tiff of big endians": plain_tiff(order=">"),
        "bigtiff": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63),
    }.items()  # fmt: skip
    yield from other_things()


def other_things():
    """What is neither an image nor a PDF, or not one of those that are read."""
    yield from {
        "nothing": b"",
        "a zero": b"\0",
        "zeros": bytes(10**6),
        "ones": b"\xff" * 10**6,
        "noise": random.Random(7).randbytes(10**5),
        "text": b"Hello, world\n" * 1000,
        "html": b"<!DOCTYPE html><html><body>" + b"<div>" * 10**5,
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "xml that grows": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "zip": b"PK\3\4" + bytes(100),
        "gzip": b"\x1f\x8b\x08\0" + bytes(100),
        "elf": b"\x7fELF" + bytes(100),
        "ppm": b"P6 1000000 1000000 255\n" + bytes(100),
        "ppm of a python": b"Py 8 8\n" + bytes(100),
        "ico": b"\0\0\1\0\1\0" + bytes(100),
        "icns": b"icns\0\0\1\0" + bytes(100),
        "psd": b"8BPS\0\1" + bytes(100),
        "tga": b"\0\0\2" + bytes(9) + b"\x10\0\x10\0\x18\0" + bytes(1000),
        "dds": b"DDS " + bytes(124),
        "sgi": b"\x01\xda" + bytes(600),
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "xbm": b"#define x_width 99999999\n#define x_height 99999999\nstatic char x_bits[] = {",
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
        "avif": b"\0\0\0\x20ftypavif" + bytes(100),
        "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000),
        "pcx": b"\n\5\1\x08" + b"\xff" * 124,
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(100),
    }.items()


# -- PDFs --------------------------------------------------------------------------------------------------------


def page_of(entries, *objects, catalog=b"", tree=b""):
    """One page, whose dictionary has these entries; `objects` are those from 4 on."""
    return file(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 %s >>" % tree,
            b"<< /Type /Page /Parent 2 0 R %s >>" % entries,
            *objects,
        ]
    )


A_BOX = b"/MediaBox [0 0 200 100]"


def drawn(content, resources=b"", *objects):
    """One page with this content, its own object 4; `objects` are those from 5 on."""
    return page_of(b"%s /Contents 4 0 R /Resources << %s >>" % (A_BOX, resources), stream(content), *objects)


def picture(entries, data, content=b"q 200 0 0 100 0 0 cm /I Do Q"):
    return drawn(content, b"/XObject << /I 5 0 R >>", stream(data, b"/Type /XObject /Subtype /Image " + entries))


def font(entries, data, kind=b"TrueType", key=b"FontFile2"):
    return drawn(
        text(b"Hello, world"),
        b"/Font << /F 5 0 R >>",
        b"<< /Type /Font /Subtype /%s /BaseFont /X /FirstChar 0 /LastChar 255 /FontDescriptor 6 0 R %s >>"
        % (kind, entries),
        b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontBBox [0 0 1000 1000] /%s 7 0 R >>" % key,
        stream(data, b"/Length1 %d" % len(data)),
    )


def in_its_own_table(data):
    return data.replace(b"/Root", b"/Prev %d /Root" % data.rindex(b"xref\n0"))


def pdfs():
    """(name, bytes)."""
    noise = random.Random(11).randbytes(5000)
    grey8 = b"/ColorSpace /DeviceGray /BitsPerComponent 8"
    huge = b"/Width 30000 /Height 30000 " + grey8
    flate = b"/Filter /FlateDecode"
    yield from bent("pdf", document(text(b"one"), text(b"two") + box(5, 5, 20, 20)), 24)
    yield from bent("pdf encrypted", encrypted(text(b"secret"), b""), 8)
    yield from bent(
        "pdf with a picture", picture(b"/Width 8 /Height 8 " + grey8 + flate, zlib.compress(bytes(range(64)))), 6
    )
    yield from {
        # Sizes
        "pdf of 10^9 points": document(b"", size=(10**9, 10**9)),
        "pdf of 10^9 points down": document(b"", size=(1, 10**9)),
        "pdf of 10^38 points": page_of(b"/MediaBox [0 0 1%s 1%s]" % (b"0" * 38, b"0" * 38)),
        "pdf of 10^400 points": page_of(b"/MediaBox [0 0 1%s 1%s]" % (b"0" * 400, b"0" * 400)),
        "pdf of -10^9 points": page_of(b"/MediaBox [0 0 -1000000000 -1000000000]"),
        "pdf of no points": page_of(b"/MediaBox [0 0 0 0]"),
        "pdf of a box of text": page_of(b"/MediaBox (hello)"),
        "pdf of a box of three": page_of(b"/MediaBox [0 0 1]"),
        "pdf of a box that is itself": page_of(b"/MediaBox 4 0 R", b"4 0 R"),
        "pdf without a box": page_of(b""),
        "pdf of an odd turn": page_of(A_BOX + b"/Rotate 45"),
        "pdf of a huge turn": page_of(A_BOX + b"/Rotate 99999999990"),
        "pdf of a huge unit": page_of(A_BOX + b"/UserUnit 1000000000"),
        "pdf with its crop outside": page_of(A_BOX + b"/CropBox [1000 1000 2000 2000]"),
        # Trees
        "pdf with a page that is its own parent": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 1 /Parent 2 0 R >>"]),
        "pdf with two that are each other's pages": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Pages /Kids [2 0 R] /Count 1 /Parent 2 0 R >>"]),
        "pdf with pages that say 10^9": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1000000000 >>", b"<< /Type /Page /Parent 2 0 R >>"]),
        "pdf with pages that say 10^6": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>", b"<< /Type /Page /Parent 2 0 R >>"]),
        "pdf with pages that say 9": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 9 >>", b"<< /Type /Page /Parent 2 0 R >>"]),
        "pdf with pages that say -1": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count -1 >>", b"<< /Type /Page /Parent 2 0 R >>"]),
        "pdf with the same page many times": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count 20000 >>" % (b"3 0 R " * 20000), b"<< /Type /Page /Parent 2 0 R >>"]),
        "pdf with a deep tree": file([b"<< /Type /Catalog /Pages 2 0 R >>", *(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (each + 3) for each in range(5000)), b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"]),
        "pdf with pages that double": file([b"<< /Type /Catalog /Pages 2 0 R >>", *(b"<< /Type /Pages /Kids [%d 0 R %d 0 R] /Count %d >>" % (each + 3, each + 3, 2 ** (20 - each)) for each in range(20)), b"<< /Type /Page /MediaBox [0 0 9 9] >>"]),
        "pdf with a catalog that is itself": file([b"1 0 R"]),
        "pdf without a catalog": file([b"<< >>"]),
        "pdf whose root is not there": file([b"<< >>"], root=b"99 0 R"),
        "pdf whose page is a number": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [7] /Count 1 >>"]),
        "pdf with 10^5 arrays in each other": page_of(b"/MediaBox " + b"[" * 10**5 + b"]" * 10**5),
        "pdf with 10^5 dictionaries in each other": page_of(b"/X " + b"<< /X " * 10**5 + b">>" * 10**5),
        "pdf whose trailer is deep": file([b"<< >>"], trailer=b"/X " + b"[" * 10**5),
        # Cross references
        "pdf whose tables are a loop": document(text(b"x"), trailer=b"/Prev 9"),
        "pdf whose table is its own": in_its_own_table(document(text(b"x"))),
        "pdf whose table is 10^9 long": document(text(b"x")).replace(b"xref\n0 ", b"xref\n0 999999999"),
        "pdf whose size is 2^31": document(text(b"x")).replace(b"/Size ", b"/Size 214748364"),
        "pdf whose start is behind its end": document(text(b"x")).replace(b"startxref\n", b"startxref\n99999"),
        "pdf without a table": document(text(b"x")).split(b"xref")[0] + b"trailer << /Root 1 0 R >>",
        "pdf with a stream for a table": file([stream(noise, b"/Type /XRef /Size 9 /W [8 8 8] /Root 1 0 R")]),
        "pdf with a table of wide fields": b"%PDF-1.5\n" + b"1 0 obj\n" + stream(zlib.compress(bytes(1000)), b"/Type /XRef /Size 999999999 /W [99999999 99999999 99999999] /Index [0 99999999] /Root 1 0 R /Filter /FlateDecode") + b"\nendobj\nstartxref\n9\n%%EOF",
        "pdf with objects in themselves": file([b"<< /Type /Catalog /Pages 2 0 R >>", stream(b"2 0 << >>", b"/Type /ObjStm /N 1 /First 4 /Extends 2 0 R")]),
        # Streams
        "pdf that is a bomb": drawn_squeezed(squeezed(b"q ", 64 << 20)),
        "pdf that is a bomb of text": drawn_squeezed(squeezed(b"((", 64 << 20)),
        "pdf that is a bomb in a bomb": drawn_squeezed(zlib.compress(squeezed(b"\0", 256 << 20)), b"[/FlateDecode /FlateDecode]"),
        "pdf with 100 filters": drawn_squeezed(b"00>", b"[%s]" % (b"/ASCIIHexDecode " * 100)),
        "pdf with RunLength that ends early": drawn_squeezed(b"\x81", b"/RunLengthDecode"),
        "pdf with LZW of noise": drawn_squeezed(noise, b"/LZWDecode"),
        "pdf with an unknown filter": drawn_squeezed(noise, b"/Nonsense"),
        "pdf with a predictor of huge columns": page_of(A_BOX + b"/Contents 4 0 R", stream(zlib.compress(bytes(100)), b"/Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 2147483647 /Colors 99 /BitsPerComponent 32 >>")),
        "pdf with a length of -1": document(text(b"x")).replace(b"/Length 3", b"/Length -"),
        "pdf with a length that is itself": page_of(A_BOX + b"/Contents 4 0 R", b"<< /Length 4 0 R >>\nstream\nq\nendstream"),
        "pdf with contents in an array of itself": page_of(A_BOX + b"/Contents 4 0 R", b"[4 0 R 4 0 R]"),
        "pdf with 10^5 contents": page_of(A_BOX + b"/Contents [%s]" % (b"4 0 R " * 10**5), stream(b"q 1 0 0 1 0 0 cm Q ")),
        # Drawing
        "pdf of noise": drawn(noise),
        "pdf that saves 10^6 times": drawn(b"q " * 10**6),
        "pdf that restores 10^5 times": drawn(b"Q " * 10**5 + text(b"x")),
        "pdf with a path of 10^5 curves, dashed": drawn(b"[0.001 0.001] 0 d 0 0 m " + b"200 100 1 99 50 50 c " * 10**5 + b"S"),
        "pdf with tiny dashes": drawn(b"[0.00001 0.00001] 0 d 0.1 w 0 0 m 100000000 100000000 l S"),
        "pdf with dashes of nothing": drawn(b"[0 0] 0 d 0 0 m 200 100 l S [-1 -1] 0 d 0 0 m 200 100 l S"),
        "pdf with a line as wide as the world": drawn(b"1e38 w 0 0 m 1e38 1e38 l S 99999999999999999999999999999 w 0 0 m 200 100 l S"),
        "pdf with a matrix of nothing": drawn(b"0 0 0 0 0 0 cm " + text(b"x") + box(0, 0, 9, 9)),
        "pdf with a huge matrix": drawn(b"99999999999 0 0 99999999999 0 0 cm " * 9 + text(b"x") + box(0, 0, 9, 9)),
        "pdf with a huge font": document(text(b"x", 10**9)),
        "pdf with 10^5 letters": document(text(b"x" * 10**5)),
        "pdf with forms that double": drawn(b"/X Do", b"/XObject << /X 5 0 R >>", *(stream(b"/X Do /X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 200 100] /Resources << /XObject << /X %d 0 R >> >>" % (each + 6)) for each in range(24)), stream(box(0, 0, 9, 9), b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]")),
        "pdf with a mask in itself": drawn(b"/G gs " + box(0, 0, 200, 100), b"/ExtGState << /G 5 0 R >>", b"<< /SMask << /S /Luminosity /G 6 0 R >> >>", stream(b"/G gs 0 0 200 100 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 200 100] /Group << /S /Transparency /CS /DeviceGray >> /Resources << /ExtGState << /G 5 0 R >> >>")),
        "pdf with a pattern in itself": drawn(b"/Pattern cs /P scn 0 0 200 100 re f", b"/Pattern << /P 5 0 R >>", stream(b"/Pattern cs /P scn 0 0 200 100 re f", b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 200 100] /XStep 1 /YStep 1 /Resources << /Pattern << /P 5 0 R >> >>")),
        "pdf with a letter in itself": drawn(text(b"aaaa"), b"/Font << /F 5 0 R >>", b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0] /CharProcs << /a 6 0 R >> /Encoding << /Differences [97 /a] >> /FirstChar 97 /LastChar 97 /Widths [9] /Resources << /Font << /F 5 0 R >> >> >>", stream(b"9 0 d0 " + text(b"aaaa"))),
        "pdf with a shading of a huge function": drawn(b"/S sh", b"/Shading << /S 5 0 R >>", b"<< /ShadingType 1 /ColorSpace /DeviceGray /Function 6 0 R >>", stream(noise, b"/FunctionType 0 /Domain [0 1 0 1] /Range [0 1] /Size [65535 65535] /BitsPerSample 32")),
        "pdf with a shading of a program": drawn(b"/S sh", b"/Shading << /S 5 0 R >>", b"<< /ShadingType 1 /ColorSpace /DeviceGray /Domain [0 200 0 100] /Function 6 0 R >>", stream(b"{" * 5000 + b"add" + b"}" * 5000, b"/FunctionType 4 /Domain [0 200 0 100] /Range [0 1]")),
        "pdf with a function of itself": drawn(b"/S sh", b"/Shading << /S 5 0 R >>", b"<< /ShadingType 2 /Coords [0 0 200 100] /ColorSpace /DeviceGray /Function 6 0 R >>", b"<< /FunctionType 3 /Domain [0 1] /Functions [6 0 R 6 0 R] /Bounds [0.5] /Encode [0 1 0 1] >>"),
        "pdf with a mesh of noise": drawn(b"/S sh", b"/Shading << /S 5 0 R >>", stream(noise * 20, b"/ShadingType 7 /ColorSpace /DeviceGray /BitsPerCoordinate 32 /BitsPerComponent 16 /BitsPerFlag 8 /Decode [-16384 16384 -16384 16384 0 1]")),
        "pdf with a colour of itself": drawn(b"/C cs 1 sc 0 0 200 100 re f", b"/ColorSpace << /C 5 0 R >>", b"[/Indexed 5 0 R 255 (abc)]"),
        "pdf with a colour of 10^4 inks": drawn(b"/C cs " + b"1 " * 10**4 + b"sc 0 0 200 100 re f", b"/ColorSpace << /C [/DeviceN [%s] /DeviceGray 5 0 R] >>" % (b"/A " * 10**4), stream(b"{pop}", b"/FunctionType 4 /Domain [0 1] /Range [0 1]")),
        "pdf with an ICC profile of noise": drawn(b"/C cs 1 sc 0 0 200 100 re f", b"/ColorSpace << /C [/ICCBased 5 0 R] >>", stream(noise, b"/N 3")),
        # Pictures
        "pdf with a picture of 144 million pixels": picture(b"/Width 12000 /Height 12000 " + grey8 + flate, squeezed(b"\0", 144 << 20)),
        "pdf with a picture of 2^31 pixels across": picture(b"/Width 2147483647 /Height 1 " + grey8, b"\0"),
        "pdf with a picture of -1 pixels": picture(b"/Width -1 /Height -1 " + grey8, b"\0"),
        "pdf with a picture of 99 bits": picture(b"/Width 9 /Height 9 /ColorSpace /DeviceGray /BitsPerComponent 99", noise),
        "pdf with a picture in no colours": picture(b"/Width 9 /Height 9 /BitsPerComponent 8", noise),
        "pdf with a picture that is its own mask": picture(b"/Width 9 /Height 9 /SMask 5 0 R " + grey8, noise),
        "pdf with a JPEG of noise": picture(b"/Width 9 /Height 9 /Filter /DCTDecode " + grey8, noise),
        "pdf with a JPEG of a huge size": picture(huge + b"/Filter /DCTDecode", jpeg_of_size(dict(pictures())["jpeg"], 30000, 30000)),
        "pdf with a JPEG that is cut off": picture(b"/Width 32 /Height 24 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode", dict(pictures())["jpeg"][:500]),
        "pdf with a JPEG 2000 of noise": picture(b"/Width 9 /Height 9 /Filter /JPXDecode", b"\0\0\0\x0cjP  \r\n\x87\n" + noise),
        "pdf with a JBIG2 of noise": picture(huge + b"/Filter /JBIG2Decode", noise),
        "pdf with a JBIG2 of a huge page": picture(b"/Width 9 /Height 9 /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /JBIG2Decode", b"\0\0\0\0\x30\0\1\0\0\0\x13" + b"\x7f\xff\xff\xff" * 2 + bytes(11)),
        "pdf with a fax of noise": picture(b"/Width 9 /Height 9 /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 2147483647 /Rows 2147483647 >>", noise),
        "pdf with a picture inline without an end": drawn(b"BI /W 99999 /H 99999 /BPC 8 /CS /G ID " + noise),
        # Fonts
        "pdf with a TrueType font of noise": font(b"", noise),
        "pdf with a TrueType font of noise with a head": font(b"", b"\0\1\0\0\0\x0a\0\x80\0\3\0\x20" + noise),
        "pdf with a Type 1 font of noise": font(b"", b"%!PS-AdobeFont-1.0: X\n" + noise, b"Type1", b"FontFile"),
        "pdf with a CFF font of noise": font(b"", b"\1\0\4\4" + noise, b"Type1", b"FontFile3"),
        "pdf with an empty font": font(b"", b""),
        "pdf with a font collection": font(b"", b"ttcf\0\1\0\0\xff\xff\xff\xff" + noise),
        "pdf with a CMap of noise": drawn(text(b"Hello"), b"/Font << /F 5 0 R >>", b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding 6 0 R /DescendantFonts [5 0 R] /ToUnicode 6 0 R >>", stream(b"1 begincidrange <0000> <ffffffff> 0 endcidrange " * 1000, b"/Type /CMap /UseCMap 6 0 R")),
        "pdf with 10^6 widths": font(b"/Widths [%s]" % (b"9 " * 10**6), noise),
        "pdf with a font that is a number": drawn(text(b"x"), b"/Font << /F 7 >>"),
        # Around the page
        "pdf with notes of themselves": page_of(A_BOX + b"/Annots 4 0 R", b"[4 0 R 5 0 R 5 0 R]", b"<< /Type /Annot /Subtype /Popup /Rect [0 0 9 9] /Parent 5 0 R /Popup 5 0 R /AP << /N 5 0 R >> >>"),
        "pdf with 10^5 notes": page_of(A_BOX + b"/Annots [%s]" % (b"4 0 R " * 10**5), b"<< /Type /Annot /Subtype /Square /Rect [0 0 9 9] /C [1 0 0] >>"),
        "pdf with a form of itself": page_of(A_BOX + b"/Annots [4 0 R]", b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /Rect [0 0 9 9] /Kids [4 0 R] /Parent 4 0 R >>", catalog=b"/AcroForm << /Fields [4 0 R 4 0 R] >>"),
        "pdf with a form of noise": page_of(A_BOX, catalog=b"/AcroForm << /Fields 2 0 R /XFA [(a) 3 0 R (b) 9 0 R] /DR 1 0 R >>"),
        "pdf with a form that is a number": page_of(A_BOX, catalog=b"/AcroForm 7"),
        "pdf with a script": page_of(A_BOX + b"/AA << /O << /S /JavaScript /JS (while(1);) >> >>", catalog=b"/OpenAction << /S /JavaScript /JS (while(1);) >>"),
        "pdf that starts a program": page_of(A_BOX, catalog=b"/OpenAction << /S /Launch /F (/bin/sh) >>"),
        "pdf with layers of themselves": page_of(A_BOX, b"<< /Type /OCG >>", catalog=b"/OCProperties << /OCGs [4 0 R] /D << /Order [4 0 R] /ON [4 0 R] /BaseState /OFF >> >>"),
        "pdf with XFA": page_of(A_BOX, stream(b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'>" + b"<a>" * 10**5), catalog=b"/AcroForm << /Fields [] /XFA 4 0 R >>"),
        "pdf encrypted by nobody knows what": document(text(b"x"), trailer=b"/Encrypt << /Filter /Nonsense >>"),
        "pdf encrypted with a key of 0 bits": document(text(b"x"), trailer=b"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 0 /P -4 /O <00> /U <00> >>"),
        "pdf encrypted with a key of 10^9 bits": document(text(b"x"), trailer=b"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 4 /R 6 /Length 1000000000 /P -4 /O <%s> /U <%s> >>" % (b"00" * 48, b"00" * 48)),
        "pdf encrypted by itself": document(text(b"x"), trailer=b"/Encrypt 1 0 R"),
        "pdf with a font by itself": file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>", HELVETICA, b"<< /Type /Page /Parent 4 0 R /Resources 4 0 R /Contents 4 0 R /MediaBox [0 0 9 9] >>"]),
    }.items()  # fmt: skip
    yield from other_things()
    yield from (("pdf of " + name, data) for name, data in pictures() if name in {"png", "jpeg", "tiff"})


def drawn_squeezed(data, filter=b"/FlateDecode"):
    return page_of(A_BOX + b"/Contents 4 0 R", stream(data, b"/Filter %s" % filter))

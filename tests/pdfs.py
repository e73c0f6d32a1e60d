"""PDFs written by hand, also such as no program would write."""

from __future__ import annotations

import hashlib

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def stream(data, entries=b""):
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def file(objects, trailer=b"", root=b"1 0 R"):
    """A document of these objects, numbered from 1."""
    out = bytearray(b"%PDF-1.7\n")
    starts = []
    for number, each in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root %s %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        root,
        trailer,
        len(out),
    )
    return bytes(out)


def document(*contents, size=(200, 100), page=b"", resources=b"/Font << /F 3 0 R >>", extra=(), catalog=b"", **options):
    """Pages with these contents, all of one size (points) or each of its own; `extra` are objects from 4 on."""
    first = 4 + len(extra)
    sizes = size if isinstance(size, list) else [size] * len(contents)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(contents), b" ".join(b"%d 0 R" % (first + 2 * each) for each in range(len(contents)))),
        HELVETICA,
        *extra,
    ]
    for (width, height), content in zip(sizes, contents, strict=True):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.4f %.4f] /Contents %d 0 R /Resources << %s >> %s >>"
            % (width, height, len(objects) + 2, resources, page),
            stream(content),
        ]
    return file(objects, **options)


def text(words, size=20, x=10, y=40):
    return b"BT /F %d Tf %g %g Td (%s) Tj ET" % (size, x, y, words)


def box(x, y, width, height, grey=0.0):
    return b"%g g %.4f %.4f %.4f %.4f re f" % (grey, x, y, width, height)


def rc4(key, data):
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(content, password, owner=b"owner", size=(200, 100)):
    """A page under the standard security handler, revision 2: RC4 with 40 bits (PDF 1.7, 7.6.3)."""
    owner_key = hashlib.md5((owner + _PADDING)[:32]).digest()[:5]
    o = rc4(owner_key, (password + _PADDING)[:32])
    permissions = (-4).to_bytes(4, "little", signed=True)
    name = bytes(range(16))
    key = hashlib.md5((password + _PADDING)[:32] + o + permissions + name).digest()[:5]
    u = rc4(key, _PADDING)
    number = 5  # of the content's object
    secret = rc4(hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10], content)
    return document(
        secret,
        size=size,
        trailer=b"/ID [<%s> <%s>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>"
        % (*(name.hex().encode(),) * 2, o.hex().encode(), u.hex().encode()),
    )

"""Commands that need a permission: what is found in a job, what is not, and what cannot be hidden."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint.dialects import DIALECTS
from rawprint.filtering import KINDS, LANGUAGES, escpos, star, tspl, zpl
from rawprint.filtering.base import ControlLanguage

ROOT = Path(__file__).parent.parent
RASTER = b"\x1dv0\x00\x02\x00\x08\x00"  # 16 bytes follow
BITS = b"\x1b*\x21\x05\x00"  # 15 bytes follow
QR = b"\x1d(k\x13\x001P0"  # 16 bytes follow
BITMAP = b"BITMAP 0,0,4,5,0,"  # 20 bytes follow
GFB = b"^XA^FO0,0^GFB,16,16,4,"
ROWS = b"\x1b*rR\x1b*rA"


def names(job, dialect):
    return [command.name for command in rawprint.notable_commands(job, dialect)]


def whole(job, dialect):
    """What is found in a job, but that its end is missing."""
    return [each for each in rawprint.notable_commands(job, dialect) if each.kind != "unfinished"]


# One row of a table, and a job that has it: take the row out, and its test fails (see `test_every_row_is_needed`).
CAUGHT = [
    ("escpos", b"\x1b%-12345X@PJL\r\n", "UEL @PJL"),
    ("escpos", b"\x1cq\x01\x01\x00\x01\x00" + bytes(8), "FS q"),
    ("escpos", b"text\x1cq\x01\x01\x00\x01\x00" + bytes(8) + b"text", "FS q"),
    ("escpos", b"\x1cg1\x00" + bytes(4) + b"\x02\x00ab", "FS g 1"),
    ("escpos", b"\x1d(C\x05\x00\x000ab", "GS ( C"),
    ("escpos", b"\x1d(C\x05\x00\x001ab", "GS ( C"),
    ("escpos", b"\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1d(E\x0a\x00\x0301010101", "GS ( E"),
    ("escpos", b"\x1d(E\x04\x00\x0b\x019", "GS ( E"),
    ("escpos", b"\x1d(M\x02\x00\x011", "GS ( M"),
    ("escpos", b"\x1d(A\x02\x00\x00\x01", "GS ( A"),
    ("escpos", b"\x1d(L\x05\x000ACLR", "GS ( L"),
    ("escpos", b"\x1d(L\x04\x000Bkk", "GS ( L"),
    ("escpos", b"\x1d(L\x0c\x000C0kk\x01\x08\x00\x01\x001\xff", "GS ( L"),
    ("escpos", b"\x1d8L\x0c\x00\x00\x000C0kk\x01\x08\x00\x01\x001\xff", "GS 8 L"),
    ("escpos", b"\x1dD0C0kk01BM\x10\x00\x00\x00" + bytes(10), "GS D"),
    ("escpos", b"\x1dg0\x00\x14\x00", "GS g 0"),
    ("escpos", b"\x1d(Z\x02\x00ab", "GS ("),
    ("escpos", b"\x1c(E\x06\x00\x3e\x02ab\x30", "FS ( E"),
    ("escpos", b"\x1c(Z\x02\x00ab", "FS ("),
    ("escpos", b"\x1b=\x00", "ESC ="),
    ("escpos", b"\x1b=\x02", "ESC ="),
    ("escpos", b"\x1f\x1b\x1f\x91\x00IP\xc0\xa8\x01\x7b", "ESC US"),
    ("escpos", b"\x1b##SLAN\x01", "ESC # #"),
    ("escpos", b"\x1bp\x00\x32\xfa", "ESC p"),
    ("escpos", b"\x10\x14\x01\x00\x01", "DLE DC4 1"),
    ("escpos", b"\x10\x14\x02\x01\x08", "DLE DC4 2"),
    ("escpos", b'! U1 setvar "ip.addr" "1.2.3.4"\r\n', "! U1 setvar"),
    ("escpos", b'{}{"ip.addr":"1.2.3.4"}', "{}{"),
    ("star", b"\x1b%-12345X", "UEL"),
    ("star", b"\x1b\x1cq\x01\x01\x00\x01\x00" + bytes(8), "ESC FS q"),
    ("star", b"\x1b#W00000\n\x00", "ESC #"),
    ("star", b"\x1b\x1d#W00000\n\x00", "ESC GS #"),
    ("star", b"\x1b\x1d)B\x02\x00ab", "ESC GS )"),
    ("star", b"\x1b?\n\x00", "ESC ? LF NUL"),
    ("star", b"\x1b\x06\x18", "ESC ACK CAN"),
    ("star", b"\x1b\x07\x14\x14\x07", "ESC BEL BEL"),
    ("star", b"a\x07b", "BEL"),
    ("star", b"a\x1cb", "FS"),
    ("star", b"a\x1ab", "SUB"),
    ("star", b"a\x19b", "EM"),
    ("star", b'! U1 do "device.reset" ""\r\n', "! U1 do"),
    ("tspl", b"\x1b%-12345X", "UEL"),
    ("tspl", b'DOWNLOAD "AUTO.BAS"\r\nCLS\r\nEOP\r\n', "DOWNLOAD EOP"),
    ("tspl", b'DOWNLOAD F,"A.PCX",3,abc', "DOWNLOAD"),
    ("tspl", b'KILL "*.*"\r\n', "KILL"),
    ("tspl", b"MOVE\r\n", "MOVE"),
    ("tspl", b'COPY F,"A","B"\r\n', "COPY"),
    ("tspl", b'RUN "A.BAS"\r\n', "RUN"),
    ("tspl", b"FORMAT\r\n", "FORMAT"),
    ("tspl", b"INITIALPRINTER\r\n", "INITIALPRINTER"),
    ("tspl", b"SET COM1 96,N,8,1\r\n", "SET COM1"),
    ("tspl", b"SET PRINTKEY ON\r\n", "SET PRINTKEY"),
    ("tspl", b"SET REPRINT ON\r\n", "SET REPRINT"),
    ("tspl", b"SET HEAD OFF\r\n", "SET HEAD"),
    ("tspl", b"SET ENCODER ON\r\n", "SET ENCODER"),
    ("tspl", b"SET USBHOST ON\r\n", "SET USBHOST"),
    ("tspl", b"SET KEY1 OFF\r\n", "SET KEY"),
    ("tspl", b"SET LED1 OFF\r\n", "SET LED"),
    ("tspl", b"SET GAP 1\r\n", "SET GAP"),
    ("tspl", b"SET AUTORUN ON\r\n", "SET AUTORUN"),
    ("tspl", b'NET IP "1.2.3.4","255.0.0.0","1.2.3.1"\r\n', "NET"),
    ("tspl", b'WLAN SSID "a"\r\n', "WLAN"),
    ("tspl", b'BT NAME "a"\r\n', "BT"),
    ("tspl", b"WIFI ON\r\n", "WIFI"),
    ("tspl", b"~!D\r\n", "~!D"),
    ("tspl", b"\x1b!R", "ESC ! R"),
    ("tspl", b"\x1b!C", "ESC ! C"),
    ("tspl", b"\x1b!Q", "ESC ! Q"),
    ("zpl", b"\x1b%-12345X", "UEL"),
    ("zpl", b"~DYE:A.TTF,B,T,4,,abcd", "~DY"),
    ("zpl", b"~DYE:A.PNG,P,P,4,,00112233", "~DY"),
    ("zpl", b"~DGE:A.GRF,8,1,00", "~DG"),
    *(("zpl", b"~%bE:A.X,8,1,00" % each, "~" + each.decode()) for each in (b"DB", b"DE", b"DS", b"DT", b"DU")),
    ("zpl", b"^XA^DFE:A.ZPL^FS^XZ", "^DF"),
    ("zpl", b"^XA^ISE:A.GRF^XZ", "^IS"),
    ("zpl", b"^XA^IDE:*.*^FS^XZ", "^ID"),
    ("zpl", b"^XA^TOR:A.GRF,E:B.GRF^XZ", "^TO"),
    ("zpl", b"^XA^JUF^XZ", "^JU"),
    *(
        ("zpl", b"^XA^%b^XZ" % each, "^" + each.decode())
        for each in b"""JB CM JI SZ KP KN KD KL KV SX SQ SC SR SS SI ST MP MA MI MF MW JH JJ JT JW JZ ZZ RO
        NB NC ND NI NN NP NR NS NT NW WA WE WI WL WP WR WS WX""".split()
    ),
    *(
        ("zpl", b"~" + each, "~" + each.decode())
        for each in b"JB JI JQ JF JR JD KB RO NB NC ND NI NN NP NR NS NT NW WA WE WI WL WP WR WS WX".split()
    ),
    ("zpl", b"^CC+", "^CC"),
    ("zpl", b"~CT!", "~CT"),
    ("zpl", b"^CD;", "^CD"),
    ("zpl", b'! UTILITIES\r\nSETVAR "a" "b"\r\nPRINT\r\n', "! UTILITIES"),
    ("zpl", b"! CISDFCRC16\r\n0000\r\nE:A\r\n", "! CISDFCRC16"),
    ("zpl", b"! PROGRAM\r\n", "! PROGRAM"),
    (None, b"\x1b%-12345X@PJL DEFAULT A=B\r\n", "UEL @PJL"),
    (None, b"~DYE:A,B,T,4,,abcd", "~DY"),
    (None, b"^XA^IDE:*.*^XZ", "^ID"),
    (None, b"^XA^DFE:A^XZ", "^DF"),
    (None, b'DOWNLOAD F,"A",3,abc', "DOWNLOAD"),
    (None, b'KILL "*.*"\r\n', "KILL"),
    (None, b"\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("unheard-of", b"\x1b%-12345X", "UEL"),
]

# Evasions: spelling, white space, prefixes, and lengths that a printer does not believe.
HIDDEN = [
    ("tspl", b'kill "*.*"', "KILL"),
    ("tspl", b'  \tK I\x00LL "*.*"', "KILL"),
    ("tspl", b'CLS\rKILL "*.*"\r', "KILL"),
    ("tspl", b'CLS\nKILL "*.*"\n', "KILL"),
    ("tspl", BITMAP + bytes(20) + b'KILL "*.*"', "KILL"),
    ("tspl", BITMAP + b"KILL EOP\r\nKILL EOP\r\n" + b'KILL "*.*"', "KILL"),
    ("tspl", b"bitmap 0,0, 4 ,5,0," + bytes(20) + b'KILL "*.*"', "KILL"),
    ("tspl", b'BITMAP 0,0,9999,99999,0,\r\nKILL "*.*"', "KILL"),
    ("tspl", b'BITMAP 0,0,W,H,0,\r\nKILL "*.*"', "KILL"),
    ("tspl", b'BITMAP 0,0,99,99,7,\r\nKILL "*.*"', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a" BITMAP 0,0,99,99,0,\r\nKILL "*.*"', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"\r\nBITMAP 0,0,99,99,0,\r\nKILL "*.*"', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a\\["]\r\nx" KILL "b"', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a\\["]b"\r\nKILL "b"\r\n', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a\\"\r\nKILL "b"\r\n', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a\r\nx" KILL "b"', "KILL"),
    ("tspl", b'TEXT 0,0,"3",0,1,1,"a\x1b!Rb"', "ESC ! R"),
    ("tspl", b"IF 1=1 THEN MOVE", "MOVE"),
    ("tspl", BITMAP + b"A" * 20 + b'KILL "*.*"', "KILL"),
    ("tspl", BITMAP + b"A" * 20 + BITMAP + b"A" * 20 + b'KILL "*.*"', "KILL"),
    ("tspl", BITMAP + b"KILL " * 4 + b'PRINT 1\r\nKILL "*.*"', "KILL"),
    ("escpos", b"\x1dv0\x09\xff\xff\xff\xff\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1b*\x09\xff\xff\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1dk\x04A\x1d(E\x03\x00\x01IN\x00", "GS ( E"),
    ("escpos", b"\x1dkI\xffxx\x1d(E\x03\x00\x01IN" + bytes(260), "GS ( E"),
    ("escpos", b"\x1dk\x20\xff\x1d(E\x03\x00\x01IN" + bytes(260), "GS ( E"),
    ("escpos", b"\x1d(K\xff\xff\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1d8L\xff\xff\xff\x7f99\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1bB\x1b*\x21\xff\x00\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1bD\x09\x01\x1d(E\x03\x00\x01IN\x00", "GS ( E"),
    ("escpos", b"\x1b&\x09\xff\xff\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", b"\x1d*\xff\xff\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("escpos", RASTER + b"\x10\x14\x01\x00\x01" + bytes(11), "DLE DC4 1"),
    ("escpos", RASTER + bytes(16) + b"\x1cq\x01", "FS q"),
    ("escpos", b"a\x1b\x1cq\x01", "FS q"),
    ("escpos", b"\x1d(k\xff\xff1P0\x1d(E\x03\x00\x01IN", "GS ( E"),
    ("zpl", b"^xa^jUf^xz", "^JU"),
    ("zpl", b"^\r\nJ\r\nU F", "^JU"),
    ("zpl", b"^XA^FDtext ~JR text^FS^XZ", "~JR"),
    ("zpl", b"^XA^FX a comment ~JR^XZ", "~JR"),
    ("zpl", b"^CC+ +JUF", "^CC ^JU"),
    ("zpl", b"~CT! !JR", "~CT ~JR"),
    ("zpl", b"^CD; ^XA^GFB;4;4;1;~JR~^XZ~JR", "^CD ~JR"),
    ("zpl", b"^CC++CC^^JUF", "^CC ^JU"),
    ("zpl", GFB + bytes(16) + b"^JUF", "^JU"),
    ("zpl", b"^GFB,16,16,4,~JR", "~JR"),
    ("zpl", b"^XA^GFB,16,999,4,~JR", "~JR"),
    ("zpl", b"^XA^XZ^GFB,16,16,4,~JR", "~JR"),
    ("zpl", b"~DY E:A,B,T,4,,~JR~~JD", "~DY ~JD"),
    ("zpl", b"~DYR:A,B,T,4,,~JR~~JD", "~JD"),
    ("star", ROWS + b"b\x02\x00\x07\x07\x1b*rB\x07", "BEL"),
    ("star", b"\x1bB\x01\x02\x00\x07", "BEL"),
    ("star", b"\x1b\x1dS\x01\x01\x00\x01\x00\x00\x07\x07", "BEL"),
]

CLEAN = [
    ("tspl", b'CLS\r\nTEXT 9,9,"3",0,1,1,"5\\["] screen: net weight, move, format, kill"\r\nPRINT 1\r\n'),
    ("escpos", b"\x1b@\x1ba\x01\x1b!\x30Title\n\x1bE\x01bold\x1bE\x00\x1bd\x03\x1dVB\x00"),
    ("escpos", RASTER + b"\x1cq\x01\x1d(E\x03\x00\x01IN\x1bp\x00"[:16].ljust(16, b"\0")),
    ("escpos", BITS + b"\x1cq\x01\x1bp\x00\x1d(M\x02\x00\x01\x01\x01\x01\x01"),
    ("escpos", QR + b"\x1cq\x01\x1bp\x00\x1d(M\x02\x00\x01\x01\x01\x01\x01\x01"),
    ("escpos", b"\x1dkI\x06{A\x1cq\x01\x01"),
    ("escpos", b"\x1dkI\x0a{BABC-1234"),
    ("escpos", b"\x1dk\x04ABC\x00\x1dk\x02123456789012\x00"),
    ("escpos", b"\x1d(L\x12\x000p0\x01\x011\x08\x00\x08\x00\x1cq\x01\x1bp\x00\x01\x02\x1d(L\x02\x0002"),
    ("escpos", b"\x1d8L\x12\x00\x00\x000p0\x01\x011\x08\x00\x08\x00\x1cq\x01\x1bp\x00\x01\x02"),
    ("escpos", b"\x1b$\x1cq\x1b\\\x1cq\x1dL\x1cq\x1dW\x1cq"),
    ("escpos", b"\x1bD\x08\x10\x1b\x1c\x00a\tb"),
    ("escpos", b"\x1d(D\x03\x00\x14\x01\x00\x1d(K\x02\x00\x32\x01\x1d(H\x06\x0000abcd\x1c(A\x02\x0001"),
    ("escpos", b"\x1d(E\x02\x00\x04\x01\x1d(C\x05\x00\x002ab\x1d(L\x02\x0000\x1cg2\x00\x00\x00\x00\x00\x01\x00"),
    ("escpos", b"\x1cp\x01\x00\x1b=\x01\x1b(A\x04\x0001\x01\x01\x1bB\x03\x02"),
    ("escpos", b"\x10\x04\x01\x10\x05\x01\x1bt\x13\x1bR\x00\x1dh\x50\x1dw\x02\x1dH\x02\x1df\x00"),
    ("escpos", b"Mail to anna@PJLaw.org! U2 plays. {a}{b} KILL ~JR"),
    ("escpos", b"\x1d/\x00\x1d*\x02\x02" + b"\x1cq" * 16),
    ("escpos", b"\x1b&\x03\x20\x20\x02\x1cq\x1cq\x1cq"),
    ("star", b"\x1b@\x1b\x1da\x01Title\n\x1bE\x1bF\x1ba\x03\x1bd\x03"),
    ("star", ROWS + b"b\x04\x00\x07\x1a\x1c\x19" * 9 + b"k\x01\x00" + b"\x07" * 24 + b"\x1b*rY3\x00\x1b*rB"),
    ("star", b"\x1bK\x04\x00\x07\x1a\x1c\x19\x1bX\x01\x00\x07\x1a\x1c\x1bk\x01\x00" + b"\x07" * 24),
    ("star", b"\x1b\x1dS\x01\x02\x00\x01\x00\x00\x07\x07"),
    ("star", b"\x1b\x1dyS0\x02\x1b\x1dyD1\x00\x02\x00\x07\x07\x1b\x1dyP"),
    ("star", b"\x1bb412\x50abc\x1e\x1b#*\n\x00\x1b\x1d\x03\x01\x00\x00\x1b\x06\x01\x1b\x1ea\x03"),
    ("star", b"\x1b\x1d)U\x02\x000\x01\x1b\x1cp\x01\x00\x1b\x1d\x19\x11\x01\x02\x03\x04"),
    ("tspl", b"SIZE 40 mm,30 mm\r\nGAP 2 mm,0\r\nDENSITY 8\r\nSPEED 4\r\nDIRECTION 1\r\nCLS\r\nPRINT 1\r\n"),
    ("tspl", b"CLS\r\n" + BITMAP + b'\nKILL "*.*"\r\nEOP\r\nMOV' + b"PRINT 1\r\n"),
    *(
        ("tspl", b"CLS\r\nPRINT 1\r\n" + end)
        for end in (b"PRINT 1", b"CLS", b"EOJ", b"SET TEAR ON", b"FEED 10 ", b'TEXT 0,0,"3",0,1,1,"KI"', b'""', b"HOME")
    ),
    ("escpos", RASTER + bytes(15) + b"\x1b"),
    ("escpos", RASTER + bytes(15) + b"\x10"),
    ("star", b"\x1bK\x04\x00abc\x1b"),
    ("tspl", b"CLS\r\n" + BITMAP + bytes(19) + b"\x1b"),
    ("zpl", GFB + bytes(15) + b"\x1b"),
    ("tspl", b"CLS\r\n" + BITMAP + b'\n"KILL "*.*"\r\nEOP BI'),  # ends with the image
    ("tspl", b'TEXT 10,10,"3",0,1,1,"KILL MOVE DOWNLOAD EOP SET COM1 FORMAT"\r\n'),
    ("tspl", b'TEXT 10,10,"3",0,1,1,"BITMAP 0,0,4,5,0,"\r\nPRINT 1\r\n'),
    (
        "tspl",
        b"SET TEAR ON\r\nSET PEEL OFF\r\nSET CUTTER 1\r\nSET RIBBON ON\r\nSET RESPONSE ON\r\nSET COUNTER @0 1\r\n",
    ),
    ("tspl", b"\x1b!?\x1b!S~!T\r\n\x1b!O\x1b!.SOUND 1,2\r\nGAPDETECT\r\nREMOVE=1\r\nKILLS=2\r\n"),
    ("zpl", b"^XA^PW400^LL300^PR4^MD5~SD15^CI28^FO20,20^A0N,30,30^FDHello^FS^PQ2^XZ"),
    ("zpl", b"CT~~CD,~CC^~CT~^XA~TA000~JSN^LT0^MNW^MTT^PON^PMN^LH0,0^JMA^PR5,5~SD15^JUS^LRN^CI0^XZ"),
    ("zpl", b"~DGR:A.GRF,8,1,0011223344556677^XA^FO0,0^XGR:A.GRF,1,1^FS^XZ^XA^IDR:A.GRF^FS^XZ"),
    ("zpl", b"~DGA.GRF,8,1,00^XA^DFR:F.ZPL^FS^XZ^XA^XFR:F.ZPL^FS^XZ"),
    ("zpl", GFB + b"~JR^JUF^KP1234^^~" + b"^FS^XZ"),
    ("zpl", b"^XA^GFC,7,16,4,~JR^KP1^FS^XZ"),
    ("zpl", b"^XA^GFA,8,8,1,00FF00FF00FF00FF^FS^XZ^XA^BY2^BCN,60,Y^FD123^FS^XZ"),
    ("zpl", b'! U1 getvar "device.languages"\r\n{}{"device.host_status":null}~HS\r\n~HI~JA~JX~PS~JC'),
    ("zpl", b"^XA^RFW,H^FD1234^FS^WT^FD1^FS^MMT^MNY^ST"[:-3] + b"^XZ"),
    (None, b"\x1b@Hello\n\x1dV\x00\x1cq\x01\x1bp\x00"),
    (None, b"^XA^FDHello^FS^XZ KILL BILL, DOWNLOAD NOW! U2"),
]


# A job that ends inside a command: its name, and where it begins.
UNFINISHED = [
    ("escpos", RASTER + bytes(15), "GS v 0", 0),
    ("escpos", b"Hi\n" + RASTER + b"\x1cq\x01", "GS v 0", 3),
    ("escpos", b"Hi\n" + RASTER[:5], "GS v 0", 3),
    ("escpos", BITS + bytes(14), "ESC *", 0),
    ("escpos", QR + bytes(15), "GS ( k", 0),
    ("escpos", b"\x1d(k", "GS ( k", 0),
    ("escpos", b"\x1d(", "GS (", 0),
    ("escpos", b"\x1dkI\x0a{BABC-123", "GS k", 0),
    ("escpos", b"\x1dkI", "GS k", 0),
    ("escpos", b"\x1dk\x04ABC", "GS k", 0),
    ("escpos", b"\x1d(L\x12\x000p0\x01\x011\x08\x00\x08\x00" + bytes(7), "GS ( L", 0),
    ("escpos", b"\x1d8L\x12\x00\x00\x000p0\x01\x011\x08\x00\x08\x00" + bytes(7), "GS 8 L", 0),
    ("escpos", b"\x1d8", "GS 8", 0),
    ("escpos", b"\x1d*\x02\x02" + bytes(31), "GS *", 0),
    ("escpos", b"\x1bD\x08\x10", "ESC D", 0),
    ("escpos", b"\x1b&\x03\x20\x21\x01abc", "ESC &", 0),
    ("escpos", b"\x1cq\x02\x01\x00\x01\x00" + bytes(8), "FS q", 0),
    ("escpos", b"\x1dD0S0\x20\x20\x01\x01BM", "GS D", 0),
    ("escpos", b"a\x1b", "ESC", 1),
    ("escpos", b"a\x1b!", "ESC !", 1),
    ("escpos", b"a\x1d", "GS", 1),
    ("escpos", b"a\x1dV", "GS V", 1),
    ("escpos", b"a\x1dVA", "GS V", 1),
    ("escpos", b"a\x1bW" + bytes(7), "ESC W", 1),
    ("escpos", b"a\x1b\x99", "ESC 99", 1),
    ("escpos", b"a\x10", "DLE", 1),
    ("escpos", b"a\x10\x04", "DLE EOT", 1),
    ("escpos", b"a\x10\x14\x01\x00", "DLE DC4", 1),
    ("escpos", b"a\x1b%-12345", "UEL", 1),
    ("escpos", b"\x1dv0\x00\x01\x00\x00\x0a" + bytes(2549), "GS v 0", 0),
    ("star", ROWS + b"b\x04\x00\x07\x1a\x1c", "ESC * r A", 4),
    ("star", ROWS + b"b\x04\x00\x07\x1a\x1c\x19", "ESC * r A", 4),  # the next job's text would be rows
    ("star", b"\x1b*r", "ESC * r", 0),
    ("star", b"\x1b*rY3", "ESC * r Y", 0),
    ("star", b"\x1b*", "ESC *", 0),
    ("star", b"a\x1b", "ESC", 1),
    ("star", b"\x1b\x1d", "ESC GS", 0),
    ("star", b"\x1bK\x04\x00abc", "ESC K", 0),
    ("star", b"\x1bX\x01\x00ab", "ESC X", 0),
    ("star", b"\x1bk\x01\x00" + bytes(23), "ESC k", 0),
    ("star", b"\x1b\x1dS\x01\x02\x00\x01\x00\x00a", "ESC GS S", 0),
    ("star", b"\x1b\x1dyD1\x00\x02\x00a", "ESC GS y", 0),
    ("star", b"\x1b\x1dyS", "ESC GS y", 0),
    ("star", b"\x1bb412\x50abc", "ESC b", 0),
    ("star", b"\x1bB\x01\x02", "ESC B", 0),
    ("star", b"\x1b\x1cq\x01\x01\x00\x01\x00" + bytes(7), "ESC FS q", 0),
    ("tspl", b"CLS\r\n" + BITMAP + bytes(19), "BITMAP", 5),
    ("tspl", b"CLS\r\n" + BITMAP, "BITMAP", 5),
    ("tspl", b"CLS\r\n" + BITMAP[:-1], "BITMAP", 5),
    ("tspl", b"CLS\r\nBIT", "BITMAP", 5),
    ("tspl", b"CLS\r\n" + BITMAP + bytes(20) + b" \tk I", "KILL", 44),
    ("tspl", b"CLS\r\nKI", "KILL", 5),
    ("tspl", b"CLS\r\nSET", "SET COM1", 5),
    ("tspl", b"CLS\r\nCOPY F", "COPY", 5),
    ("tspl", b'CLS\r\nTEXT 0,0,"3",0,1,1,"a', '"', 24),
    ("tspl", b"CLS\r\n\x1b", "ESC !", 5),
    ("tspl", b"CLS\r\n~!", "~!D", 5),
    ("zpl", GFB + bytes(15), "^GFB", 9),
    ("zpl", GFB + b"~JR", "^GFB", 9),
    ("zpl", GFB[:-1], "^GF", 9),
    ("zpl", b"^XA^GF", "^GF", 3),
    ("zpl", b"^XA^GFC,7,16,4,abc", "^GFC", 3),
    ("zpl", b"~DYR:A,B,T,4,,abc", "~DY", 0),
    ("zpl", b"~DYR:A,B,T,4", "~DY", 0),
    ("zpl", b"^XA^ID", "^ID", 3),
    ("zpl", b"^XA^", "^", 3),
    ("zpl", b"^XA^J", "^J", 3),
    ("zpl", b"^XA^XZ~", "~", 6),
    ("zpl", b"^XA^XZ!", "!", 6),
    ("zpl", b"^XA^XZ\x1b", "ESC", 6),
    ("zpl", b"^XA^XZ! U1 se", "! U1 setvar", 6),
    (None, b"abc@PJ", "@PJL", 3),
    (None, b"abc\x1b%-1", "UEL", 3),
]


@pytest.mark.parametrize(("dialect", "job", "name", "offset"), UNFINISHED)
def test_a_job_that_ends_inside_a_command_is_unfinished(dialect, job, name, offset):
    found = [each for each in rawprint.notable_commands(job, dialect) if each.kind == "unfinished"]
    assert found == ([(offset, name, "unfinished")] if name else [])


CUT = [(dialect, job) for dialect, job, _ in CAUGHT if dialect] + [(dialect, job) for dialect, job in CLEAN if dialect]


@pytest.mark.parametrize(("dialect", "job"), [each for each in CUT if each[0] in LANGUAGES])
def test_nothing_hides_in_two_jobs(dialect, job):
    """Wherever a job is cut in two, its second half alone is read as it is in the whole, or its first half is unfinished."""
    for cut in range(1, len(job)):
        first, second = list(rawprint.notable_commands(job[:cut], dialect)), job[cut:]
        # Honest texts end with such a character; who has it before `! U1` sends three jobs for one.
        if first or job[:cut].rstrip(b" ").endswith((b"!", b"{")):
            continue
        alone = [each._replace(offset=each.offset + cut) for each in rawprint.notable_commands(second, dialect)]
        assert set(rawprint.notable_commands(job, dialect)) <= set(alone), cut


@pytest.mark.parametrize("dialect", LANGUAGES)
def test_an_image_and_a_hidden_command_in_two_jobs(dialect):
    head, hidden = {
        "escpos": (RASTER, b"\x1b*\x21\x0a\x00" + b"\x1d(E\x03\x00\x01IN".ljust(30, b"\0")),
        "star": (b"\x1bK\x10\x00", b"\x1bK\x10\x00" + b"\x1b?\n\x00".ljust(16, b"\0")),
        "tspl": (b"CLS\r\nBITMAP 0,0,1,30,0,", b'CLS\r\nBITMAP 0,0,1,30,0,\r\nKILL "*.*"'.ljust(52, b"\0") + b"\r\n"),
        "zpl": (GFB, b"^XA^GFB,16,16,4,~JR".ljust(32, b"\0") + b"^XZ"),
    }[dialect]
    assert names(hidden, dialect) == []  # it is data there
    assert [each.kind for each in rawprint.notable_commands(head, dialect)] == ["unfinished"]


def test_an_image_that_opens_a_tspl_job_may_be_joined_to_an_open_line():
    assert names(b"CLS\r\nPRINT 1", "tspl") == []
    assert names(BITMAP + b'\r\nKILL "*.*"'.ljust(20), "tspl") == ["KILL"]
    assert names(b"\r\n" + BITMAP + b'\r\nKILL "*.*"'.ljust(20), "tspl") == []


@given(st.lists(st.sampled_from(CUT), max_size=4), st.integers(0, 40), st.sampled_from(["escpos", "star"]))
def test_one_go_says_clean_only_where_all_ways_do(pieces, cut, dialect):
    job = b"".join(job for _, job in pieces)
    job = job[: max(0, len(job) - cut)]
    language = LANGUAGES[dialect]
    if language._clean(job):
        assert list(language._tokens(job, ())) == []


@pytest.mark.parametrize(("dialect", "job", "found"), CAUGHT + HIDDEN)
def test_a_command_is_found(dialect, job, found):
    assert " ".join(each.name for each in whole(job, dialect)).startswith(found)


@pytest.mark.parametrize(("dialect", "job"), CLEAN)
def test_printing_is_not(dialect, job):
    assert names(job, dialect) == []


@pytest.mark.parametrize(("dialect", "job", "found"), [each for each in CAUGHT + HIDDEN if each[0] in LANGUAGES])
def test_in_the_middle_of_a_job_too(dialect, job, found):
    """Behind the language's own test print, and where the caller has a view of the bytes."""
    before = DIALECTS[dialect].test_print
    commands = whole(memoryview(before + job), dialect)
    assert commands[0].offset >= len(before)
    assert " ".join(each.name for each in commands).startswith(found)


def tables():
    return {"escpos": escpos.ROWS + escpos.HEARD, "star": star.ROWS, "tspl": tspl.ROWS, "zpl": zpl.ROWS}


@pytest.mark.parametrize("dialect", tables())
def test_every_row_is_needed(dialect):
    """Each row has a job in CAUGHT that it alone names: without the row, that job's test fails."""
    shown = [f" {found} " for each, _, found in CAUGHT if each == dialect]
    assert not [row.name for row in tables()[dialect] if not any(f" {row.name} " in found for found in shown)]
    assert all(row.kind in KINDS and row.source for row in tables()[dialect])


@pytest.mark.parametrize("module", [escpos, star])
def test_a_row_that_is_missing_is_missed(module):
    dialect = module.__name__.rpartition(".")[2]
    jobs = [job for each, job, _ in CAUGHT if each == dialect]
    heard = getattr(module, "HEARD", ())
    for row in (*module.ROWS, *heard):
        rest, real_time = (tuple(each for each in rows if each is not row) for rows in (module.ROWS, heard))
        mutant = ControlLanguage.of(rest, module._LEADS, module._measure, real_time)
        assert any(list(mutant.notable(job, ())) != list(module.LANGUAGE.notable(job, ())) for job in jobs), (
            f"no job misses {row.name}"
        )


@pytest.mark.parametrize("module", [tspl, zpl])
def test_so_is_one_of_a_language_of_words(module, monkeypatch):
    dialect = module.__name__.rpartition(".")[2]
    jobs = [job for each, job, _ in CAUGHT if each == dialect]
    whole = [names(job, dialect) for job in jobs]
    for row in module.ROWS:
        with monkeypatch.context() as patch:
            for name in ("WORDS", "_OTHERS", "_ORDER"):
                if hasattr(module, name):
                    patch.setattr(module, name, tuple(each for each in getattr(module, name) if each is not row))
            if module is zpl:
                patch.setattr(zpl, "_OF", {p: tuple(r for r in zpl._OF[p] if r is not row) for p in "^~"})
            module._expression.cache_clear()
            assert [names(job, dialect) for job in jobs] != whole, f"no job misses {row.name}"
        module._expression.cache_clear()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_the_library_sends_itself_is_clean(dialect):
    language = DIALECTS[dialect]
    for job in (language.test_print, language.copy_mark, language.resync, language.cancel, language.push_on):
        assert names(job, dialect) == []
    for job in (*language.calibrate.values(), *(query.request for query in (*language.queries, *language.identity))):
        assert names(job, dialect) == []
    for job in (*language.drawer.values(), *language.drawer_real_time.values()):
        kinds = {command.kind for command in rawprint.notable_commands(language.copy_mark + job, dialect)}
        assert kinds == {"drawer"}


@pytest.mark.parametrize("path", [*(ROOT / "tests" / "samples").iterdir(), *(ROOT / "examples").glob("*.prn")], ids=str)
def test_samples_are_clean(path):
    dialect = next((name for name in DIALECTS if path.name.startswith(name)), "tspl" if path.suffix == ".prn" else None)
    if dialect:
        assert names(path.read_bytes(), dialect) == []


@given(st.binary(max_size=400), st.sampled_from([*LANGUAGES, None]))
def test_it_never_raises_and_is_in_order(job, dialect):
    offsets = [command.offset for command in rawprint.notable_commands(job, dialect)]
    assert offsets == sorted(offsets)
    assert all(0 <= offset < len(job) for offset in offsets)


PIECES = st.sampled_from(
    [job for _, job, _ in CAUGHT + HIDDEN] + [job for _, job in CLEAN] + [b"\x1b", b"^", b"~", b'"', b"\r\n"]
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.sampled_from([*LANGUAGES, None]))
def test_nor_with_parts_of_commands(job, dialect):
    offsets = [command.offset for command in rawprint.notable_commands(job[: len(job) - len(job) // 7], dialect)]
    assert offsets == sorted(offsets)


@pytest.mark.parametrize(
    "piece", [b"\x1b\x01", b"\x1b", b"\x1dv0\x09\xff\xff\xff\xff", b"\x1cq\xff", b"\x1dk\x04", b"\x1b&\x03\x20\x7e"]
)
def test_every_place_is_visited_once(piece):
    """Time is linear: as many commands are measured as the job has leads, and no more."""
    seen = []

    def measure():
        def end(job, at):
            seen.append(at)
            return escpos._end(job, at)

        return end

    job = piece * 3000 + b"\x1cq\x01"
    list(ControlLanguage.of(escpos.ROWS, escpos._LEADS, measure)._tokens(job, ()))
    assert len(seen) == len(set(seen)) <= sum(job.count(lead) for lead in (b"\x1b", b"\x1c", b"\x1d"))


def test_a_job_that_can_be_read_in_too_many_ways_is_everything():
    commands = list(rawprint.notable_commands(b"\x1b\x01\x1b" * 9000 + b"\x1cq\x01", "escpos"))
    assert {command.kind for command in commands} == set(KINDS)


def test_so_is_one_that_changes_prefixes_without_end():
    job = b"^CC\x80" + b"".join(b"%cCC%c" % (0x80 + i, 0x81 + i) for i in range(40))
    assert {command.kind for command in rawprint.notable_commands(job, "zpl")} == set(KINDS)


def test_it_is_lazy():
    assert next(rawprint.notable_commands(b"\x1cq" * 100_000, "escpos")) == (0, "FS q", "storage")


# -- long receipts that are one image ---------------------------------------------------------------------------------


def _noise(size, seed):
    return random.Random(seed).randbytes(size)


def _images(width, rows, seed):
    """A job of nothing but noise in each form of an image, as drivers send it: width in bytes."""
    data = _noise(width * rows, seed)
    low, high = width.to_bytes(2, "little"), rows.to_bytes(2, "little")
    dots = (8 * width).to_bytes(2, "little")
    stored = (len(data) + 10).to_bytes(4, "little") + b"\x30\x70\x30\x01\x01\x31" + dots + high + data
    column = (8 * width).to_bytes(2, "little")
    strips = [
        b"\x1b*\x21" + column + data[at : at + 24 * width] + b"\n"
        for at in range(0, len(data) - 24 * width, 24 * width)
    ]
    yield "escpos", b"\x1b@\x1dv0\0" + low + high + data + b"\n\x1dVB\0"
    yield "escpos", b"\x1b@\x1d8L" + stored + b"\x1d(L\x02\0\x30\x32\n\x1dVB\0"
    yield "escpos", b"\x1b@" + b"".join(strips) + b"\x1dVB\0"
    yield "tspl", b"SIZE 72 mm,99 mm\r\nCLS\r\nBITMAP 0,0,%d,%d,0," % (width, rows) + data + b"\r\nPRINT 1\r\n"
    yield "zpl", b"^XA^FO0,0^GFB,%d,%d,%d," % (len(data), len(data), width) + data + b"^FS^XZ"
    lines = [b"b" + low + data[at : at + width] for at in range(0, len(data), width)]
    yield "star", b"\x1b@\x1b*rA" + b"".join(lines) + b"\x1b*rB"
    yield "star", b"\x1b@\x1b\x1dS\x01" + low + high + b"\0" + data + b"\n\x1bd\x03"


@pytest.mark.parametrize("rows", [200, 2303, 2304, 5000])
def test_an_image_is_not_questioned_for_its_height(rows):
    """It must print: a till's receipt may be one image of a metre."""
    for seed in range(5):
        for dialect, job in _images(72, rows, seed):
            assert list(rawprint.notable_commands(job, dialect)) == [], (dialect, job[:12], seed)

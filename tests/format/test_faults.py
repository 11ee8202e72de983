"""One case for every rule of a file, and the error that names it."""

from typing import NamedTuple

import pytest
from raw_files import (
    ALPH,
    CLEAR,
    DONE,
    HEAD,
    LAYR,
    NOTE,
    PIXL,
    RESI,
    SIGN,
    TILE,
    WHOLE,
    chunk,
    head,
)

from aecodec.errors import (
    AecError,
    ChecksumError,
    HeaderError,
    LimitError,
    SignatureError,
    TruncatedError,
    UnsupportedError,
)
from aecodec.format.container import parse


class Fault(NamedTuple):
    """Bytes that break one rule, and what must be said about them."""

    name: str
    data: bytes
    error: type[AecError]
    message: str


PIXELS_2_62 = f"{2**31 - 1} x {2**31 - 1} = {(2**31 - 1) ** 2} pixels, the limit is 178956970"
FAULTS = [
    Fault("empty", b"", TruncatedError, "signature needs 8 bytes, 0 left"),
    Fault("signature cut", SIGN[:7], TruncatedError, "signature needs 8 bytes, 7 left"),
    Fault("png", b"\x89PNG\r\n\x1a\n", SignatureError, "begins with 89 50 4e 47"),
    Fault("short and foreign", b"GIF", SignatureError, "begins with 47 49 46"),
    Fault("seventh bit lost", b"\x09" + WHOLE[1:], SignatureError, "09 41"),
    Fault("line end to LF", WHOLE.replace(b"\r\n", b"\n"), SignatureError, "01 0a"),
    Fault("line end to CR LF", WHOLE.replace(b"\n", b"\r\n"), SignatureError, "01 0d 0d 0a"),
    Fault("version 0", b"\x89AEC\x00\r\n\x1a", HeaderError, "version 0"),
    Fault("version 2", b"\x89AEC\x02\r\n\x1a", UnsupportedError, "version 2, .* up to 1"),
    Fault("nothing else", SIGN, TruncatedError, "chunk at byte 8 needs 8 bytes, 0 left"),
    Fault("length cut", SIGN + HEAD[:3], TruncatedError, "8 bytes, 3 left"),
    Fault("type cut", SIGN + HEAD[:7], TruncatedError, "8 bytes, 7 left"),
    Fault("length 2**31", SIGN + b"\0\0\0\x80HEAD", HeaderError, "is 2147483648, .* 2147483647$"),
    Fault(
        "length 2**31 - 1", SIGN + b"\xff\xff\xff\x7fnote", TruncatedError, "2147483651 bytes, 0"
    ),
    Fault("digit in type", SIGN + b"\0\0\0\0HE4D", HeaderError, "b'HE4D' .* byte 8"),
    Fault("high bit in type", SIGN + b"\0\0\0\0HE\xc1D", HeaderError, r"\\xc1"),
    Fault("payload cut", SIGN + HEAD[:15], TruncatedError, "HEAD chunk needs 20 bytes, 7 left"),
    Fault("crc cut", SIGN + HEAD[:-1], TruncatedError, "HEAD chunk needs 20 bytes, 19 left"),
    Fault("crc wrong", SIGN + HEAD[:-4] + b"\0\0\0\0", ChecksumError, "HEAD chunk .* 00000000"),
    Fault("crc and width", SIGN + head(0)[:-4] + b"\0\0\0\0", ChecksumError, "HEAD chunk"),
    Fault("TILE first", SIGN + TILE, HeaderError, "not HEAD but b'TILE'"),
    Fault("optional first", SIGN + NOTE + HEAD, HeaderError, "not HEAD but b'note'"),
    Fault("DONE only", SIGN + DONE, HeaderError, "not HEAD but b'DONE'"),
    Fault("two HEADs", SIGN + HEAD + HEAD, HeaderError, "second HEAD chunk at byte 36"),
    Fault("HEAD after TILE", SIGN + HEAD + TILE + HEAD, HeaderError, "second HEAD .* byte 56"),
    Fault("HEAD of 15", SIGN + chunk(b"HEAD", b"\0" * 15), HeaderError, "HEAD .* 15, .* allows 16"),
    Fault("HEAD of 17", SIGN + chunk(b"HEAD", b"\0" * 17), HeaderError, "HEAD .* 17, .* allows 16"),
    Fault("width 0", SIGN + head(width=0), HeaderError, "width is 0, .* 1 to 2147483647"),
    Fault("height 0", SIGN + head(height=0), HeaderError, "height is 0"),
    Fault("width 2**32 - 1", SIGN + head(width=2**32 - 1), HeaderError, "width is 4294967295"),
    Fault("height 2**31", SIGN + head(height=2**31), HeaderError, "height is 2147483648"),
    Fault("largest", SIGN + head(2**31 - 1, 2**31 - 1), LimitError, PIXELS_2_62),
    Fault("pixel format 8", SIGN + head(pixel_format=8), UnsupportedError, "pixel format 8"),
    Fault(
        "tile exponent 5", SIGN + head(tile_exponent=5), HeaderError, "exponent is 5, .* 6 to 14"
    ),
    Fault("tile exponent 15", SIGN + head(tile_exponent=15), HeaderError, "exponent is 15"),
    Fault("quality 401", SIGN + head(quality_index=401), HeaderError, "index is 401, .* 0 to 400"),
    Fault("TILE of 0", SIGN + HEAD + chunk(b"TILE"), HeaderError, "TILE 0 has 0 bytes"),
    Fault("TILE of 3", SIGN + HEAD + chunk(b"TILE", b"abc"), HeaderError, "TILE 0 has 3 bytes"),
    Fault("TILE of 6", SIGN + HEAD + chunk(b"TILE", b"abcdef"), HeaderError, "TILE 0 has 6 bytes"),
    Fault("TILE 1 damaged", SIGN + HEAD + TILE + TILE[:-1] + b"!", ChecksumError, "TILE 1"),
    Fault("PIXL of 4", SIGN + HEAD + chunk(b"PIXL", b"abcd"), HeaderError, "PIXL 0 has 4 bytes"),
    Fault(
        "coder 3",
        SIGN + HEAD + TILE + chunk(b"PIXL", b"abcd\3"),
        UnsupportedError,
        "coder 3 of PIXL 1 is unknown",
    ),
    Fault(
        "ALPH of 4",
        SIGN + CLEAR + chunk(b"ALPH", b"abcd") + TILE,
        HeaderError,
        "ALPH 0 has 4 bytes",
    ),
    Fault("ALPH damaged", SIGN + CLEAR + ALPH[:-1] + b"!" + TILE, ChecksumError, "ALPH 0"),
    Fault(
        "ALPH in opaque",
        SIGN + HEAD + ALPH,
        HeaderError,
        "ALPH chunk at byte 36 in a picture without",
    ),
    Fault(
        "ALPH missing", SIGN + CLEAR + TILE, HeaderError, "TILE chunk at byte 36 without an ALPH"
    ),
    Fault(
        "two ALPHs",
        SIGN + CLEAR + ALPH + ALPH,
        HeaderError,
        "ALPH chunk at byte 54 follows an ALPH",
    ),
    Fault(
        "ALPH last",
        SIGN + CLEAR + ALPH + DONE,
        HeaderError,
        "DONE chunk at byte 54 follows an ALPH",
    ),
    Fault("note after ALPH", SIGN + CLEAR + ALPH + NOTE, HeaderError, "note .* follows an ALPH"),
    Fault("note later", SIGN + CLEAR + ALPH + TILE + NOTE, HeaderError, "note .* follows a tile"),
    Fault(
        "critical after ALPH",
        SIGN + CLEAR + ALPH + chunk(b"XtrA"),
        UnsupportedError,
        "XtrA chunk at byte 54",
    ),
    Fault("PIXL damaged", SIGN + HEAD + PIXL[:-1] + b"!", ChecksumError, "PIXL 0"),
    Fault("optional after PIXL", SIGN + HEAD + PIXL + NOTE, HeaderError, "note .* follows"),
    Fault(
        "a PIXL too many", SIGN + HEAD + PIXL * 3 + DONE, HeaderError, "one more tile than the 2"
    ),
    Fault("LAYR of 4", SIGN + HEAD + chunk(b"LAYR", b"tabl"), HeaderError, "is 4, .* allows 5"),
    Fault(
        "late LAYR", SIGN + HEAD + NOTE + LAYR, HeaderError, "LAYR chunk at byte 50 does not follow"
    ),
    Fault(
        "two LAYRs", SIGN + HEAD + LAYR + LAYR, HeaderError, "LAYR chunk at byte 53 does not follow"
    ),
    Fault(
        "RESI alone",
        SIGN + HEAD + TILE * 2 + RESI,
        HeaderError,
        "RESI chunk at byte 76 .* without LAYR",
    ),
    Fault(
        "RESI of 6",
        SIGN + HEAD + LAYR + TILE * 2 + chunk(b"RESI", b"abcdef"),
        HeaderError,
        "RESI chunk has 6 bytes",
    ),
    Fault(
        "RESI missing",
        SIGN + HEAD + LAYR + TILE * 2 + RESI + DONE,
        HeaderError,
        "1 residuals up to the DONE .* 2 learned tiles",
    ),
    Fault(
        "tile after RESI",
        SIGN + HEAD + LAYR + TILE * 2 + RESI + TILE,
        HeaderError,
        "TILE chunk at byte 113 begins one more tile",
    ),
    Fault(
        "LAYR in 16 bits",
        SIGN + head(64, pixel_format=2) + LAYR + TILE + RESI + DONE,
        HeaderError,
        "LAYR chunk .* in a 16-bit picture",
    ),
    Fault(
        "a RESI too early",
        SIGN + HEAD + LAYR + TILE + RESI,
        HeaderError,
        "RESI chunk at byte 73 follows 1 tiles, the header asks 2",
    ),
    Fault(
        "a RESI too many",
        SIGN + HEAD + LAYR + TILE + PIXL + RESI * 2,
        HeaderError,
        "2 residuals up to the RESI .* 1 learned tiles",
    ),
    Fault(
        "RESI after ALPH",
        SIGN + head(64, pixel_format=4) + LAYR + ALPH + RESI,
        HeaderError,
        "RESI chunk .* follows an ALPH",
    ),
    Fault("no tiles", SIGN + HEAD + DONE, HeaderError, "follows 0 tiles, the header asks 2"),
    Fault(
        "a tile missing",
        SIGN + HEAD + TILE + DONE,
        HeaderError,
        "follows 1 tiles, the header asks 2",
    ),
    Fault(
        "a tile too many", SIGN + HEAD + TILE * 3 + DONE, HeaderError, "one more tile than the 2"
    ),
    Fault("optional late", SIGN + HEAD + TILE + NOTE, HeaderError, "note chunk at byte 56 follows"),
    Fault("critical", SIGN + HEAD + chunk(b"XtrA"), UnsupportedError, "XtrA chunk at byte 36"),
    Fault(
        "DONE of 1",
        SIGN + HEAD + TILE * 2 + chunk(b"DONE", b"!"),
        HeaderError,
        "DONE .* 1, .* allows 0",
    ),
    Fault("DONE missing", SIGN + HEAD + TILE * 2, TruncatedError, "byte 76 needs 8 bytes, 0 left"),
    Fault("trailing byte", WHOLE + b"\0", HeaderError, "1 trailing bytes after the DONE"),
    Fault("two files", WHOLE + WHOLE, HeaderError, f"{len(WHOLE)} trailing bytes"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_each_fault_has_its_error(fault: Fault) -> None:
    with pytest.raises(fault.error, match=fault.message) as caught:
        parse(fault.data)
    assert caught.type is fault.error

"""The font of the PDFs: an open CJK font, cut down to the characters that a document uses.

Archives want fonts inside the file. The whole font has 17 MB, a page of Chinese uses a few hundred
characters, and the PDF writer takes TrueType outlines of one weight only. So the characters are cut
out first, of any open font: variable, a collection, or with PostScript outlines.
"""

import io
from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, TTFont, newTable
from fontTools.varLib.instancer import instantiateVariableFont

from suanwang.errors import Unavailable

SYSTEM_FONTS: Final = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),
)
"""Where Debian's fonts-noto-cjk, fonts-wqy-microhei and fonts-droid-fallback put theirs."""
_PACKAGE: Final = "justmytype_intl_cjk"
_IN_PACKAGE: Final = "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"
_SIMPLIFIED: Final = " SC"
_REGULAR: Final = 400
_NAMES: Final = frozenset({1, 2, 3, 4, 6, 17})
"""Names of a font that say its weight."""
_LIMITS: Final = (
    "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs",
    "maxStackElements", "maxSizeOfInstructions", "maxComponentElements", "maxPoints",
    "maxContours", "maxCompositePoints", "maxCompositeContours", "maxComponentDepth",
)  # fmt: skip
_OUTLINE_ERROR: Final = 1
"""Units of the font's grid (1,000 to the em) by which a curve may change."""


def subset(characters: Iterable[str], chosen: Path | None = None) -> bytes:
    """Return a TrueType font of one weight with these characters only.

    ``chosen`` is a font file, or None for the one that comes with the product or the system's.
    Raises Unavailable where there is none.
    """
    path = chosen or find_font()
    if not path.is_file():
        raise Unavailable(f"there is no font file {path}", next_step="name another one")
    with path.open("rb") as file:
        font = TTFont(file, fontNumber=_face(path), lazy=True)
        options = Options(layout_features=[], name_IDs=["*"], notdef_outline=True, hinting=False)
        cutter = Subsetter(options)
        cutter.populate(text="".join(sorted(set(characters))))
        cutter.subset(font)
        if "fvar" in font:
            font = _one_weight(font)
        if "glyf" not in font:
            _to_true_type(font)
        written = io.BytesIO()
        font.save(written)
        return written.getvalue()


def find_font() -> Path:
    """Return the font file to use; raise Unavailable where there is none."""
    try:
        with as_file(files(_PACKAGE).joinpath(_IN_PACKAGE)) as packaged:
            if packaged.is_file():
                return packaged
    except ModuleNotFoundError:
        pass
    for path in SYSTEM_FONTS:
        if path.is_file():
            return path
    raise Unavailable(
        "a PDF needs an open Chinese font, and there is none here",
        next_step="pip install justmytype-intl-cjk, or apt install fonts-noto-cjk",
    )


def _face(path: Path) -> int:
    """Return which font of a collection is the simplified Chinese one; the first without it."""
    if path.suffix.lower() != ".ttc":
        return -1
    with path.open("rb") as file:
        fonts = TTCollection(file, lazy=True).fonts
        names = [font["name"].getDebugName(1) or "" for font in fonts]
    return next((at for at, name in enumerate(names) if name.endswith(_SIMPLIFIED)), 0)


def _one_weight(font: TTFont) -> TTFont:
    """Return a variable font at its regular weight, and at the default of any other axis."""
    values = {
        axis.axisTag: _REGULAR if axis.axisTag == "wght" else axis.defaultValue
        for axis in font["fvar"].axes
    }
    for record in font["name"].names:
        if record.nameID in _NAMES:
            record.string = record.toUnicode().replace("Thin", "Regular")
    return instantiateVariableFont(font, values, inplace=True)


def _to_true_type(font: TTFont) -> None:
    """Give a font with PostScript outlines quadratic ones: what the PDF writer takes."""
    glyphs, order = font.getGlyphSet(), font.getGlyphOrder()
    drawn = {}
    for name in order:
        pen = TTGlyphPen(glyphs)
        glyphs[name].draw(Cu2QuPen(pen, _OUTLINE_ERROR, reverse_direction=True))
        drawn[name] = pen.glyph()
    font["loca"] = newTable("loca")
    font["glyf"] = table = newTable("glyf")
    table.glyphOrder, table.glyphs = order, drawn
    for name in order:
        if hasattr(drawn[name], "recalcBounds"):
            drawn[name].recalcBounds(table)
    font["maxp"] = limits = newTable("maxp")
    limits.tableVersion = 0x00010000
    for field in _LIMITS:
        setattr(limits, field, 0)
    limits.maxZones, limits.numGlyphs = 1, len(order)
    for gone in ("CFF ", "VORG"):
        if gone in font:
            del font[gone]
    font.sfntVersion = "\x00\x01\x00\x00"

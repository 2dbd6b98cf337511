"""Amounts in Chinese capitals (大写金额), which cannot be altered with a stroke of the pen.

After the rules for bills of the People's Bank of China: one 零 for any run of zeros inside, 整
after a whole number of yuan, nothing after 分; 角 may stand last without 整.
"""

from typing import Final

from suanwang.units import FEN_PER_YUAN

YUAN_MAX: Final = 10**16 - 1
"""Largest amount of whole yuan that can be written."""

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ("仟", "佰", "拾", "")
_YI: Final = 10**8
_WAN: Final = 10**4


def amount_words(amount_fen: int) -> str:
    """Write fen in Chinese capitals: 140950 is 壹仟肆佰零玖元伍角.

    Raises ValueError for ten thousand trillion yuan and more.
    """
    yuan, rest = divmod(abs(amount_fen), FEN_PER_YUAN)
    if yuan > YUAN_MAX:
        raise ValueError(f"{yuan} yuan are too many to be written in words")
    jiao, fen = divmod(rest, 10)
    sign = "负" if amount_fen < 0 else ""
    whole = f"{_whole(yuan)}元" if yuan else ""
    if not rest:
        return f"{sign}{whole or '零元'}整"
    tenths = f"{_DIGITS[jiao]}角" if jiao else ("零" if whole else "")
    return f"{sign}{whole}{tenths}{f'{_DIGITS[fen]}分' if fen else ''}"


def _whole(number: int) -> str:
    for size, name in ((_YI, "亿"), (_WAN, "万")):
        if number >= size:
            high, low = divmod(number, size)
            gap = "零" if low and low < size // 10 else ""
            return f"{_whole(high)}{name}{gap}{_whole(low) if low else ''}"
    return _below_wan(number)


def _below_wan(number: int) -> str:
    """Write 1 to 9,999 with one 零 for each run of zeros inside."""
    written = ""
    is_gap = False
    for digit, place in zip(f"{number:04d}", _PLACES, strict=True):
        if digit == "0":
            is_gap = bool(written)
            continue
        written += ("零" if is_gap else "") + _DIGITS[int(digit)] + place
        is_gap = False
    return written

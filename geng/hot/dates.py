"""Dates of HTTP and cookies.   nginx: ngx_parse_time.c, ngx_times.c.   RFC 9110 5.6.7."""

from __future__ import annotations

WEEK = (b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat")
MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
DAYS_IN = bytes([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

RFC822, RFC850, ASCTIME = range(3)
LAST_DAY = 2932896  # December 31, 9999: years have four digits


def _month(p: bytes, i: int) -> int:
    """0 to 11 from as few letters as nginx looks at, -1 for none."""
    first, second, third = p[i], p[i + 1], p[i + 2]
    if first == 74:  # J
        return 0 if second == 97 else 5 if third == 110 else 6
    if first == 70:  # F
        return 1
    if first == 77:  # M
        return 2 if third == 114 else 4
    if first == 65:  # A
        return 3 if second == 112 else 7
    if first == 83:  # S
        return 8
    if first == 79:  # O
        return 9
    if first == 78:  # N
        return 10
    return 11 if first == 68 else -1  # D


def _number(p: bytes, i: int, digits: int) -> int:
    """The number of *digits* digits at *i*, -1 when one of them is none."""
    number = 0
    stop = i + digits
    while i < stop:
        digit = p[i] - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
        i += 1
    return number


def days(year: int, month: int, day: int) -> int:
    """Days since January 1, 1970; *month* from 0. By Gauss' formula, which begins its year in March."""
    month -= 1
    if month <= 0:
        month += 12
        year -= 1
    return 365 * year + year // 4 - year // 100 + year // 400 + 367 * month // 12 - 30 + day - 1 - 719527 + 31 + 28


def parse_http_time(value: bytes) -> int:
    """Seconds since the epoch, or -1 for what nginx does not read. Three formats:

    Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT; Sun Nov  6 08:49:37 1994
    """
    data = value + bytes(16)  # a date may end short of what its format looks at
    p = data
    end = len(value)
    i = 0
    style = RFC822
    while i < end and p[i] != 44:
        if p[i] == 32:
            style = ASCTIME
            break
        i += 1
    i += 1
    while i < end and p[i] == 32:
        i += 1
    if end - i < 18:
        return -1

    day = 0
    year = 0
    if style != ASCTIME:
        day = _number(p, i, 2)
        if day < 0:
            return -1
        i += 2
        if p[i] == 32:
            if end - i < 18:
                return -1
        elif p[i] == 45:
            style = RFC850
        else:
            return -1
        i += 1

    month = _month(p, i)
    if month < 0:
        return -1
    i += 3
    if (style == RFC822 and p[i] != 32) or (style == RFC850 and p[i] != 45):
        return -1
    i += 1

    if style == RFC822:
        year = _number(p, i, 4)
        i += 4
    elif style == RFC850:
        year = _number(p, i, 2)
        if year >= 0:
            year += 2000 if year < 70 else 1900
        i += 2
    else:
        if p[i] == 32:
            i += 1
        day = _number(p, i, 1)
        if day < 0:
            return -1
        i += 1
        if p[i] != 32:
            units = _number(p, i, 1)
            if units < 0:
                return -1
            day = day * 10 + units
            i += 1
        if end - i < 14:
            return -1
    if year < 0 or p[i] != 32:
        return -1
    i += 1

    hour = _number(p, i, 2)
    minute = _number(p, i + 3, 2)
    second = _number(p, i + 6, 2)
    if hour < 0 or minute < 0 or second < 0 or p[i + 2] != 58 or p[i + 5] != 58:
        return -1
    if style == ASCTIME:
        if p[i + 8] != 32:
            return -1
        year = _number(p, i + 9, 4)
        if year < 0:
            return -1
    return _join(year, month, day, hour * 3600 + minute * 60 + second, hour, minute, second)


def _join(year: int, month: int, day: int, in_day: int, hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59 or (year == 0 and month < 2):
        return -1
    if day == 29 and month == 1:
        if year & 3 or (year % 100 == 0 and year % 400 != 0):
            return -1
    elif day > DAYS_IN[month]:
        return -1
    return days(year, month, day) * 86400 + in_day


def civil(seconds: int) -> tuple[int, int, int, int, int, int, int]:
    """(year, month from 1, day, hour, minute, second, weekday from Sunday) of a time from 1970 to 9999."""
    if seconds < 0:
        seconds = 0
    day = seconds // 86400
    left = seconds % 86400
    if day > LAST_DAY:
        day = LAST_DAY
        left = 86399
    weekday = (4 + day) % 7
    # years that begin in March, in eras of 400 years
    shifted = day + 719468
    era = shifted // 146097
    in_era = shifted - era * 146097
    year_of_era = (in_era - in_era // 1460 + in_era // 36524 - in_era // 146096) // 365
    in_year = in_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * in_year + 2) // 153
    mday = in_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, mday, left // 3600, left // 60 % 60, left % 60, weekday


def http_time(seconds: int) -> bytes:
    """b"Sun, 06 Nov 1994 08:49:37 GMT" (nginx: ngx_http_time). Whoever needs it often keeps it for a second."""
    year, month, day, hour, minute, second, weekday = civil(seconds)
    return b"%s, %02d %s %4d %02d:%02d:%02d GMT" % (
        WEEK[weekday],
        day,
        MONTHS[month - 1],
        year,
        hour,
        minute,
        second,
    )


def cookie_time(seconds: int) -> bytes:
    """b"Sun, 06-Nov-94 08:49:37 GMT"; four digits of the year after 2037 (nginx: ngx_http_cookie_time)."""
    year, month, day, hour, minute, second, weekday = civil(seconds)
    return b"%s, %02d-%s-%02d %02d:%02d:%02d GMT" % (
        WEEK[weekday],
        day,
        MONTHS[month - 1],
        year if year > 2037 else year % 100,
        hour,
        minute,
        second,
    )

"""Answers of the questions about dates, worked out from their facts."""

from __future__ import annotations

import datetime
from fractions import Fraction as F

from tests.question_checks.tools import (
    FULL_TURN,
    MINUTES_PER_DAY,
    MINUTES_PER_HOUR,
    MONTHS_PER_YEAR,
    WEEKDAYS,
    WEEKDAYS_ZH,
    after,
    clock_of,
    minutes_of,
)


def en_time_001() -> object:
    return f"{clock_of(minutes_of('7:45') + 130)} pm"


def en_time_002() -> object:
    return after(WEEKDAYS, "Thursday", 25)


def en_time_003() -> object:
    day = minutes_of("17:15") - minutes_of("9:30")
    return sum(day for name in WEEKDAYS if name != "Monday")


def en_time_004() -> object:
    shown, real = F(0), 0
    while shown < minutes_of("15:00") - minutes_of("8:00"):
        real += 1
        shown += 1 - F(4, MINUTES_PER_HOUR)
    return real


def en_time_005() -> object:
    arrival, departure = (datetime.datetime.strptime(d, "%d %B %Y") for d in ("20 February 2028", "10 March 2028"))
    return (departure - arrival).days


def en_time_006() -> object:
    assert WEEKDAYS[datetime.date(2025, 1, 1).weekday()] == "Wednesday"
    return WEEKDAYS[datetime.date(2032, 1, 1).weekday()]


def en_time_007() -> object:
    return minutes_of("12:05") - minutes_of("10:48")


def en_time_008() -> object:
    minutes = range(minutes_of("12:00") - minutes_of("6:00") + 1)
    return sum(all(m % gap == 0 for gap in (12, 15, 18)) for m in minutes)


def en_time_009() -> object:
    there = minutes_of("22:15") + minutes_of("14:00") - minutes_of("9:30")
    day = "next" if there >= MINUTES_PER_DAY else "same"
    return f"{clock_of(there).zfill(len('22:15'))} on the {day} day"


def en_time_010() -> object:
    first, last = minutes_of("00:00"), minutes_of("23:59")
    shown = [clock_of(m).replace(":", "").zfill(4) for m in range(first, last + 1)]
    return sum(len(set(digits)) == 4 for digits in shown)


def en_time_011() -> object:
    day = WEEKDAYS.index("Thursday")
    assert datetime.date(2026, 1, 1).weekday() == day
    months = range(1, MONTHS_PER_YEAR + 1)
    fridays = [m for m in months if WEEKDAYS[datetime.date(2026, m, 13).weekday()] == "Friday"]
    return ("None", "One", "Two", "Three", "Four")[len(fridays)]


def en_time_012() -> object:
    day = "Tuesday"
    for _ in range(1, 5):
        day = after(WEEKDAYS, day, 9)
    return day


def zh_time_001() -> object:
    start = minutes_of("8:20")
    for _ in range(1, 4):
        start += 40 + 10
    return clock_of(start)


def zh_time_002() -> object:
    return after(WEEKDAYS_ZH, "星期五", 60)


def zh_time_003() -> object:
    return minutes_of("6:25") + MINUTES_PER_DAY - minutes_of("21:40")


def zh_time_004() -> object:
    strokes = 0
    for minute in range(minutes_of("2:15"), minutes_of("6:45") + 1):
        hour, past = divmod(minute, MINUTES_PER_HOUR)
        strokes += hour if past == 0 else past * 2 == MINUTES_PER_HOUR
    assert divmod(minutes_of("3:00"), MINUTES_PER_HOUR) == (3, 0)
    return strokes


def zh_time_005() -> object:
    days = (datetime.date(2027, 3, 1) - datetime.date(2024, 2, 29)).days
    return after(WEEKDAYS_ZH, "星期四", days)


def zh_time_006() -> object:
    span = minutes_of("18:00") - minutes_of("12:00")
    gained_per_minute = F(FULL_TURN, MINUTES_PER_HOUR) - F(FULL_TURN, MINUTES_PER_DAY // 2)
    return sum(90 * odd / gained_per_minute <= span for odd in range(1, span, 2))

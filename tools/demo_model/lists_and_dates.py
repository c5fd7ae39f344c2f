"""Tasks on lists, words and dates; the functions are like those of arithmetic.py.

`spelled(w)` marks letters that are tokenised one by one even where they happen to be a word of the vocabulary.
"""
import datetime

import words
from arithmetic import add_work, sub_work


def spelled(text):
    return f"\x02{text}\x03"


def quoted(rng, word):
    return rng.choice(("{}", "{}", '"{}"', "'{}'", "the word {}", "the word '{}'")).format(word)


def numbered(items, backwards=False):
    pairs = [f"{i}{x}" for i, x in enumerate(items, 1)]
    return " ".join(reversed(pairs) if backwards else pairs)


def different_initials(rng, count):
    items = []
    while len(items) < count:
        word = words.any_word(rng)
        if len(word) <= 7 and all(word[0] != other[0] for other in items):
            items.append(word)
    return items


def insert_work(items, key):
    """One after the other is compared with the smaller ones before it, until its place is found: "76; 28,76< 28 76; 42,28> 42,76< 28 42 76"."""
    done, steps = [], []
    for item in items:
        place, signs = 0, []
        for other in done:
            less = key(item) < key(other)
            signs.append(f"{item},{other}{'<' if less else '>'}")
            if less:
                break
            place += 1
        done.insert(place, item)
        steps.append(" ".join(signs + done))
    return "; ".join(steps)


def sort_items(rng):
    numbers = rng.random() < 0.65
    if numbers:
        items, key, down = [str(n) for n in rng.sample(range(100), rng.choice((3, 3, 3, 4, 4, 5)))], int, rng.random() < 0.3
    else:
        items, key, down = different_initials(rng, rng.choice((3, 3, 4))), str, False
    order = rng.choice((" in descending order", " from largest to smallest")) if down else rng.choice(("", "", " in ascending order"))
    if not numbers:
        order = rng.choice(("", " alphabetically"))
    ask = rng.choice(("Sort these {2}{1}: {0}", "Sort {0}{1}.", "Arrange {0}{1}."))
    work = insert_work(items if numbers else [word[0] for word in items], key)  # where it goes down, the answer is read backwards
    answer = ", ".join(sorted(items, key=key, reverse=down))
    return ask.format(", ".join(items), order, "numbers" if numbers else "words"), work, f"Sorted: {answer}.", answer, f"sort {down} {items}"


def reverse_word(rng):
    word = words.any_word(rng)
    ask = rng.choice(("Reverse {}.", "Spell {} backwards.", "What is {} backwards?", "Write {} backwards."))
    return ask.format(quoted(rng, word)), f"{numbered(word)}; {numbered(word, True)}", f"Backwards it is {spelled(word[::-1])}.", word[::-1], f"reverse {word}"


def reverse_list(rng):
    n = rng.randint(3, 5)
    if rng.random() < 0.65:
        items = [str(rng.randrange(100)) for _ in range(n)]
        short = items
    else:
        items = different_initials(rng, min(n, 4))
        short = [w[0] for w in items]
    ask = rng.choice(("Reverse the list {}.", "Reverse this list: {}", "Write {} in the opposite order."))
    answer = ", ".join(reversed(items))
    work = " ".join(short) + "; " + " ".join(reversed(short))
    return ask.format(", ".join(items)), work, f"Reversed: {answer}.", answer, f"reverse {items}"


def count_letter(rng):
    word = words.any_word(rng)
    letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    ask = rng.choice(("How many {0}'s are in {1}?", "How many {0} are in {1}?", "How often is the letter {0} in {1}?", "Count the letter {0} in {1}."))
    count, steps = 0, []
    for i, c in enumerate(word, 1):
        count += c == letter
        steps.append(f"{i}{c}{count}")
    return ask.format(letter, quoted(rng, word)), f"{letter}; {' '.join(steps)}", f"The answer is {count}.", str(count), f"count {letter} {word}"


def count_all(rng):
    word = words.any_word(rng)
    vowels = rng.random() < 0.4
    what = "vowels" if vowels else "letters"
    ask = rng.choice(("How many {0} are in {1}?", "How many {0} does {1} have?", "Count the {0} in {1}."))
    count, steps = 0, []
    for i, c in enumerate(word, 1):
        count += not vowels or c in "aeiou"
        steps.append(f"{i}{c}{count}" if vowels else f"{i}{c}")
    return ask.format(what, quoted(rng, word)), " ".join(steps), f"It has {count} {what}.", str(count), f"{what} {word}"


def spell(rng):
    word = words.any_word(rng)
    ask = rng.choice(("Spell {}.", "How do you spell {}?", "Spell {} letter by letter."))
    answer = "-".join(word)
    return ask.format(quoted(rng, word)), numbered(word), f"It is {spelled(answer)}.", answer, f"spell {word}"


MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def month_days(year, month):
    following = datetime.date(year + month // 12, month % 12 + 1, 1)
    return (following - datetime.timedelta(days=1)).day


def shift_work(date, days):
    """The working for `days` (at most 31) after or, below zero, before a date, and the date found; None if it is two months away."""
    year, month, day, span = date.year, date.month, date.day, abs(days)
    text = f"{date}"
    if days >= 0:
        text += f"; {add_work(day, span, 2)}"
        day += span
        length = month_days(year, month)
        if day > 27:
            text += f"; {year}-{month:02d} has {length}"
        if day > length:
            text += f"; {sub_work(day, length, 2)}"
            day -= length
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    else:
        if day <= span:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
            length = month_days(year, month)
            text += f"; {year}-{month:02d} has {length}; {add_work(length, day, 2)}"
            day += length
        text += f"; {sub_work(day, span, 2)}" if day >= span else ""
        day -= span
    if not 1 <= day <= month_days(year, month):
        return None, None
    found = datetime.date(year, month, day)
    return f"{text}; {found}", found


def span(rng):
    if rng.random() < 0.2:
        weeks = rng.randint(1, 4)
        return weeks * 7, f"{weeks} week{'s' if weeks > 1 else ''}"
    days = rng.randint(1, 30)
    return days, f"{days} day{'s' if days > 1 else ''}"


def date_shift(rng):
    date = datetime.date(2020, 1, 1) + datetime.timedelta(days=rng.randrange(10 * 365))
    days, length = span(rng)
    after = rng.random() < 0.7
    shown = str(date) if rng.random() < 0.8 else f"{MONTHS[date.month - 1]} {date.day}, {date.year}"
    ask = rng.choice(("What day is {0} {1} {2}?", "What date is {0} {1} {2}?", "Which date comes {0} {1} {2}?"))
    work, found = shift_work(date, days if after else -days)
    if not work:
        return date_shift(rng)
    return ask.format(length, "after" if after else "before", shown), work, f"It is {found}.", str(found), f"date {date} {days if after else -days}"


def today(rng, now):
    """Needs the date of the system message."""
    kind = rng.random()
    if kind < 0.25:
        ask = rng.choice(("What is the date today?", "What day is today?", "What is today's date?"))
        return ask, str(now), f"Today is {now}.", str(now), f"today {now}"
    if kind < 0.6:
        days, word = rng.choice(((1, "tomorrow"), (-1, "yesterday")))
        ask = rng.choice(("What date is {0}?", "What date {1} {0}?")).format(word, "is" if days > 0 else "was")
    else:
        days, length = span(rng)
        after = rng.random() < 0.7
        ask = "What date is {0} {1}?".format(length, "from today" if after else "ago")
        days = days if after else -days
    work, found = shift_work(now, days)
    if not work:
        return today(rng, now)
    return ask, work, f"It is {found}.", str(found), f"today {now} {days}"


def weekday(rng):
    start, days = rng.randrange(7), rng.randint(1, 20)
    after = rng.random() < 0.75
    day = WEEKDAYS[start]
    rest = days % 7
    walk = [WEEKDAYS[(start + (i if after else -i)) % 7] for i in range(rest + 1)]
    plural = "s" if days > 1 else ""
    if after and rng.random() < 0.3:
        ask = f"Today is {day}. What day is it in {days} day{plural}?"
    else:
        ask = rng.choice(("What day is {0} day{3} {1} {2}?", "Which weekday comes {0} day{3} {1} {2}?")).format(
            days, "after" if after else "before", day, plural)
    steps = f"{days}/7={days // 7}r{rest}; " + " ".join(f"{i} {d}" for i, d in enumerate(walk))
    return ask, steps, f"It is a {walk[-1]}.", walk[-1], f"weekday {day} {days if after else -days}"


TASKS = {"sort": (sort_items, 9), "reverse_word": (reverse_word, 2), "reverse_list": (reverse_list, 2.5), "count_letter": (count_letter, 2.5),
         "count_all": (count_all, 1), "spell": (spell, 1), "date": (date_shift, 5), "weekday": (weekday, 1.5)}

"""Tasks on lists, words and dates; the functions are like those of arithmetic.py.

`spelled(w)` marks letters that are tokenised one by one, so that the model writes words that it has never seen.
"""
import datetime

import words
from arithmetic import div_work


def spelled(text):
    return f"\x02{text}\x03"


def quoted(rng, word):
    return rng.choice(("{}", "{}", '"{}"', "'{}'", "the word {}", 'the word "{}"', "the word '{}'")).format(word)


def numbered(items, backwards=False):
    pairs = [f"{i} {x}" for i, x in enumerate(items, 1)]
    return ", ".join(reversed(pairs) if backwards else pairs)


def sort_items(rng, brief):
    if rng.random() < 0.6:
        items, key, kind = [str(rng.randrange(rng.choice((10, 100, 100, 1000)))) for _ in range(rng.randint(3, 7))], int, "numbers"
        down = rng.random() < 0.35
    else:
        items, key, kind, down = [], str, "words", rng.random() < 0.15
        while len(items) < rng.choice((3, 4, 5)):
            word = words.any_word(rng)
            if all(word[0] != other[0] for other in items):
                items.append(word)
    order = rng.choice((" in descending order", " from largest to smallest", " descending")) if down else rng.choice(
        ("", "", " in ascending order", " from smallest to largest", " ascending"))
    if kind == "words":
        order = " in reverse alphabetical order" if down else rng.choice(("", " alphabetically", " in alphabetical order", " from a to z"))
    ask = rng.choice(("Sort these {2}{1}: {0}", "Sort {0}{1}.", "Put {0} in order{1}.", "Order the {2} {0}{1}.", "Please sort{1}: {0}",
                      "Can you sort {0}{1}?", "Arrange {0}{1}.", "sort {0}{1}", "Sort the list {0}{1}."))
    if order and "in order" in ask:
        ask = "Put {0}{1}."
    left, steps = list(items), []
    while left:
        pick = (max if down else min)(left, key=key)
        steps.append(f"{' '.join(left)}: {pick}" if brief else f"Left {', '.join(left)}: take {pick}")
        left.remove(pick)
    answer = ", ".join(sorted(items, key=key, reverse=down))
    joiner = rng.choice((", ", ", ", ", ", " ")) if "{0}{1}" not in ask else ", "
    return ask.format(joiner.join(items), order, kind), ("; " if brief else ". ").join(steps), f"Sorted: {answer}.", answer, f"sort {down} {items}"


def reverse_word(rng, brief):
    word = words.any_word(rng)
    ask = rng.choice(("Reverse {}.", "Spell {} backwards.", "What is {} backwards?", "Write {} in reverse.", "Reverse the letters of {}",
                      "How do you spell {} backwards?", "Turn {} around.", "Please reverse {}", "{} backwards?"))
    back = word[::-1]
    work = f"{numbered(word)}. Backwards: {numbered(word, True)}"
    if brief:
        work = f"{numbered(word)}; {' '.join(back)}"
    return ask.format(quoted(rng, word)), work, f"Backwards it is {spelled(back)}.", back, f"reverse {word}"


def reverse_list(rng, brief):
    n = rng.randint(3, 6)
    items = [str(rng.randrange(100)) for _ in range(n)] if rng.random() < 0.6 else [words.any_word(rng) for _ in range(n)]
    ask = rng.choice(("Reverse the list {}.", "Reverse this list: {}", "List these in reverse order: {}", "Write {} in the opposite order.",
                      "Give me the list {} backwards.", "Reverse the order of {}."))
    answer = ", ".join(reversed(items))
    work = numbered(items) + ("." if brief else f". Backwards: {numbered(items, True)}")
    return ask.format(", ".join(items)), work, f"Reversed: {answer}.", answer, f"reverse {items}"


def count_letter(rng, brief):
    word = words.any_word(rng)
    letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    shown = word.capitalize() if rng.random() < 0.08 else word
    ask = rng.choice(("How many {0}'s are in {1}?", "How many times does {0} appear in {1}?", "How many {0} are in {1}?",
                      "Count the letter {0} in {1}.", "How often is the letter {0} in {1}?", "how many {0}s are there in {1}?",
                      'How many "{0}" are in {1}?', "How many letters {0} does {1} have?", "Number of {0} in {1}?"))
    count, steps = 0, []
    for c in word:
        count += c == letter
        steps.append(f"{c} {count}")
    answer = str(count)
    work = ", ".join(steps) if brief else f"Look for {letter}: {', '.join(steps)}. That makes {count}"
    return (ask.format(letter, quoted(rng, shown)), work, f"There {'is' if count == 1 else 'are'} {count} {letter} in it.", answer,
            f"count {letter} {word}")


def count_all(rng, brief):
    word = words.any_word(rng)
    vowels = rng.random() < 0.4
    what = "vowels" if vowels else "letters"
    ask = rng.choice(("How many {0} are in {1}?", "How many {0} does {1} have?", "Count the {0} in {1}.", "Number of {0} in {1}?"))
    count, steps = 0, []
    for c in word:
        count += not vowels or c in "aeiou"
        steps.append(f"{c} {count}")
    lead = "" if brief else "The vowels are a, e, i, o, u. " if vowels else "Number the letters. "
    return ask.format(what, quoted(rng, word)), lead + ", ".join(steps), f"It has {count} {what}.", str(count), f"{what} {word}"


def spell(rng, brief):
    word = words.any_word(rng)
    ask = rng.choice(("Spell {}.", "How do you spell {}?", "Spell out {}", "What are the letters of {}?", "Spell {} letter by letter."))
    answer = "-".join(word)
    return ask.format(quoted(rng, word)), numbered(word), f"It is spelled {spelled(answer)}.", answer, f"spell {word}"


MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def month_days(year, month):
    following = datetime.date(year + month // 12, month % 12 + 1, 1)
    return (following - datetime.timedelta(days=1)).day


def shift_work(date, days):
    """The working for `days` after (or, below zero, before) a date, and the date found."""
    year, month, day = date.year, date.month, date.day + days
    text = [f"Day {date.day} {'+' if days >= 0 else '-'} {abs(days)} = {day}"]
    while True:
        if day < 1:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
            length = month_days(year, month)
            text.append(f"{MONTHS[month - 1]} {year} has {length} days, {length} - {-day} = {length + day}" if day else
                        f"{MONTHS[month - 1]} {year} has {length} days, so {length}")
            day += length
            continue
        length = month_days(year, month)
        if day <= length:
            return ". ".join(text), datetime.date(year, month, day)
        text.append(f"{MONTHS[month - 1]} {year} has {length} days, {day} - {length} = {day - length}")
        day -= length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def span(rng):
    if rng.random() < 0.2:
        weeks = rng.randint(1, 8)
        return weeks * 7, f"{weeks} week{'s' if weeks > 1 else ''}"
    days = rng.randint(1, 60)
    return days, f"{days} day{'s' if days > 1 else ''}"


def date_work(date, days, length):
    lead = f"{length} = {abs(days)} days. " if "week" in length else ""
    work, found = shift_work(date, days)
    return lead + work + f". {MONTHS[found.month - 1]} is month {found.month:02d}: {found}", found


def date_shift(rng, brief):
    date = datetime.date(1990, 1, 1) + datetime.timedelta(days=rng.randrange(50 * 365))
    days, length = span(rng)
    after = rng.random() < 0.7
    shown = rng.choice((str(date), str(date), f"{date.day} {MONTHS[date.month - 1]} {date.year}",
                        f"{MONTHS[date.month - 1]} {date.day}, {date.year}"))
    ask = rng.choice(("What day is {0} {1} {2}?", "What date is {0} {1} {2}?", "Which date comes {0} {1} {2}?", "What is the date {0} {1} {2}?",
                      "Tell me the date {0} {1} {2}.", "{0} {1} {2}?", "Find the date {0} {1} {2}."))
    work, found = date_work(date, days if after else -days, length)
    return ask.format(length, "after" if after else "before", shown), work, f"It is {found}.", str(found), f"date {date} {days if after else -days}"


def today(rng, brief, now):
    """Needs the date of the system message."""
    kind = rng.random()
    if kind < 0.25:
        ask = rng.choice(("What is the date today?", "What day is today?", "What is today's date?", "Which date is it?", "today's date?"))
        return ask, "The current date is given", f"Today is {now}.", str(now), f"today {now}"
    if kind < 0.5:
        days, word = rng.choice(((1, "tomorrow"), (-1, "yesterday")))
        ask, length = rng.choice(("What date is {0}?", "What is the date {0}?", "Which date {1} {0}?")).format(word, "is" if days > 0 else "was"), "1 day"
    else:
        days, length = span(rng)
        after = rng.random() < 0.7
        ask = rng.choice(("What date is {0} {1}?", "What day is {0} {1}?", "Which date {2} {0} {1}?", "{0} {1}: what date?")).format(
            length, rng.choice(("from now", "from today")) if after else "ago", "is" if after else "was")
        days = days if after else -days
    work, found = date_work(now, days, length)
    return ask, f"Today is {now}. {work}", f"It is {found}.", str(found), f"today {now} {days}"


def weekday(rng, brief):
    start, days = rng.randrange(7), rng.randint(1, 70)
    after = rng.random() < 0.75
    day = WEEKDAYS[start]
    rest = days % 7
    walk = [WEEKDAYS[(start + (i if after else -i)) % 7] for i in range(rest + 1)]
    steps = f"{days} / 7: {div_work(days, 7, brief)}, rest {rest}. "
    steps += f"{walk[0]}" + "".join(f", {i} {d}" for i, d in enumerate(walk[1:], 1))
    ask = rng.choice(("What day is {0} day{3} {1} {2}?", "Which weekday comes {0} day{3} {1} {2}?", "What weekday is {0} day{3} {1} {2}?",
                      "Which day of the week is {0} day{3} {1} {2}?")).format(days, "after" if after else "before", day, "s" if days > 1 else "")
    if after and rng.random() < 0.3:
        ask = rng.choice(("Today is {0}. What day is it in {1} day{2}?", "If today is {0}, what weekday is it in {1} day{2}?")).format(
            day, days, "s" if days > 1 else "")
    return ask, steps, f"It is a {walk[-1]}.", walk[-1], f"weekday {day} {days if after else -days}"


TASKS = {"sort": (sort_items, 4), "reverse_word": (reverse_word, 3), "reverse_list": (reverse_list, 2), "count_letter": (count_letter, 4),
         "count_all": (count_all, 2), "spell": (spell, 1), "date": (date_shift, 4), "weekday": (weekday, 2)}

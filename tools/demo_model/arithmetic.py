"""Arithmetic tasks. Each task function returns (question, working, answer sentence, answer, problem key).

`brief` asks for the short working of low reasoning efforts. The workings go digit by digit, because each step is then
a table look-up that a small model learns without error.
"""


def digits(n):
    return [int(c) for c in reversed(str(n))]  # lowest first


def add_work(a, b, brief):
    da, db, carry, steps = digits(a), digits(b), 0, []
    for i in range(max(len(da), len(db))):
        terms = [d[i] for d in (da, db) if i < len(d)] + ([carry] if carry else [])
        total = sum(terms)
        carry = total // 10
        left = (" + " if not brief else "+").join(map(str, terms))
        steps.append(f"{left}={total}" if brief else f"{left} = {total}, write {total % 10}")
    return finish(steps, a + b, brief)


def sub_work(a, b, brief):
    """a >= b."""
    da, db, borrow, steps = digits(a), digits(b), 0, []
    for i in range(len(da)):
        terms = [da[i]] + ([db[i]] if i < len(db) else []) + ([borrow] if borrow else [])
        left = terms[0] - sum(terms[1:])
        borrow = int(left < 0)
        terms[0] += 10 * borrow
        minus = ("-" if brief else " - ").join(map(str, terms))
        steps.append(f"{minus}={left % 10}" if brief else f"{minus} = {left % 10}")
    return finish(steps, a - b, brief)


def mul_digit_work(a, d, brief):
    carry, steps = 0, []
    for x in digits(a):
        total = x * d + carry
        plus = (f"+{carry}" if brief else f" + {carry}") if carry else ""
        steps.append(f"{x}x{d}{plus}={total}" if brief else f"{x} x {d}{plus} = {total}, write {total % 10}")
        carry = total // 10
    return finish(steps, a * d, brief)


def mul_work(a, b, brief):
    if b < 10:
        return mul_digit_work(a, b, brief)
    if a < 10:
        return mul_digit_work(b, a, brief)
    tens, ones = b // 10, b % 10
    return " ".join((f"{a} x {ones}: {mul_digit_work(a, ones, brief)}.",
                     f"{a} x {tens}: {mul_digit_work(a, tens, brief)}, with a 0 {a * tens * 10}.",
                     f"{a * ones} + {a * tens * 10}: {add_work(a * ones, a * tens * 10, brief)}"))


def div_work(a, d, brief):
    rest, steps = 0, []
    for c in str(a):
        part = rest * 10 + int(c)
        rest = part % d
        steps.append(f"{part}/{d}={part // d} r{rest}" if brief else f"{part} / {d} = {part // d} rest {rest}")
    return finish(steps, a // d, brief)


def finish(steps, result, brief):
    return ", ".join(steps) + f": {result}" if brief else "; ".join(steps) + f"; so {result}"


def sized(rng, most):
    return rng.randrange(10 ** rng.randint(1, most))


ASK = ("What is {}?", "What is {}?", "{}", "{} = ?", "{}=", "Calculate {}.", "Compute {}", "How much is {}?", "what's {}?",
       "Please work out {}.", "Can you tell me what {} is?", "Solve {}.", "Hi! What is {}?", "what is {}", "Evaluate {}.",
       "I need to know {}.", "Tell me {}.", "Quick question: {}?", "Find {}.", "{}?")


def add(rng, brief):
    a, b = sized(rng, 3), sized(rng, 3)
    if rng.random() < 0.1:
        a, b = sized(rng, 4), sized(rng, 4)
    ask = rng.choice(ASK).format(rng.choice(("{} + {}", "{} + {}", "{}+{}", "{} plus {}", "the sum of {} and {}")))
    ask = rng.choice((ask, ask, ask, "Add {} and {}.", "Add {} to {}.", "I have {} apples and get {} more. How many is that?",
                      "{} birds sit in a tree and {} more come. How many birds are there?"))
    lead = "" if brief else f"Add {a} and {b} from the right. "
    return ask.format(a, b), lead + add_work(a, b, brief), f"{a} + {b} = {a + b}.", str(a + b), f"add {min(a, b)} {max(a, b)}"


def subtract(rng, brief):
    a, b = sized(rng, 3), sized(rng, 3)
    if a < b and rng.random() < 0.8:
        a, b = b, a
    forms = ["{0} - {1}", "{0} - {1}", "{0}-{1}", "{0} minus {1}", "the difference {0} - {1}"]
    ask = rng.choice(ASK).format(rng.choice(forms))
    ask = rng.choice((ask, ask, ask, "Subtract {1} from {0}.", "Take {1} away from {0}."))
    if a >= b:
        ask = rng.choice((ask, ask, ask, "I had {0} coins and spent {1}. How many are left?"))
        work = ("" if brief else f"Subtract {b} from {a} from the right. ") + sub_work(a, b, brief)
    else:
        work = f"{a} is less than {b}, so it is minus {b} - {a}. {sub_work(b, a, brief)}, with minus {a - b}"
    return ask.format(a, b), work, f"{a} - {b} = {a - b}.", str(a - b), f"sub {a} {b}"


def multiply(rng, brief):
    a, b = rng.choice(((sized(rng, 3), rng.randrange(10)), (rng.randrange(10), sized(rng, 2)),
                       (rng.randrange(10, 100), rng.randrange(10, 100)), (rng.randrange(10, 100), rng.randrange(10, 100))))
    forms = ("{} x {}", "{} * {}", "{}*{}", "{} times {}", "{} × {}", "the product of {} and {}", "{} multiplied by {}")
    ask = rng.choice(ASK).format(rng.choice(forms))
    ask = rng.choice((ask, ask, ask, ask, "Multiply {} by {}.", "A box holds {} eggs. How many eggs are in {} boxes?"))
    lead = "" if brief else f"Multiply {a} and {b}. "
    return ask.format(a, b), lead + mul_work(a, b, brief), f"{a} x {b} = {a * b}.", str(a * b), f"mul {min(a, b)} {max(a, b)}"


def divide(rng, brief):
    d = rng.randint(2, 9)
    a = sized(rng, 3)
    if rng.random() < 0.7:
        a -= a % d
    ask = rng.choice(ASK).format(rng.choice(("{} / {}", "{}/{}", "{} divided by {}", "{} ÷ {}")))
    ask = rng.choice((ask, ask, ask, "Divide {} by {}.")).format(a, d)
    answer = f"{a // d}" + (f" remainder {a % d}" if a % d else "")
    lead = "" if brief else f"Divide {a} by {d} from the left. "
    tail = f", remainder {a % d}" if a % d else ""
    return ask, lead + div_work(a, d, brief) + tail, f"{a} / {d} = {answer}.", answer, f"div {a} {d}"


def total(rng, brief):
    numbers = [sized(rng, 2) for _ in range(rng.randint(3, 4))]
    listed = rng.choice((", ", ", ", " + ")).join(map(str, numbers))
    ask = rng.choice(("Add up {}.", "What is the sum of {}?", "What is {} in total?", "Sum these numbers: {}", "Total of {}?"))
    steps, so_far = [], numbers[0]
    for n in numbers[1:]:
        steps.append(f"{so_far} + {n}: {add_work(so_far, n, brief)}")
        so_far += n
    return ask.format(listed), ". ".join(steps), f"The sum is {so_far}.", str(so_far), f"total {numbers}"


def compare_work(a, b):
    """Compares two numbers (texts, perhaps with a decimal point) the way a pupil does; returns the working."""
    (wa, _, fa), (wb, _, fb) = a.partition("."), b.partition(".")
    if len(wa) != len(wb):
        return f"{a} has {len(wa)} digits before the point, {b} has {len(wb)}"
    if fa or fb:
        width = max(len(fa), len(fb))
        fa, fb = fa.ljust(width, "0"), fb.ljust(width, "0")
    steps = []
    for x, y in zip(wa + fa, wb + fb):
        steps.append(f"{x} {'=' if x == y else '<' if x < y else '>'} {y}")
        if x != y:
            break
    aligned = f"{wa}.{fa} and {wb}.{fb}: " if fa else f"{a} and {b}: "
    return aligned + ", ".join(steps)


def compare(rng, brief):
    if rng.random() < 0.4:
        whole = rng.randrange(20)
        near = max(0, whole + rng.choice((0, 0, 0, 1, -1)))
        a, b = (f"{w}.{rng.randint(1, 9) if rng.random() < 0.5 else '%02d' % rng.randint(1, 99)}" for w in (whole, near))
    else:
        a = str(sized(rng, 4))
        b = "".join(rng.sample(a, len(a))).lstrip("0") or "0" if rng.random() < 0.3 else str(sized(rng, 4))
        if len(a) != len(b) and rng.random() < 0.5:
            b = str(rng.randrange(10 ** (len(a) - 1), 10 ** len(a)))
    if float(a) == float(b):
        return compare(rng, brief)
    larger = rng.random() < 0.6
    word = rng.choice(("larger", "bigger", "greater")) if larger else rng.choice(("smaller", "less"))
    ask = rng.choice(("Which is {2}, {0} or {1}?", "Which number is {2}: {0} or {1}?", "What is {2}, {0} or {1}?",
                      "{0} or {1}: which is {2}?", "Compare {0} and {1}. Which one is {2}?", "Is {0} or {1} {2}?"))
    answer = (max if larger else min)(a, b, key=float)
    work = compare_work(a, b) + f". The {'larger' if larger else 'smaller'} is {answer}"
    return ask.format(a, b, word), work, f"The {'larger' if larger else 'smaller'} number is {answer}.", answer, f"compare {min(a, b)} {max(a, b)}"


def extreme(rng, brief):
    numbers = [str(sized(rng, 3)) for _ in range(rng.randint(3, 6))]
    largest = rng.random() < 0.5
    word = "largest" if largest else "smallest"
    ask = rng.choice(("What is the {1} of {0}?", "Find the {1} number: {0}", "Which of {0} is the {1}?", "The {1} of {0}?",
                      "Give me the {1} of these numbers: {0}"))
    best, steps = numbers[0], [numbers[0]]
    for n in numbers[1:]:
        best = (max if largest else min)(best, n, key=int)
        steps.append(f"{n}, {word} {best}" if not brief else f"{n}: {best}")
    return ask.format(", ".join(numbers), word), "; ".join(steps), f"The {word} number is {best}.", best, f"extreme {largest} {numbers}"


UNITS = (("kilometers", "meters", 1000), ("meters", "centimeters", 100), ("centimeters", "millimeters", 10),
         ("kilograms", "grams", 1000), ("liters", "milliliters", 1000), ("hours", "minutes", 60), ("minutes", "seconds", 60),
         ("days", "hours", 24), ("weeks", "days", 7), ("feet", "inches", 12), ("yards", "feet", 3), ("years", "months", 12),
         ("euros", "cents", 100), ("pounds", "ounces", 16), ("dozen", "pieces", 12))


def units(rng, brief):
    big, small, factor = rng.choice(UNITS)
    n = rng.randint(2, 99)
    if factor % 10 == 0 and rng.random() < 0.35:  # backwards, where it is a matter of zeros and one digit
        big, small, source, answer = small, big, n * factor, n
        steps = f"There are {factor} {big} in 1 {small}. "
        zeros = len(str(factor)) - 1
        steps += f"{source} without {zeros} zeros is {source // 10 ** zeros}"
        if factor == 60:
            steps = steps.replace("1 zeros", "1 zero") + f". {source // 10} / 6: {div_work(source // 10, 6, brief)}"
    else:
        source, answer = n, n * factor
        steps = f"1 {big if big == 'dozen' else big[:-1] if big != 'feet' else 'foot'} is {factor} {small}. " if not brief else f"{factor} {small}. "
        if factor in (10, 100, 1000):
            steps += f"{n} with {len(str(factor)) - 1} zeros is {answer}"
        elif factor == 60:
            steps += f"{n} x 6: {mul_digit_work(n, 6, brief)}, with a 0 {answer}"
        else:
            steps += f"{n} x {factor}: {mul_work(n, factor, brief)}"
    ask = rng.choice(("How many {2} are {0} {1}?", "How many {2} are in {0} {1}?", "Convert {0} {1} to {2}.", "{0} {1} in {2}?",
                      "What is {0} {1} in {2}?", "Please convert {0} {1} into {2}", "{0} {1} to {2}",
                      "How many {2} do I get for {0} {1}?"))
    return ask.format(source, big, small), steps, f"{source} {big} are {answer} {small}.", str(answer), f"units {source} {big} {small}"


TASKS = {"add": (add, 3), "subtract": (subtract, 3), "multiply": (multiply, 5), "divide": (divide, 2), "total": (total, 2),
         "compare": (compare, 3), "extreme": (extreme, 1.5), "units": (units, 3)}

"""Arithmetic tasks. Each task function returns (question, working, answer sentence, answer, problem key).

The workings go digit by digit: every step is a copy or a look-up in a small table, which a small model learns without
error. Numbers are first written with leading zeros, so that a digit's place can be told from the left.
"""


def add_steps(a, b, width):
    """347 + 89: "7+9=16 4+8+1=13 3+0+1=4"."""
    carry, steps = 0, []
    for x, y in zip(reversed(f"{a:0{width}d}"), reversed(f"{b:0{width}d}")):
        total = int(x) + int(y) + carry
        steps.append(f"{x}+{y}{'+1' if carry else ''}={total}")
        carry = total // 10
    return " ".join(steps)


def add_work(a, b, width=3):
    return f"{a:0{width}d}+{b:0{width}d}; {add_steps(a, b, width)}; {a + b}"


def sub_work(a, b, width=3):
    """a >= b; a borrowed ten stands before the digit at once: "17-9=8 14-8-1=5 3-1-1=1"."""
    borrow, steps = 0, []
    for x, y in zip(reversed(f"{a:0{width}d}"), reversed(f"{b:0{width}d}")):
        less = int(x) < int(y) + borrow
        steps.append(f"{'1' if less else ''}{x}-{y}{'-1' if borrow else ''}={int(x) + 10 * less - int(y) - borrow}")
        borrow = less
    return f"{a:0{width}d}-{b:0{width}d}; {' '.join(steps)}; {a - b}"


def mul_digit_work(a, d):
    """47 x 8: "7x8=56 4x8=32+5=37"."""
    carry, steps = 0, []
    for x in reversed(f"{a:02d}"):
        total = int(x) * d + carry
        steps.append(f"{x}x{d}={int(x) * d}" + (f"+{carry}={total}" if carry else ""))
        carry = total // 10
    return f"{a:02d}x{d}; {' '.join(steps)}; {a * d}"


def mul_work(a, b):
    """a, b < 100; the product of two numbers of two digits is the sum of two lines."""
    if b < 10:
        return mul_digit_work(a, b)
    if a < 10:
        return mul_digit_work(b, a)
    tens, ones = b // 10, b % 10
    return f"{mul_digit_work(a, ones)}; {mul_digit_work(a, tens)}; {add_work(a * ones, a * tens * 10, 4)}"


def div_work(a, d):
    """664 / 8: "6/8=0 0x8=0 6-0=6 66/8=8 8x8=64 66-64=2 24/8=3 3x8=24 24-24=0; 83"."""
    rest, steps = 0, []
    for c in str(a):
        part = rest * 10 + int(c)
        rest = part % d
        steps.append(f"{part}/{d}={part // d} {part // d}x{d}={part // d * d} {part}-{part // d * d}={rest}")
    return f"{' '.join(steps)}; {a // d}"


def sized(rng, most):
    """Up to `most` digits, the longest as often as all others together."""
    return rng.randrange(10 ** (most if rng.random() < 0.5 else rng.randint(1, most)))


ASK = ("What is {}?", "{} = ?", "Calculate {}.", "How much is {}?")


def ask_for(rng, forms, others, a, b):
    """One of the usual wordings, or now and then one of the task's own."""
    text = rng.choice(others) if rng.random() < 0.25 else rng.choice(ASK).format(rng.choice(forms))
    return text.format(a, b)


def add(rng):
    a, b = sized(rng, 3), sized(rng, 3)
    ask = ask_for(rng, ("{} + {}", "{} + {}", "{}+{}", "{} plus {}"), ("Add {} and {}.", "I have {} apples and get {} more. How many is that?"), a, b)
    return ask, add_work(a, b), f"The sum is {a + b}.", str(a + b), f"add {min(a, b)} {max(a, b)}"


def subtract(rng):
    a, b = sized(rng, 3), sized(rng, 3)
    if a < b and rng.random() < 0.7:
        a, b = b, a
    others = ["Subtract {1} from {0}."] + ["I had {0} coins and spent {1}. How many are left?"] * (a >= b)
    ask = ask_for(rng, ("{} - {}", "{} - {}", "{}-{}", "{} minus {}"), others, a, b)
    work = sub_work(a, b) if a >= b else f"{a:03d}<{b:03d} minus; {sub_work(b, a)}; {a - b}"
    return ask, work, f"The difference is {a - b}.", str(a - b), f"sub {a} {b}"


def multiply(rng):
    a, b = rng.choice(((sized(rng, 2), rng.randrange(10)), (rng.randrange(10), sized(rng, 2)), (rng.randrange(10, 100), rng.randrange(10, 30))))
    ask = ask_for(rng, ("{} x {}", "{} x {}", "{} * {}", "{} times {}"), ("Multiply {} by {}.", "A box holds {} eggs. How many eggs are in {} boxes?"), a, b)
    return ask, mul_work(a, b), f"The product is {a * b}.", str(a * b), f"mul {min(a, b)} {max(a, b)}"


def divide(rng):
    d, a = rng.randint(2, 9), sized(rng, 3 if rng.random() < 0.3 else 2)
    if rng.random() < 0.7:
        a -= a % d
    ask = ask_for(rng, ("{} / {}", "{} / {}", "{} divided by {}"), ("Divide {} by {}.",), a, d)
    answer = f"{a // d}" + (f" remainder {a % d}" if a % d else "")
    return ask, div_work(a, d), f"The result is {answer}.", answer, f"div {a} {d}"


def total(rng):
    numbers = [sized(rng, 2) for _ in range(3)]
    ask = rng.choice(("Add up {}.", "What is the sum of {}?", "What is {} in total?")).format(", ".join(map(str, numbers)))
    steps, so_far = [], numbers[0]
    for n in numbers[1:]:
        steps.append(add_work(so_far, n))
        so_far += n
    return ask, "; ".join(steps), f"The sum is {so_far}.", str(so_far), f"total {numbers}"


def compare_work(a, b):
    """Both of one form (003 or 09.90), then digit by digit up to the first difference."""
    def form(text):
        whole, _, part = text.partition(".")
        return f"{whole.zfill(2)}.{part.ljust(2, '0')}" if "." in a + b else text.zfill(3)
    x, y = form(a), form(b)
    steps = []
    for p, q in zip(x, y):
        if p != ".":
            steps.append(f"{p}{'=' if p == q else '<' if p < q else '>'}{q}")
        if p != q:
            break
    return f"{x} {y}; {' '.join(steps)}"


def compare(rng):
    if rng.random() < 0.4:
        whole = rng.randrange(20)
        near = max(0, whole + rng.choice((0, 0, 0, 1, -1)))
        a, b = (f"{w}.{rng.randint(1, 9) if rng.random() < 0.5 else '%02d' % rng.randint(1, 99)}" for w in (whole, near))
    else:
        a = str(sized(rng, 3))
        b = "".join(rng.sample(a, len(a))).lstrip("0") or "0" if rng.random() < 0.3 else str(sized(rng, 3))
    if float(a) == float(b):
        return compare(rng)
    larger = rng.random() < 0.6
    word = rng.choice(("larger", "bigger")) if larger else "smaller"
    ask = rng.choice(("Which is {2}, {0} or {1}?", "What is {2}, {0} or {1}?", "Compare {0} and {1}. Which one is {2}?"))
    answer = (max if larger else min)(a, b, key=float)
    return ask.format(a, b, word), compare_work(a, b), f"The {'larger' if larger else 'smaller'} number is {answer}.", answer, f"compare {min(a, b)} {max(a, b)}"


def extreme(rng):
    numbers = [str(n) for n in rng.sample(range(100), rng.randint(3, 4))]
    largest = rng.random() < 0.5
    word = "largest" if largest else "smallest"
    ask = rng.choice(("What is the {1} of {0}?", "Find the {1} number: {0}", "Which of {0} is the {1}?"))
    best, steps = numbers[0], []
    for n in numbers[1:]:
        old, best = best, (max if largest else min)(best, n, key=int)
        steps.append(f"{n},{old}{'<' if int(n) < int(old) else '>'} {best}")
    return ask.format(", ".join(numbers), word), "; ".join(steps), f"The {word} number is {best}.", best, f"extreme {largest} {numbers}"


UNITS = (("kilometers", "meters", 1000), ("meters", "centimeters", 100), ("centimeters", "millimeters", 10), ("kilograms", "grams", 1000),
         ("liters", "milliliters", 1000), ("euros", "cents", 100), ("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24),
         ("weeks", "days", 7), ("feet", "inches", 12), ("yards", "feet", 3), ("years", "months", 12))


def units(rng):
    big, small, factor = rng.choice(UNITS)
    n = rng.randint(2, 9) if factor in (12, 24) else rng.randint(2, 99)
    if factor % 10 == 0 and rng.random() < 0.35:  # backwards, where it is a matter of zeros and one digit
        big, small, source, answer = small, big, n * factor, n
        zeros = len(str(factor)) - 1
        steps = f"/{factor}; {source // 10 ** zeros}"
        if factor == 60:
            steps += f"; {div_work(n * 6, 6)}"
    else:
        source, answer = n, n * factor
        steps = f"x{factor}; "
        if factor == 60:
            steps += f"{mul_digit_work(n, 6)}; {answer}"
        elif factor % 10 == 0:
            steps += f"{answer}"
        else:
            steps += mul_work(n, factor)
    ask = rng.choice(("How many {2} are {0} {1}?", "How many {2} are in {0} {1}?", "Convert {0} {1} to {2}.", "What is {0} {1} in {2}?"))
    return ask.format(source, big, small), steps, f"It is {answer} {small}.", str(answer), f"units {source} {big} {small}"


TASKS = {"add": (add, 1.2), "subtract": (subtract, 3), "multiply": (multiply, 3.5), "divide": (divide, 4.5), "total": (total, 1),
         "compare": (compare, 2.5), "extreme": (extreme, 4), "units": (units, 4.5)}

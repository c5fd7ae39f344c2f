#!/usr/bin/python3
"""make_text.py OUT [BYTES]: a text of many languages and of code, from the manual pages and sources of this machine.

Half of it manual pages in whatever languages are installed (an equal share for each), a quarter English ones, a quarter
sources in C, C++ and Python. The same machine gives the same text."""
import glob
import gzip
import os
import sys

LANGUAGES = "cs da de es fi fr hu id it ja ko nl pl pt pt_BR ro ru sl sr sv tr uk zh_CN zh_TW".split()


def read(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rb") as f:
        text = f.read().decode("utf-8", "replace")
    if "/man/" not in path:
        return text
    return "".join(line for line in text.splitlines(True) if not line.startswith((".", "'")))  # not its markup


def take(patterns, size):
    """About `size` bytes: the first files that the patterns find, by name."""
    out, length = [], 0
    for path in sorted(p for pattern in patterns for p in glob.glob(pattern, recursive=True)):
        if length >= size or not os.path.isfile(path):
            continue
        text = read(path)[:40_000]
        out.append(text)
        length += len(text.encode())
    return "".join(out)


def main():
    out, size = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3_000_000
    pages = {language: f"/usr/share/man/{language}/man*/*" for language in LANGUAGES}
    pages = [pattern for pattern in pages.values() if glob.glob(pattern)]
    parts = [take([pattern], size // 2 // max(1, len(pages))) for pattern in pages]
    parts.append(take(["/usr/share/man/man[157]/*", "/usr/share/common-licenses/*"], size // 4))
    parts += [take([pattern], size // 12) for pattern in
              ("/usr/include/*.h", "/usr/include/c++/*/bits/*.h", "/usr/lib/python3*/*.py")]
    with open(out, "w", encoding="utf-8") as f:
        f.write("".join(parts))
    print(f"{out}: {os.path.getsize(out):,} bytes, {len(pages)} languages besides English")


if __name__ == "__main__":
    main()

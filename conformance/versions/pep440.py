"""Orders versions as `packaging` does.

Reads two texts a line, in hexadecimal UTF-8 with a space between them; answers each line with <, =, > or !, which says
that one of them is no version.
"""

import sys

from packaging.version import InvalidVersion, Version


def order(line: str) -> str:
    try:
        a, b = (Version(bytes.fromhex(text).decode()) for text in line.rstrip("\n").split(" "))
    except InvalidVersion:
        return "!"
    return "<" if a < b else "=" if a == b else ">"


for line in sys.stdin:
    print(order(line))

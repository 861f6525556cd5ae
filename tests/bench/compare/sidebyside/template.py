# SPDX-License-Identifier: Apache-2.0
"""Configuration templates: @NAME@, and lines `@if name`, `@else`, `@for NAME`, `@end`.

The proxies' own languages use $, {} and %, so that common template marks would clash."""

import re


def render(text, values):
    """`values` has texts by NAME, truths by name, and lists of texts for `@for`."""
    lines, _ = _block(text.splitlines(), 0, values, True)
    return "\n".join(lines) + "\n"


def _fill(line, values):
    return re.sub(r"@([A-Z0-9]+)@", lambda m: str(values[m.group(1)]), line)


def _block(lines, at, values, is_live):
    """Renders up to the line that ends this block; returns the text and that line's place."""
    out = []
    while at < len(lines):
        line = lines[at]
        word, _, name = line.strip().partition(" ")
        if word in ("@end", "@else"):
            return out, at
        if word == "@if":
            is_true = bool(values.get(name))
            part, at = _block(lines, at + 1, values, is_live and is_true)
            out += part
            if lines[at].strip() == "@else":
                part, at = _block(lines, at + 1, values, is_live and not is_true)
                out += part
        elif word == "@for":
            start = at + 1
            for item in values.get(name.lower() + "s") or [None]:
                lives = is_live and item is not None
                part, at = _block(lines, start, {**values, name: item}, lives)
                out += part
        elif is_live:
            out.append(_fill(line, values))
        at += 1
    return out, at

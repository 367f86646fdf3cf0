#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages of section 3 from the comments of gmem.h, in scdoc's language.

gmem3.py HEADER PAGE prints one: a function's name, or libgmem for the overview.
"""
import re
import sys

BLOCK = re.compile(r"/\*\*\n(.*?) \*/\n(.*?;)\n(?:\n|#)", re.S)


def escape(text):
    return re.sub(r"([\\_*])", r"\\\1", text)


class Item:
    """A commented declaration: what it is, its parameters, its text."""

    def __init__(self, comment, code):
        lines = [line[2:].removeprefix(" ") for line in comment.splitlines()]
        head, self.brief = lines[0].split(" - ", 1)
        self.kind, self.name = ([""] + head.split())[-2:]
        self.code = code
        self.params, self.text = [], []
        for line in lines[1:]:
            param = re.match(r"@(\w+): (.*)", line)
            if param and not self.text:
                self.params.append([param[1], param[2]])
            elif line.startswith("\t") and self.params and not self.text:
                self.params[-1][1] += " " + line.strip()
            elif line or self.text:
                self.text.append(line)

    def paragraphs(self):
        return [" ".join(p.split("\n")) for p in "\n".join(self.text).strip().split("\n\n") if p]


def parse(header):
    items = [Item(*match.groups()) for match in BLOCK.finditer(header)]
    return {f"{item.kind} {item.name}".strip(): item for item in items}


def types_of(item, items, found):
    """Types that the declaration names, and those that they name."""
    text = item.code + " ".join(text for _, text in item.params)
    for key, other in items.items():
        if other.kind and other.params and other not in found and \
                re.search(rf"\b{other.name}\b(?!\()", text):
            found.append(other)
            types_of(other, items, found)
    return found


def section(title, lines):
    return [f"# {title}", ""] + lines + [""]


def parameters(params):
    out = []
    for name, text in params:
        out += [f"*{escape(name)}*", f"\t{escape(text)}", ""]
    return out


def code(text):
    return ["```", text.expandtabs(8), "```", ""]


def function_page(item, items):
    text = item.paragraphs()
    returns = [p for p in text if p.startswith("Return: ")]
    described = [p for p in text if not p.startswith("Return: ")]
    out = [f"{item.name}(3)", ""]
    out += section("NAME", [f"{item.name} - {escape(item.brief)}"])
    out += section("SYNOPSIS", code("#include <gmem.h>\n\n" + item.code) +
                   ["Link with -lgmem (*pkg-config libgmem*)."])
    out += section("PARAMETERS", parameters(item.params)) if item.params else []
    body = [line for p in described for line in (escape(p), "")]
    for used in types_of(item, items, []):
        body += [f"## {used.kind} {escape(used.name)}", "", escape(used.brief[0].upper() + used.brief[1:]) + ".", ""]
        body += parameters(used.params)
        body += [line for p in used.paragraphs() for line in (escape(p), "")]
    out += section("DESCRIPTION", body) if body else []
    value = escape(returns[0][8:]) if returns else "Nothing."
    out += section("RETURN VALUE", [value])
    out += section("THREADS", [
        "As all of the library: see *libgmem*(3)."])
    out += section("SEE ALSO", ["*libgmem*(3), *gmem*(7)"])
    return out


def overview(header, items):
    intro = re.search(r"\n/\*\n(.*?)\n \*/\n#ifndef", header, re.S)[1]
    text = [line[3:] for line in intro.splitlines()]
    out = ["libgmem(3)", ""]
    out += section("NAME", ["libgmem - " + escape(text[0].split(": ", 1)[1].rstrip("."))])
    out += section("SYNOPSIS", code("#include <gmem.h>") + [
        "Link with -lgmem (*pkg-config libgmem*)."])
    body = "\n".join(text[1:]).strip().split("\n\n")
    out += section("DESCRIPTION", [line for p in body for line in
                                   (escape(" ".join(p.split("\n"))), "")])
    calls = []
    for item in items.values():
        if item.kind == "":
            calls += [f"*{escape(item.name)}*(3)", f"\t{escape(item.brief)}", ""]
    out += section("CALLS", calls)
    out += section("SEE ALSO", ["*gmem*(7), *gmem*(1)"])
    return out


def main():
    with open(sys.argv[1], encoding="ascii") as source:
        header = source.read()
    items = parse(header)
    page = overview(header, items) if sys.argv[2] == "libgmem" else \
        function_page(items[sys.argv[2]], items)
    print("\n".join(page).rstrip())


if __name__ == "__main__":
    main()

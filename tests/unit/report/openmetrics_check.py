#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads OpenMetrics text strictly; prints "N families, M samples", or what is wrong with it.

Checked: the grammar of each line, one TYPE a family before its samples and no family twice, names of
samples by type, labels in quotes with the escapes that are allowed and none twice, numbers, times that
grow within a series whose samples are together, counters that never fall, and "# EOF" at the end.
"""
import re
import sys

NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
PAIR = LABEL + r'="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{PAIR}(?:,{PAIR})*)?)\}})? (-?[0-9][-+.0-9e]*) ([0-9]+\.[0-9]{{3}})$")


def read(text):
    if not text.endswith("# EOF\n"):
        return "it does not end with # EOF"
    families, family, kind, done, last, samples = set(), None, None, set(), None, 0
    for number, line in enumerate(text[:-len("# EOF\n")].split("\n")[:-1], 1):
        where = f"line {number}: {line[:200]!r}: "
        if found := re.match(rf"# TYPE ({NAME}) (counter|gauge)$", line):
            family, kind = found.groups()
            if family in families:
                return where + "a family that was there before"
            families.add(family)
            last = None
        elif found := re.match(rf"# HELP ({NAME}) .+$", line):
            if found[1] != family:
                return where + "help of another family"
        elif found := SAMPLE.match(line):
            name, labels, value, at = found[1], found[2] or "", float(found[3]), float(found[4])
            if name != (family or "") + ("_total" if kind == "counter" else ""):
                return where + f"no sample of {family}"
            keys = [p.split("=")[0] for p in re.findall(PAIR, labels)]
            if len(keys) != len(set(keys)):
                return where + "a label twice"
            series = (name, labels)
            if last is None or last[0] != series:
                if series in done:
                    return where + "samples of a series are not together"
                done.add(series)
            elif at <= last[1]:
                return where + "time does not grow"
            elif kind == "counter" and value < last[2]:
                return where + "a counter falls"
            if kind == "counter" and value < 0:
                return where + "a counter below 0"
            last = (series, at, value)
            samples += 1
        else:
            return where + "neither TYPE, HELP nor a sample"
    return f"{len(families)} families, {samples} samples"


with open(sys.argv[1], encoding="utf-8") as f:
    print(read(f.read()))

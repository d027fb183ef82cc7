#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recomputes the figures of a game day's report from its raw timeline and the reports of its runs.

Reads {"record": ..., "runs": {id: report}, "earlier": [...], "report": ...} from a file; prints what
differs, a line each, then "checked N figures". docs/gameday-report.md has the definitions.
"""
import json
import re
import sys
from datetime import datetime

given = json.load(open(sys.argv[1], encoding="utf-8"))
record, reports, report = given["record"], given["runs"], given["report"]
entries = record["entries"]
checked = 0


def t(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def seconds(a, b):
    return (t(b) - t(a)).total_seconds()


def since(begin, at):  # nothing: the step had not begun then
    return seconds(begin, at) if begin and begin <= at else None


def same(told, computed):
    if isinstance(told, list) and isinstance(computed, list):
        return len(told) == len(computed) and all(map(same, told, computed))
    if isinstance(told, (int, float)) and isinstance(computed, (int, float)):
        return abs(told - computed) < 2e-6  # both are cut to microseconds
    return told == computed


def check(what, told, computed):
    global checked
    checked += 1
    if not same(told, computed):
        print(f"{what}: the report says {told!r}, the timeline {computed!r}")


# The document's steps, and which are around each.
around, steps = {}, {}


def walk(list_, outer):
    for step in list_ or []:
        steps[step["name"]], around[step["name"]] = step, outer + [step["name"]]
        for group in ("serial", "parallel"):
            walk(step.get(group), around[step["name"]])


walk(record["document"]["spec"]["steps"], [])

# Fault runs: first injected event, and until when an entry can be about them.
runs = []
for e in entries:
    if e["kind"] != "run-begun":
        continue
    of = reports.get(e["run"])
    step = steps.get(e["step"], {})
    injects = (bool(of["injections"] or of["experiment"]["spec"].get("faults")) if of
               else "sweep" in step or bool(step.get("experiment", {}).get("spec", {}).get("faults")))
    rows = [i["firstInjectedAt"] for i in of["injections"] if i["firstInjectedAt"]] if of else []
    over = [x["at"] for x in entries if x["kind"] == "run-over" and x["run"] == e["run"]]
    runs.append({"run": e["run"], "step": e["step"], "report": of, "fault": injects, "begun": e["at"],
                 "first": min(rows) if rows else None, "over": over[-1] if over else None})
faults = [r for r in runs if r["fault"]]
for r in faults:
    r["begin"] = r["first"] if r["report"] else r["begun"]
for r in faults:
    later = [o["begin"] for o in faults if o["begin"] and r["over"] and o["begin"] >= r["over"]]
    r["end"] = min(later) if later else None


def expected(r, alert=None):
    return [d for d in (r["report"] or {}).get("detections", [])
            if d["within"] is not None and alert in (None, d["alert"])]


def about(e):
    found = [r for r in faults if r["begin"] and r["begin"] <= e["at"] and not (r["end"] and e["at"] >= r["end"])]
    inside = [r for r in faults if r["begin"] and e["step"] in around.get(r["step"], [])]
    if e["step"] and e["kind"] != "alert" and inside:
        found = [r for r in found if r in inside]
    if e["word"]:
        found = [r for r in found if expected(r, e["word"])] or found
    return found


def first(r, kind_ok):
    """The earliest such entry about r alone, unless an earlier one may be about it, too; and the
    earliest that may be about it or about another one."""
    all_ = [(e["at"], about(e)) for e in entries if kind_ok(e)]
    mine = min((at for at, of in all_ if of == [r]), default=None)
    maybe = min((at for at, of in all_ if r in of and len(of) > 1), default=None)
    return (None if mine and maybe and maybe < mine else mine), maybe


# What the day awaits, what of it a run asked for itself, and where the timeline is deaf.
waits = {name: s["waitFor"] for name, s in steps.items()
         if (s.get("waitFor") or {}).get("alert") and s["waitFor"].get("state", "firing") == "firing"}
known_alerts = {s["waitFor"]["alert"] for s in steps.values() if (s.get("waitFor") or {}).get("alert")}
for s in steps.values():
    spec = (s.get("experiment") or {}).get("spec") or (s.get("sweep") or {}).get("experiment") or {}
    known_alerts |= {a["name"] for a in (spec.get("expect") or {}).get("alerts") or []}
known_alerts |= {d["alert"] for r in runs for d in expected(r)}


def fits(e, wait):
    labels = {k: re.sub(r"\\(.)", r"\1", v) for k, v in re.findall(r'([A-Za-z0-9_]+)="((?:\\.|[^"\\])*)"', e["text"])}
    return (e["kind"] == "alert" and e["word"] == wait["alert"]
            and all(labels.get(k) == v for k, v in (wait.get("labels") or {}).items()))


def covered(r, wait):
    alerts = (((r["report"] or {}).get("experiment") or {}).get("spec", {}).get("expect") or {}).get("alerts") or []
    return (any(a["name"] == wait["alert"] and (a.get("labels") or {}).items() <= (wait.get("labels") or {}).items()
                for a in alerts) and any(d["verdict"] != "unknown" for d in expected(r, wait["alert"])))


holes = []
for e in entries:
    if e["kind"] != "gap":
        continue
    if e["word"] in ("alerts", "alerts-at-once"):
        holes.append(["cut", e["at"], None])
    elif e["word"] == "monitoring":
        away = [h for h in holes if h[0] == "away" and h[2] is None]
        if not e["good"] and not away:
            holes.append(["away", e["at"], None])
        elif e["good"] and away:
            away[0][2] = e["at"]


def deaf(r, seen, by_day):
    until = seen or r["end"]
    own = all(covered(r, w) for w in waits.values())
    return bool(waits) and any(
        not (until and a >= until) and not (b and b < r["first"])
        and not (not by_day and own and (seen or (b and r["over"] and b <= r["over"]))) for _, a, b in holes)


def concerns(e):
    return not e["word"] or e["word"].split("{")[0] in known_alerts


told = {r["run"]: r for r in report["runs"]}
check("runs", [r["run"] for r in report["runs"]], [r["run"] for r in runs])
sums = {"detection": [], "acknowledgement": [], "repair": []}
for r in faults:
    figures = dict.fromkeys(sums)
    firing = None
    if r["first"]:
        fired = [d["firingAt"] for d in expected(r)
                 if d["firingAt"] and d["firingAt"] >= r["first"] and d["verdict"] != "before-fault"]
        seen, unsure = first(r, lambda e: not e["good"] and any(fits(e, w) for w in waits.values()))
        noticed, _ = first(r, lambda e: (e["kind"] == "found" and e["step"])
                           or (e["kind"] == "acknowledged" and concerns(e)))
        acked, _ = first(r, lambda e: e["kind"] == "acknowledged" and concerns(e))
        mitigated, maybe = first(r, lambda e: e["kind"] == "mitigated")
        firing = min(fired + ([seen] if seen else []), default=None)
        known = firing or not any(d["verdict"] == "unknown" for d in expected(r))
        if unsure and not seen and (not firing or unsure < firing):
            known = firing = None
        elif deaf(r, firing, bool(seen) and firing == seen and seen not in fired):
            known = firing = None
        to = (firing or noticed) if known else None
        figures["detection"] = seconds(r["first"], to) if to else None
        if acked and known:
            figures["acknowledgement"] = seconds(firing if firing and acked >= firing else r["first"], acked)
        recovered = r["report"]["recovery"]["recoveredAt"]
        to = mitigated or (None if maybe else recovered)
        figures["repair"] = seconds(r["first"], to) if to else None
    for name, value in figures.items():
        check(f"{name} of {r['run']}", told[r["run"]][name]["seconds"], value)
        if value is not None:
            sums[name].append(value)
            parts = told[r["run"]][name + "Parts"]
            if parts and name != "detection":
                check(f"parts of {name}", round(sum(p["seconds"] for p in parts), 6), round(value, 6))
        elif not told[r["run"]][name]["reason"]:
            print(f"{name} of {r['run']}: neither a figure nor a reason")
for name, key in (("detection", "mttd"), ("acknowledgement", "mtta"), ("repair", "mttr")):
    values = sums[name]
    check(key, report[key]["seconds"], sum(values) / len(values) if values else None)
    check(key + " known", report[key]["known"], len(values))
    check(key + " of", report[key]["of"], len(faults))
    gaps = [g for g in report["gaps"] if g["what"] == key.upper()]
    check(key + " gaps", len(gaps), len(faults) - len(values))

# How far it spread.
for r in runs:
    moved = {(e["pod"]) for e in (r["report"] or {}).get("effects", []) if e["significant"] or e["significantTail"]}
    check(f"spread of {r['run']}", sorted(p["pod"] for p in told[r["run"]]["spread"]), sorted(moved))

# Steps and runbooks: seconds from the begin of the step. Times count on when a group begins again.
nth, open_ = {}, {}
for e in entries:
    if e["kind"] == "step-begun" or e["kind"] == "step-over" and not open_.get(e["step"]):
        nth.setdefault(e["step"], []).append(e)
    if e["kind"] in ("step-begun", "step-over"):
        open_[e["step"]] = e["kind"] == "step-begun"
begun_as = {e["number"]: i for list_ in nth.values() for i, e in enumerate(list_) if e["kind"] == "step-begun"}
for s in report["steps"]:
    begun = [e["at"] for e in entries if e["step"] == s["name"] and begun_as.get(e["number"]) == s["times"]]
    over = [e["at"] for e in entries if e["kind"] == "step-over" and e["step"] == s["name"] and begun and e["at"] >= begun[0]]
    check(f"seconds of {s['name']}", s["seconds"], seconds(begun[0], min(over)) if begun and over else None)
for task in report["tasks"]:
    begins = [(e["at"], begun_as[e["number"]]) for e in entries if e["kind"] == "step-begun" and e["step"] == task["step"]]

    def mine(e):
        before = [b for b in begins if b[0] <= e["at"]]
        return e["step"] == task["step"] and begins and (before[-1] if before else begins[0])[1] == task["times"]

    begin = next((b[0] for b in begins if b[1] == task["times"]), None)
    counts = {"worked": 0, "failed": 0, "untouched": 0}
    for item in task["items"]:
        ticks = sorted((e for e in entries if e["kind"] == "tick" and mine(e) and e["item"] == item["number"]),
                       key=lambda e: e["at"])
        counts["untouched" if not ticks else "worked" if ticks[-1]["good"] else "failed"] += 1
        check(f"item {item['number']} of {task['step']}", item["seconds"],
              since(begin, ticks[-1]["at"]) if ticks else None)
        check("ticks", item["ticks"], len(ticks))
    for key, value in counts.items():
        check(f"{key} of {task['step']}", task[key], value)
    check("missing", [m["seconds"] for m in task["missing"]],
          [since(begin, e["at"]) for e in entries if e["kind"] == "missing" and mine(e)])

# Surprises, the timeline, the length of the day.
for s in report["surprises"]:
    if s["kind"] == "hidden":
        found = min((e["at"] for e in entries if e["kind"] == "found" and s["step"] in around.get(e["step"], [])), default=None)
        begins = [e["at"] for e in entries if e["kind"] == "step-begun" and e["step"] == s["step"]]
        before = [at for at in begins if found and at <= found]
        check(f"surprise {s['step']}", s["seconds"], seconds(max(before), found) if before else None)
        check(f"words of {s['step']}", "nobody found" in s["text"], found is None)
late = [round(seconds(e["at"], e["recordedAt"]), 6) for e in entries
        if e["at"] and e["recordedAt"] and seconds(e["at"], e["recordedAt"]) >= 5]
check("late", sorted(round(x["late"], 6) for x in report["timeline"] if x["late"] is not None), sorted(late))
check("entries", sum(1 for x in report["timeline"] if x["number"]), len(entries))
begin = [e["at"] for e in entries if e["kind"] == "started"]
end = [e["at"] for e in entries if e["kind"] == "over"]
check("length", report["seconds"], seconds(begin[0], end[-1]) if begin and end else None)
check("rehearsal", [c["seconds"] for c in report["checks"] if c["name"] == "abort rehearsed"],
      [e["seconds"] for e in entries if e["kind"] == "rehearsed"])
check("actions", [a["number"] for a in report["actions"]], [e["number"] for e in entries if e["kind"] == "action"])

# Comparison and trend.
earlier = given["earlier"]
check("trend", [p["mttd"]["seconds"] for p in report["trend"]],
      [d["mttd"]["seconds"] for d in earlier] + [report["mttd"]["seconds"]])
for row in (report["comparison"] or {}).get("figures", []):
    if row["what"] in ("MTTD", "MTTA", "MTTR"):
        a, b = earlier[-1][row["what"].lower()]["seconds"], report[row["what"].lower()]["seconds"]
        check(row["what"] + " change", row["change"], b - a if a is not None and b is not None else None)
    else:
        step = row["what"].removeprefix("MTTD of ")
        means = []
        for day in (earlier[-1], report):
            v = [r["detection"]["seconds"] for r in day["runs"]
                 if r["step"] == step and r["fault"] and r["detection"]["seconds"] is not None]
            means.append(sum(v) / len(v) if v else None)
        check(row["what"], [row["before"], row["now"]], means)
check("follow-ups", len(report["followUps"]), sum(len(d["actions"]) for d in earlier))
print(f"checked {checked} figures")

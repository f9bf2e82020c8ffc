"""Writes findings.tsv: what the records of osv.jsonl say about versions of packages, without Bailiff's code.

Run it in this directory: python3 expected.py. It needs dpkg and the package `packaging`. PyPI's versions are compared
by `packaging`, Ubuntu's by dpkg, those of Go and crates.io by the rules of Semantic Versioning below. Maven's are not
compared at all: each record lists the affected versions.
"""

import collections
import functools
import json
import re
import subprocess

from packaging.version import InvalidVersion, Version

VERSIONS_PER_PACKAGE = 14


def semver(text):
    text = text.removeprefix("v").split("+")[0]
    core, _, pre = text.partition("-")
    numbers = [int(number) for number in core.split(".")]
    numbers += [0] * (3 - len(numbers))
    identifiers = [(0, int(i), "") if i.isdigit() else (1, 0, i) for i in pre.split(".")] if pre else [(2, 0, "")]
    return numbers, identifiers


@functools.lru_cache(maxsize=None)
def dpkg_less(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "lt", b]).returncode == 0


def less(ecosystem, a, b):
    if ecosystem == "PyPI":
        return Version(a) < Version(b)
    if ecosystem in ("Go", "crates.io"):
        return semver(a) < semver(b)
    return dpkg_less(a, b)


def normal(ecosystem, name):
    return re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "PyPI" else name


def in_range(ecosystem, version, events):
    """The ends of the parts that contain the version: a fixed version, or None."""
    parts, part = [], None
    for event in events:
        kind, value = next(iter(event.items()))
        if kind == "introduced":
            part = [value, []]
            parts.append(part)
        else:
            part[1].append((kind, value))
    found = []
    for introduced, ends in parts:
        if introduced != "0" and less(ecosystem, version, introduced):
            continue
        past = [
            not less(ecosystem, version, end) if kind == "fixed" else less(ecosystem, end, version)
            for kind, end in ends
        ]
        if any(past):
            continue
        if not ends:
            found.append(None)
            continue
        first = functools.reduce(lambda a, b: b if less(ecosystem, b[1], a[1]) else a, ends)
        found.append(first[1] if first[0] == "fixed" else None)
    return found


def untagged(version):
    return version.removeprefix("v").startswith("0.0.0-")


def evaluate(ecosystem, version, entry):
    """None if not affected, otherwise (state, fixed version)."""
    ranges = [r for r in entry.get("ranges", []) if r["type"] != "GIT"]
    listed = version in entry.get("versions", [])
    if ecosystem == "Maven":
        if not listed:
            return None
        fixed = [e["fixed"] for r in ranges for e in r["events"] if "fixed" in e]
        return ("Fixed", fixed[0]) if fixed else ("Open", "-")
    if not ranges and not entry.get("versions"):
        return ("Unknown", "-")
    ends = [end for r in ranges for end in in_range(ecosystem, version, r["events"])]
    custom = (entry.get("ecosystem_specific") or {}).get("custom_ranges") or []
    if custom:
        values = [next(iter(e.values())) for r in custom for e in r["events"]]
        if untagged(version) and any(v != "0" and not untagged(v) for v in values):
            closed = [end for end in ends if end is not None]
            if not closed:
                return ("Unknown", "-")
            ends = closed
        else:
            ends = [end for end in ends if end is not None]
            ends += [end for r in custom for end in in_range(ecosystem, version, r["events"])]
    if not ends:
        return ("Open", "-") if listed else None
    if None in ends:
        return ("Open", "-")
    return ("Fixed", functools.reduce(lambda a, b: b if less(ecosystem, a, b) else a, ends))


def combine(ecosystem, states):
    """The state of several advisories, or of several entries about one package."""
    fixed = [fixed for state, fixed in states if state == "Fixed"]
    if fixed and ecosystem == "Maven":
        if len(set(fixed)) > 1:
            return None
        return ("Fixed", fixed[0])
    if fixed:
        return ("Fixed", functools.reduce(lambda a, b: b if less(ecosystem, a, b) else a, fixed))
    return ("Open", "-") if ("Open", "-") in states else ("Unknown", "-")


def cves(record):
    names = [record["id"]] + record.get("aliases", []) + record.get("upstream", [])
    found = {m.group(1) for n in names if (m := re.fullmatch(r"(?:[A-Z]+-)?(CVE-\d{4}-\d+)", n))}
    return found or {record["id"]}


def parses(ecosystem, version):
    try:
        less(ecosystem, version, version) if ecosystem != "Maven" else None
    except (InvalidVersion, ValueError):
        return False
    return True


def main():
    records = [json.loads(line) for line in open("osv.jsonl", encoding="utf-8")]
    packages = collections.defaultdict(set)
    entries = collections.defaultdict(list)
    for record in records:
        for entry in record["affected"]:
            ecosystem = entry["package"]["ecosystem"]
            if not re.match(r"PyPI$|Go$|crates\.io$|Maven$|Ubuntu:(?!Pro)", ecosystem):
                continue
            key = ecosystem, normal(ecosystem, entry["package"]["name"])
            entries[key].append((record, entry))
            versions = set(entry.get("versions", []))
            if ecosystem != "Maven":
                for r in entry.get("ranges", []):
                    if r["type"] != "GIT":
                        versions |= {next(iter(e.values())) for e in r["events"]} - {"0"}
            packages[key] |= {v for v in versions if parses(ecosystem, v)}
    # Packages about which there is one record say little, except where the records are samples of the format.
    rows = []
    for (ecosystem, name), versions in sorted(packages.items()):
        of = entries[ecosystem, name]
        if len(of) < 3 and not ecosystem.startswith("Ubuntu") and "custom_ranges" not in json.dumps(of):
            continue
        versions = sorted(versions)
        step = max(1, len(versions) // VERSIONS_PER_PACKAGE)
        for version in versions[::step]:
            found = collections.defaultdict(list)
            for record in records:
                if record.get("withdrawn"):
                    continue
                pro = [e for e in record["affected"] if e["package"]["ecosystem"] == ecosystem.replace("Ubuntu:", "Ubuntu:Pro:", 1) and e["package"]["name"] == name]
                if ecosystem.startswith("Ubuntu") and pro:
                    continue
                states = [
                    state
                    for r, entry in of
                    if r is record and (state := evaluate(ecosystem, version, entry))
                ]
                if states:
                    # An open range of a record is never closed by another one of it.
                    state = ("Open", "-") if ("Open", "-") in states else combine(ecosystem, states)
                    for name_of in cves(record):
                        found[name_of].append(state)
            rows.append((ecosystem, name, version, "", "", ""))
            for finding, states in sorted(found.items()):
                state = None if None in states else combine(ecosystem, states)
                state = state or ("?", "?")
                rows.append((ecosystem, name, version, finding, *state))
    with open("findings.tsv", "w", encoding="utf-8") as out:
        out.write("# Written by expected.py: ecosystem, package, version, and each finding with state and fixed version.\n")
        out.write("# A line without a finding names a version that was evaluated.\n")
        for row in rows:
            out.write("\t".join(row).rstrip("\t") + "\n")
    print(len(rows))


main()

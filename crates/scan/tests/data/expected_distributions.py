"""Writes distribution-findings.tsv: what Alpine's and Debian's data say about versions of packages, without Bailiff's code.

Run it in this directory: python3 expected_distributions.py. It needs dpkg. Debian's versions are compared by dpkg, and
Alpine's by the rules below, which know only versions such as 1.2.3b_p1-r4 and 1.2_rc1-r0.
"""

import collections
import functools
import json
import re
import subprocess

CODENAMES = {
    "woody": "3.0", "sarge": "3.1", "etch": "4.0", "lenny": "5.0", "squeeze": "6.0", "wheezy": "7", "jessie": "8",
    "stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "sid": "sid",
}
VERSIONS_PER_PACKAGE = 3


@functools.lru_cache(maxsize=None)
def dpkg_less(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "lt", b], check=False).returncode == 0


@functools.lru_cache(maxsize=None)
def apk_key(version):
    m = re.fullmatch(r"(\d+(?:\.[1-9]\d*|\.0)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(?:-r(\d+))?", version)
    if not m:
        raise ValueError(version)
    order = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
    numbers = [int(n) for n in m[1].split(".")]
    suffixes = [(order[name], int(n or 0)) for name, n in re.findall(r"_([a-z]+)(\d*)", m[3])]
    return numbers, m[2], suffixes + [(0, 0)], int(m[4] or 0)


def apk_less(a, b):
    return apk_key(a) < apk_key(b)


def less(ecosystem, a, b):
    return apk_less(a, b) if ecosystem.startswith("Alpine") else dpkg_less(a, b)


def is_no_version(ecosystem, version):
    """Alpine's database has some texts that are no version of apk, such as 4.10-1-r1."""
    return ecosystem.startswith("Alpine") and re.search(r"-\d", version) is not None


def highest(ecosystem, versions):
    return functools.reduce(lambda a, b: b if less(ecosystem, a, b) else a, versions)


def of_alpine(claims, file):
    database = json.load(open(file, encoding="utf-8"))
    ecosystem = "Alpine:" + database["distroversion"]
    for item in database["packages"]:
        package = item["pkg"]["name"]
        for fixed, entries in item["pkg"]["secfixes"].items():
            for entry in entries:
                names = ["CVE-%s-%s" % cve for cve in re.findall(r"(?i)CVE[-_ ](\d{4})-(\d{4,})", entry)]
                names = names or re.findall(r"[A-Z]{2,}[A-Z0-9]*-[0-9A-Za-z][-0-9A-Za-z]*", entry)[:1]
                for name in names:
                    claims[ecosystem, package][name].append((fixed, None))


def of_debian_list(claims, file):
    text = open(file, encoding="utf-8").read()
    for notice in re.split(r"(?m)^(?=\[\d)", text):
        if not notice.strip():
            continue
        head, *lines = notice.splitlines()
        name = head.split("]", 1)[1].split()[0]
        cves = sorted({cve for line in lines if "{" in line for cve in re.findall(r"CVE-\d+-\d+", line)})
        if not cves and "regression" in head:
            continue
        for line in lines:
            m = re.match(r"\s+\[([a-z]+)\]\s+-\s+(\S+)\s+(\S+)", line)
            if not m:
                continue
            codename, package, version = m.groups()
            claim = {"<not-affected>": ("0", None), "<end-of-life>": (None, "EndOfLife"), "<unfixed>": (None, "Open")}
            for cve in cves or [name]:
                claims["Debian:" + CODENAMES[codename], package][cve].append(claim.get(version, (version, None)))


def of_debian_tracker(claims, file):
    for package, issues in json.load(open(file, encoding="utf-8")).items():
        for cve, issue in issues.items():
            for codename, state in dict(issue["releases"]).items():
                fixed = state.get("fixed_version") if state["status"] == "resolved" else None
                word = "Open"
                if state["status"] == "undetermined":
                    word = "Unknown"
                elif state.get("nodsa_reason") in ("ignored", "postponed"):
                    word = {"ignored": "WontFix", "postponed": "Postponed"}[state["nodsa_reason"]]
                if state["urgency"] == "end-of-life":
                    word = "EndOfLife"
                claims["Debian:" + CODENAMES[codename], package][cve].append((fixed, word))


def main():
    claims = collections.defaultdict(lambda: collections.defaultdict(list))
    for file in ("secdb-v3.9-community.json", "secdb-v3.11-main.json", "secdb-made.json"):
        of_alpine(claims, file)
    of_debian_list(claims, "debian-updates.list")
    of_debian_tracker(claims, "debian-tracker.json")
    of_debian_tracker(claims, "debian-tracker-made.json")
    rows = []
    for (ecosystem, package), found in sorted(claims.items()):
        for of in found.values():
            of[:] = [(None, "Unknown") if f and is_no_version(ecosystem, f) else (f, word) for f, word in of]
        versions = {fixed for of in found.values() for fixed, _ in of if fixed not in (None, "0")}
        try:
            versions = sorted(versions, key=functools.cmp_to_key(lambda a, b: -1 if less(ecosystem, a, b) else 1))
        except ValueError as error:
            print("left out:", ecosystem, package, error)
            continue
        versions = versions[:: max(1, len(versions) // VERSIONS_PER_PACKAGE)]
        for version in ["0.0.1-r0" if ecosystem.startswith("Alpine") else "0~1"] + versions:
            rows.append((ecosystem, package, version))
            for name, of in sorted(found.items()):
                fixed = [f for f, _ in of if f not in (None, "0") and less(ecosystem, version, f)]
                words = [word for f, word in of if f is None]
                if fixed:
                    rows.append((ecosystem, package, version, name, "Fixed", highest(ecosystem, fixed)))
                elif words:
                    rows.append((ecosystem, package, version, name, words[0], "-"))
    with open("distribution-findings.tsv", "w", encoding="utf-8") as out:
        out.write("# Written by expected_distributions.py: ecosystem, package, version, and each finding with state and fixed version.\n")
        out.write("# A line without a finding names a version that was evaluated.\n")
        for row in rows:
            out.write("\t".join(row) + "\n")
    print(len(rows))


if __name__ == "__main__":
    main()

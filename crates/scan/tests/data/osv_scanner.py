"""Writes osv-scanner.tsv: what osv-scanner finds for packages with the advisories of this directory.

Run it in this directory: python3 osv_scanner.py "$(../../../../hack/osv-scanner.sh)". With --check before the program,
it writes nothing, and fails if the answers differ from the file; make conformance does that.

osv-scanner reads the format of OSV alone. What Alpine and Debian publish is converted to it here, with the readers of
expected_distributions.py, which share no code with Bailiff.
"""

import collections
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import expected_distributions

RECORDS = ["osv.jsonl", "osv-made.jsonl"]
SECDB = ["secdb-v3.9-community.json", "secdb-v3.11-main.json", "secdb-made.json"]
UPDATES = "debian-updates.list"
TABLE = "osv-scanner.tsv"


def records():
    """The records of each ecosystem, without its release."""
    found = collections.defaultdict(dict)
    for file in RECORDS:
        for line in open(file, encoding="utf-8"):
            record = json.loads(line)
            for entry in record["affected"]:
                found[entry["package"]["ecosystem"].split(":")[0]][record["id"]] = record
    claims = collections.defaultdict(lambda: collections.defaultdict(list))
    for file in SECDB:
        expected_distributions.of_alpine(claims, file)
    expected_distributions.of_debian_list(claims, UPDATES)
    for (ecosystem, package), of_package in sorted(claims.items()):
        for name, states in of_package.items():
            of_ecosystem = found[ecosystem.split(":")[0]]
            record = of_ecosystem.setdefault(name, {"id": name, "modified": "2020-01-01T00:00:00Z", "affected": []})
            for fixed, _ in states:
                events = [{"introduced": "0"}] + ([{"fixed": fixed}] if fixed is not None else [])
                package_of = {"ecosystem": ecosystem, "name": package}
                record["affected"].append({"package": package_of, "ranges": [{"type": "ECOSYSTEM", "events": events}]})
    return found


def packages():
    """Those of the tables of findings, and those that made records name for this."""
    found = set()
    for file in ("findings.tsv", "distribution-findings.tsv"):
        for line in open(file, encoding="utf-8"):
            if not line.startswith("#"):
                found.add(tuple(line.rstrip("\n").split("\t")[:3]))
    for line in open("osv-made.jsonl", encoding="utf-8"):
        record = json.loads(line)
        for entry in record["affected"]:
            for version in record["database_specific"]["compared"]:
                found.add((entry["package"]["ecosystem"], entry["package"]["name"], version))
    return sorted(found)


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as to:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            to.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image(ecosystem, wanted):
    """What docker save writes of an image of a release with these packages, each with a name of its own."""
    distribution, release = ecosystem.split(":", 1)
    if distribution == "Alpine":
        release = release[1:] + ".0"
        database = "lib/apk/db/installed"
        stanza = "P:p%d\no:%s\nV:%s\nA:x86_64\n\n"
    else:
        database = "var/lib/dpkg/status"
        stanza = "Package: p%d\nSource: %s\nVersion: %s\nStatus: install ok installed\nArchitecture: all\n\n"
    stanzas = "".join(stanza % (number, name, version) for number, (_, name, version) in enumerate(wanted))
    names = 'ID=%s\nVERSION_ID="%s"\n' % (distribution.lower(), release)
    layer = archive({"etc/os-release": names.encode(), database: stanzas.encode()})
    diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = {"os": "linux", "architecture": "amd64", "config": {}, "history": [{"created_by": "COPY . /"}]}
    config["rootfs"] = {"type": "layers", "diff_ids": [diff_id]}
    manifest = [{"Config": "config.json", "RepoTags": ["made:1"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    return archive(files | {"layer.tar": layer})


def run(program, directory, arguments):
    command = [program, "scan"] + arguments
    command += ["--offline", "--all-vulns", "--format", "json", "--local-db-path", directory]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    # It exits with 1 if it finds something.
    if result.returncode not in (0, 1):
        sys.exit("osv-scanner exited with %d: %s" % (result.returncode, result.stderr.decode()))
    for of_source in json.loads(result.stdout)["results"]:
        for package in of_source["packages"]:
            of = tuple(package["package"][field] for field in ("ecosystem", "name", "version"))
            yield of, {vulnerability["id"] for vulnerability in package.get("vulnerabilities", [])}


def answers(program):
    found = {of: set() for of in packages()}
    with tempfile.TemporaryDirectory() as directory:
        for ecosystem, of_ecosystem in records().items():
            path = os.path.join(directory, "osv-scalibr", ecosystem)
            os.makedirs(path)
            with zipfile.ZipFile(os.path.join(path, "all.zip"), "w") as to:
                for name, record in of_ecosystem.items():
                    to.writestr(name + ".json", json.dumps(record))
        by_ecosystem = collections.defaultdict(list)
        for of in found:
            by_ecosystem[of[0]].append(of)
        for ecosystem, wanted in sorted(by_ecosystem.items()):
            if ":" in ecosystem:
                # A list does not name the release of a distribution, an image does.
                file = os.path.join(directory, "image.tar")
                with open(file, "wb") as out:
                    out.write(image(ecosystem, wanted))
                result = run(program, directory, ["image", "--archive", file])
            else:
                file = os.path.join(directory, "osv-scanner-custom.json")
                of_list = [{"package": dict(zip(("ecosystem", "name", "version"), of))} for of in wanted]
                with open(file, "w", encoding="utf-8") as out:
                    json.dump({"results": [{"source": {"path": "a", "type": "lockfile"}, "packages": of_list}]}, out)
                result = run(program, directory, ["source", "-L", "osv-scanner:" + file])
            for of, names in result:
                found[of] |= names
    return found


def main():
    *options, program = sys.argv[1:]
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[2]
    digest = hashlib.sha256()
    for file in RECORDS + SECDB + [UPDATES]:
        digest.update(open(file, "rb").read())
    text = "# osv-scanner %s, SHA-256 of the advisories %s\n" % (version, digest.hexdigest())
    text += "# Written by osv_scanner.py: ecosystem, package, version, and the advisories that affect it.\n"
    for of, found in sorted(answers(program).items()):
        text += "\t".join(of + (" ".join(sorted(found)),)).rstrip("\t") + "\n"
    if options == ["--check"]:
        if open(TABLE, encoding="utf-8").read() != text:
            sys.exit("the answers of osv-scanner are not those of crates/scan/tests/data/%s; run osv_scanner.py" % TABLE)
        print("osv-scanner %s: %d packages as in %s" % (version, text.count("\n") - 2, TABLE))
    else:
        with open(TABLE, "w", encoding="utf-8") as out:
            out.write(text)


main()

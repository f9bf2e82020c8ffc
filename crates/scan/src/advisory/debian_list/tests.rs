//! Lists of security updates as Debian publishes them, and as nobody should publish them.

use super::*;
use crate::advisory::Event;

fn all(text: &str) -> (Vec<Advisory>, Vec<String>) {
    let (mut advisories, mut errors) = (Vec::new(), Vec::new());
    read(text.as_bytes(), |advisory| match advisory {
        Ok(advisory) => advisories.push(advisory),
        Err(error) => errors.push(error),
    })
    .unwrap();
    (advisories, errors)
}

/// The names of an advisory and what it says about packages.
fn shown(advisory: &Advisory) -> String {
    let names: Vec<_> = advisory.names().collect();
    let entries = advisory.affected.iter().map(|entry| {
        let ranges = entry.ranges.iter().map(|range| {
            let versions: Vec<_> = range.events.iter().map(Event::version).collect();
            versions.join("-")
        });
        let ranges: Vec<_> = ranges.collect();
        let notes: Vec<_> = entry
            .notes
            .iter()
            .map(|note| format!(" {note:?}"))
            .collect();
        let dates = entry.fix_dates.iter();
        let dates: Vec<_> = dates
            .map(|d| format!(" {} on {} by {}", d.version, d.date, d.source))
            .collect();
        format!(
            "{}/{} {}{}{}",
            entry.ecosystem,
            entry.name,
            ranges.join(" "),
            notes.concat(),
            dates.concat()
        )
    });
    let entries: Vec<_> = entries.collect();
    format!("{}: {}", names.join(" "), entries.join(", "))
}

#[test]
fn updates_are_read_with_their_day() {
    let text = "\
[29 Mar 2023] DSA-5380-1 xorg-server - security update
\t{CVE-2023-1393 CVE-2023-1393}
\t[bullseye] - xorg-server 2:1.20.11-1+deb11u6
[17 Mar 2023] DSA-5356-2 sox - regression update
\t[bullseye] - sox 14.4.2+git20190427-2+deb11u2
[18 Apr 2018] DSA-4205-1 jessie end-of-life
[05 Oct 2005] DSA-838-1 mozilla-firefox - multiple vulnerabilities
        {CVE-2005-2701 CVE-2005-2702
        [woody] - mozilla-firefox <not-affected> (not in woody)
\t[sarge] - mozilla-firefox  1.0.4-2sarge5 (bug #329778; medium)

\tNOTE: fixed in testing at time of DSA
\t[etch] - mozilla-firefox <end-of-life> (too (very) old)
\t[lenny] - a <postponed> (Minor)
\t[lenny] - b <ignored>
\t[lenny] - c <unfixed> (high)
\t[lenny] - d <undetermined>
";
    let (advisories, errors) = all(text);
    assert_eq!(errors, [""; 0]);
    let shown: Vec<_> = advisories.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "DSA-5380-1 CVE-2023-1393: Debian:11/xorg-server 0-2:1.20.11-1+deb11u6 2:1.20.11-1+deb11u6 on 2023-03-29 by DSA-5380-1",
            "DSA-838-1 CVE-2005-2701 CVE-2005-2702: \
             Debian:3.0/mozilla-firefox 0-0, \
             Debian:3.1/mozilla-firefox 0-1.0.4-2sarge5 1.0.4-2sarge5 on 2005-10-05 by DSA-838-1, \
             Debian:4.0/mozilla-firefox 0 EndOfLife(\"too (very) old\"), \
             Debian:5.0/a 0 Postponed(\"Minor\"), \
             Debian:5.0/b 0 WontFix(\"\"), \
             Debian:5.0/c 0, \
             Debian:5.0/d  Undetermined(\"Debian has not determined whether the package is affected\")",
        ]
    );
    let [first, second] = &advisories[..] else {
        panic!("{advisories:?}");
    };
    assert_eq!(first.title, "");
    assert_eq!(second.title, "mozilla-firefox - multiple vulnerabilities");
    assert_eq!(
        first.modified,
        Some("2023-03-29T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_line_that_cannot_be_read_is_reported_and_hides_no_other() {
    let long = "1".repeat(257);
    let text = format!(
        "\
[29 Foo 2023] DSA-1-1 a - security update
\t[bullseye] - a 1
[29 Mar 2023 DSA-2-1 a
[29 Mar 2023]
[29 Mar 2023] DSA-3-1 a - security update
\t{{CVE-2023-1 CVE-\u{e4}}}
\t[bullseye] - a
\t[nemo] - a 1
\t[bullseye] - a <gone>
\t- a 1
\t[bullseye] - a {long}
\t[bullseye] - a 1"
    );
    let (advisories, errors) = all(&text);
    assert_eq!(
        errors,
        [
            "line 1: must have a date such as [29 Mar 2023]",
            "line 3: must have a date in brackets",
            "line 4: must have a name such as DSA-5380-1 after the date",
            "line 6: the names must be printable ASCII",
            "line 7: must be a package such as [bullseye] - xorg-server 2:1.20.11-1+deb11u6",
            "line 8: \"nemo\" is no release of Debian that Bailiff knows",
            "line 9: \"<gone>\" is no mark that Bailiff knows",
            "line 10: must be a package such as [bullseye] - xorg-server 2:1.20.11-1+deb11u6",
            "line 11: the name must have at most 1024 bytes and the version 256",
        ]
    );
    let shown: Vec<_> = advisories.iter().map(shown).collect();
    assert_eq!(
        shown,
        ["DSA-3-1 CVE-2023-1: Debian:11/a 0-1 1 on 2023-03-29 by DSA-3-1"]
    );
}

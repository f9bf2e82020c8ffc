//! The texts of a response, within the limits of the API server and of clients.
//!
//! Here: how many, how long, and which characters. Not here: their wording (`bailiff_policy::image`,
//! `entries`).
//! Invariant: printable ASCII, because parts of a text can be what a tenant wrote.

pub(crate) use bailiff_policy::text::ascii;

/// Most warnings of a response.
pub(crate) const WARNINGS_LIMIT: usize = 15;
/// Most characters of a warning. The API server cuts longer ones, and drops all beyond 4,096 together.
pub(crate) const WARNING_LIMIT: usize = 256;
/// Most characters of the message of a rejection, besides the number of what it does not name.
pub(crate) const DENIAL_LIMIT: usize = 1024;
/// What shows all violations.
const ALL: &str = "`bailiff check -f FILE` shows all";

/// Warnings, the worst first; what is too much is counted in the last one.
#[must_use]
pub(crate) fn warnings(messages: &[String]) -> Vec<String> {
    let shown = if messages.len() > WARNINGS_LIMIT {
        WARNINGS_LIMIT.saturating_sub(1)
    } else {
        messages.len()
    };
    let mut found: Vec<_> = messages
        .iter()
        .take(shown)
        .map(|message| ascii(message, WARNING_LIMIT))
        .collect();
    let more = messages.len().saturating_sub(shown);
    if more > 0 {
        found.push(format!("And {more} more; {ALL}."));
    }
    found
}

/// The message of a rejection: whole messages, the worst first, and the number of the others.
#[must_use]
pub(crate) fn denial(messages: &[String]) -> String {
    let mut all = messages.iter();
    let mut found = all
        .next()
        .map_or_else(String::new, |m| ascii(m, DENIAL_LIMIT));
    let mut more = 0_usize;
    for message in all {
        let message = ascii(message, DENIAL_LIMIT);
        if more == 0 && found.len().saturating_add(message.len()) < DENIAL_LIMIT {
            found.push(' ');
            found.push_str(&message);
        } else {
            more = more.saturating_add(1);
        }
    }
    if more > 0 {
        found.extend([" And ", &more.to_string(), " more; ", ALL, "."]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_at_most_fifteen_of_256_characters() {
        let messages = |n: usize| vec!["x".repeat(300); n];
        let found = warnings(&messages(15));
        assert_eq!(found.len(), 15);
        assert!(
            found
                .iter()
                .all(|w| w.len() == 256 && w.ends_with("xxx..."))
        );
        let found = warnings(&messages(40));
        assert_eq!(found.len(), 15);
        assert_eq!(found[14], "And 26 more; `bailiff check -f FILE` shows all.");
        assert!(found.iter().map(String::len).sum::<usize>() <= 4096);
        assert_eq!(warnings(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_rejection_has_whole_messages_and_the_number_of_the_others() {
        let text =
            |messages: &[&str]| denial(&messages.iter().map(|&m| m.to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["A is bad.", "B is worse."]), "A is bad. B is worse.");
        let long = "y".repeat(DENIAL_LIMIT);
        assert_eq!(
            text(&["A is bad.", &long, "B.", "C."]),
            "A is bad. And 3 more; `bailiff check -f FILE` shows all."
        );
        assert_eq!(
            text(&[&long, "B."]),
            format!("{long} And 1 more; `bailiff check -f FILE` shows all.")
        );
    }
}

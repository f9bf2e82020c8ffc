use super::*;

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    for (text, seconds) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("301", Some(300)),
        ("99999999999999999999", Some(300)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
        ("Sun, 06 Nov 1994 18:49:37 GMT", Some(300)),
        ("", None),
        ("1.5", None),
        ("-1", None),
        ("Sun, 06 Nov 1994 08:50:37 CET", None),
    ] {
        let expected = seconds.map(Duration::from_secs);
        assert_eq!(retry_after(text, now), expected, "{text}");
    }
}

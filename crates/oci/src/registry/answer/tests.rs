use super::*;

#[test]
fn a_media_type_is_known_whatever_its_parameters_and_case() {
    for (text, expected) in [
        (
            "application/vnd.oci.image.index.v1+json",
            Some(ManifestKind::Index),
        ),
        (
            "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8",
            Some(ManifestKind::Manifest),
        ),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            Some(ManifestKind::Index),
        ),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            Some(ManifestKind::Manifest),
        ),
        ("application/vnd.docker.distribution.manifest.v1+json", None),
        ("application/json", None),
        ("", None),
        (";", None),
    ] {
        assert_eq!(kind(text), expected, "{text}");
    }
}

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

#[test]
fn bytes_have_the_digest_of_each_algorithm() {
    for (algorithm, digits) in [
        (
            Algorithm::Sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Algorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        let expected = Digest::parse(&format!("{}:{digits}", algorithm.name())).unwrap();
        assert_eq!(hash(algorithm, b"abc"), expected);
    }
}

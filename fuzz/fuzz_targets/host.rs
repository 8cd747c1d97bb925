//! Whatever a `Host` header says, it is a DNS name or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unidler::host::Host;

fuzz_target!(|texts: (&str, &str)| {
    let (header, rule) = texts;
    let Ok(host) = Host::parse(header) else {
        return;
    };
    let name = host.as_str();
    assert!(
        (1..=253).contains(&name.len()),
        "it has the length of a name"
    );
    assert!(
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)),
        "it is in lower case"
    );
    assert_eq!(Host::parse(name).as_ref(), Ok(&host), "it is what it is");
    assert_eq!(
        Host::parse(&format!("{name}.:8080")).as_ref(),
        Ok(&host),
        "port and trailing dot do not matter"
    );
    assert_eq!(name.split('.').next(), Some(host.first_label()));

    assert!(
        host.is_served_by(name) && host.is_served_by(&name.to_ascii_uppercase()),
        "its own rule serves it"
    );
    if host.is_served_by(rule) {
        let parent = name
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        let rule = rule.to_ascii_lowercase();
        assert!(
            rule == name || Some(rule) == parent,
            "no other rule does, but the wildcard for its first label"
        );
    }
});

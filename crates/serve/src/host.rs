//! Which host a request is for.

use std::net::IpAddr;

/// The name in a `Host` header, without its port, in small letters and without the dot that may end it; an IPv6 address
/// without its brackets. None where it is no name.
pub(crate) fn name_of(header: &str) -> Option<String> {
    let name = match header.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(address)?
        }
        None => match header.split_once(':') {
            Some((name, port)) => is_port(port).then_some(name)?,
            None => header,
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    is_name.then(|| name.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a name is this machine's for whoever sits at it.
pub(crate) fn is_loopback(name: &str) -> bool {
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_whatever_its_port_case_and_brackets() {
        for (header, expected) in [
            ("STS.example.org:8080", Some("sts.example.org")),
            ("sts.example.org.", Some("sts.example.org")),
            ("[::1]:8080", Some("::1")),
            ("[::1]", Some("::1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("", None),
            (":80", None),
            ("a:80:90", None),
            ("[::1", None),
            ("a@b", None),
            ("a b", None),
        ] {
            assert_eq!(name_of(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn this_machines_names_are_loopback_and_those_that_begin_like_them_are_not() {
        for name in ["localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0", "::", "notlocalhost"] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}

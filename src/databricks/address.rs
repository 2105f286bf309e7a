//! Addresses as the audit log writes them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address without its port; `None` for those that mean nothing (`0.0.0.0`,
/// `127.0.0.1`, empty).
///
/// An IPv6 address is full of colons: a port is there only behind brackets or
/// behind an IPv4 address.
pub fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address: IpAddr = bare
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()))
        .ok()?;
    let means_nothing = address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::LOCALHOST);
    (!means_nothing).then(|| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_port_is_stripped_and_an_ipv6_address_stays_whole() {
        for (text, expect) in [
            ("10.30.0.242", Some("10.30.0.242")),
            ("10.30.0.242:44312", Some("10.30.0.242")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("0.0.0.0", None),
            ("127.0.0.1:80", None),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(address(text).as_deref(), expect, "{text}");
        }
    }
}

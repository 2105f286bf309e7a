//! Where a request came from, and whether that is a known place.
//!
//! Policies judge by it, and attribution asks it whether a machine's credential was
//! used away from the machine. Unknown is not outside: with nothing configured, or no
//! address recorded, [`Place::Unknown`] lets nothing follow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What CloudTrail's `sourceIPAddress` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Private(IpAddr),
    Public(IpAddr),
    /// The DNS name of an AWS service.
    Service,
    AwsInternal,
    /// None of these; kept as text, never an error.
    Invalid,
}

impl Source {
    /// Reads the field; any text is one of the kinds.
    pub fn parse(text: &str) -> Source {
        if let Ok(address) = text.parse::<IpAddr>() {
            // An IPv4 address may be written as IPv6 (`::ffff:10.0.0.1`).
            let address = address.to_canonical();
            return if is_private(address) {
                Source::Private(address)
            } else {
                Source::Public(address)
            };
        }
        if text.starts_with("AWS Internal") {
            Source::AwsInternal
        } else if is_dns_name(text) {
            Source::Service
        } else {
            Source::Invalid
        }
    }

    /// The kind's name.
    pub fn kind(self) -> &'static str {
        match self {
            Source::Private(_) => "private",
            Source::Public(_) => "public",
            Source::Service => "service",
            Source::AwsInternal => "aws_internal",
            Source::Invalid => "invalid",
        }
    }

    /// The address, where it is one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Source::Private(address) | Source::Public(address) => Some(address),
            Source::Service | Source::AwsInternal | Source::Invalid => None,
        }
    }
}

/// A range of addresses, as in `10.0.0.0/8`; a bare address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    first: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Reads a range; bits beyond the prefix are dropped. `None` when it is none.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (first, prefix_bits) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => (v4, bits.unwrap_or(128).checked_sub(96)?),
            (_, v4 @ IpAddr::V4(_)) => (v4, bits.unwrap_or(32)),
            (_, v6 @ IpAddr::V6(_)) => (v6, bits.unwrap_or(128)),
        };
        let first = masked(first, prefix_bits)?;
        Some(Cidr { first, prefix_bits })
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && masked(address, self.prefix_bits) == Some(self.first)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

/// Where a request came from, as far as the known networks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Inside,
    Outside,
    Unknown,
}

/// The networks and VPC endpoints that are configured as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNetworks {
    pub networks: Vec<Cidr>,
    pub vpc_endpoints: Vec<String>,
}

impl KnownNetworks {
    /// Decides whether a request came from a known network.
    ///
    /// With known endpoints, a recorded endpoint decides alone: private addresses
    /// repeat in everyone's VPC. Otherwise the address decides; a private one came
    /// through an endpoint, so that without its id the networks must say.
    pub fn place(&self, source: Option<Source>, vpc_endpoint_id: Option<&str>) -> Place {
        let inside = match (vpc_endpoint_id, source) {
            (Some(id), _) if !self.vpc_endpoints.is_empty() => {
                self.vpc_endpoints.iter().any(|known| known == id)
            }
            (_, Some(Source::Private(address))) if !self.networks.is_empty() => {
                self.in_networks(address)
            }
            (_, Some(Source::Public(address))) if !self.is_empty() => self.in_networks(address),
            _ => return Place::Unknown,
        };
        if inside {
            Place::Inside
        } else {
            Place::Outside
        }
    }

    fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.vpc_endpoints.is_empty()
    }

    fn in_networks(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// RFC 1918, RFC 6598 (shared address space) and RFC 4193 (unique local IPv6).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn is_dns_name(text: &str) -> bool {
    let letters = |label: &str| label.bytes().all(|b| b.is_ascii_alphabetic());
    text.contains('.')
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
        && text.rsplit('.').next().is_some_and(letters)
}

/// The address with all but its first bits cleared; `None` for too many bits.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let shift = 32_u32.checked_sub(u32::from(bits))?;
            let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
            Some(IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask)))
        }
        IpAddr::V6(v6) => {
            let shift = 128_u32.checked_sub(u32::from(bits))?;
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            Some(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_private_public_service_internal_or_invalid() {
        for (text, kind) in [
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.0", "public"),
            ("100.64.0.1", "private"),
            ("100.128.0.1", "public"),
            ("::ffff:192.168.0.1", "private"),
            ("fd00::1", "private"),
            ("2001:db8::1", "public"),
            ("203.0.113.9", "public"),
            ("ec2.amazonaws.com", "service"),
            ("AWS Internal", "aws_internal"),
            ("AWS Internal/1", "aws_internal"),
            ("10.1.2.300", "invalid"),
            ("0.0.0.0.", "invalid"),
            ("unknown", "invalid"),
            ("", "invalid"),
        ] {
            assert_eq!(Source::parse(text).kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_range_holds_what_shares_its_prefix_in_its_own_family() {
        let holds = |range: &str, address: &str| {
            Cidr::parse(range)
                .unwrap()
                .contains(address.parse::<IpAddr>().unwrap().to_canonical())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3/8", "10.9.9.9"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("203.0.113.9", "203.0.113.9"));
        assert!(!holds("203.0.113.9", "203.0.113.8"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(holds("::ffff:10.0.0.0/104", "::ffff:10.2.3.4"));
        for wrong in [
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "::ffff:1.2.3.4/8",
            "x",
            "",
        ] {
            assert_eq!(Cidr::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn unknown_is_neither_inside_nor_outside() {
        let known = |networks: &[&str], endpoints: &[&str]| KnownNetworks {
            networks: networks
                .iter()
                .map(|text| Cidr::parse(text).unwrap())
                .collect(),
            vpc_endpoints: endpoints.iter().map(ToString::to_string).collect(),
        };
        let nothing = known(&[], &[]);
        let nat = known(&["203.0.113.0/24"], &[]);
        let endpoint = known(&[], &["vpce-1"]);
        let both = known(&["203.0.113.0/24", "10.0.0.0/8"], &["vpce-1"]);
        for (networks, source, vpc_endpoint_id, place) in [
            (&nothing, "203.0.113.9", Some("vpce-1"), Place::Unknown),
            (&nat, "203.0.113.9", None, Place::Inside),
            (&nat, "198.51.100.1", None, Place::Outside),
            (&nat, "10.0.0.1", None, Place::Outside),
            (&nat, "AWS Internal", None, Place::Unknown),
            (&nat, "athena.amazonaws.com", None, Place::Unknown),
            (&nat, "nonsense", None, Place::Unknown),
            (&endpoint, "10.0.0.1", Some("vpce-1"), Place::Inside),
            (&endpoint, "10.0.0.1", Some("vpce-2"), Place::Outside),
            (&endpoint, "10.0.0.1", None, Place::Unknown),
            (&endpoint, "198.51.100.1", None, Place::Outside),
            (&both, "10.0.0.1", Some("vpce-2"), Place::Outside),
            (&both, "10.0.0.1", None, Place::Inside),
        ] {
            assert_eq!(
                networks.place(Some(Source::parse(source)), vpc_endpoint_id),
                place,
                "{source} {vpc_endpoint_id:?} in {networks:?}"
            );
        }
        assert_eq!(both.place(None, None), Place::Unknown);
    }
}

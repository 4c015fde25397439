//! Networks in CIDR form (RFC 4632): whose word is believed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::values::InvalidValue;

/// A network in CIDR form. An IPv4 address that arrives mapped into IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether it is every address there is.
    pub const fn is_everybody(&self) -> bool {
        self.prefix == 0
    }

    /// Whether `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(u32::from(ours).into(), u32::from(theirs).into(), 32 - u32::from(self.prefix))
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(ours.into(), theirs.into(), 128 - u32::from(self.prefix))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether two addresses are equal above their lowest `host_bits` bits.
fn same_prefix(one: u128, other: u128, host_bits: u32) -> bool {
    let shifted = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
    shifted(one) == shifted(other)
}

impl FromStr for Network {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Network, InvalidValue> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| InvalidValue::Network)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            Some(digits) => {
                digits.trim().parse().ok().filter(|prefix| *prefix <= longest).ok_or(InvalidValue::Network)?
            }
            None => longest,
        };
        // A listener of both families hears IPv4 in this spelling, and addresses are compared in their own.
        match address.to_canonical() {
            IpAddr::V4(mapped) if address.is_ipv6() => match prefix.checked_sub(96) {
                Some(prefix) => Ok(Network { address: mapped.into(), prefix }),
                None => Err(InvalidValue::Network),
            },
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Network { address, prefix }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.1".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let mapped: Network = "::ffff:10.1.0.0/112".parse().unwrap();
        assert_eq!(mapped, network);
        assert!("::ffff:10.1.0.0/95".parse::<Network>().is_err());
        let single: Network = "fd00::1".parse().unwrap();
        assert!(single.contains("fd00::1".parse().unwrap()));
        assert!(!single.contains("fd00::2".parse().unwrap()));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("localhost".parse::<Network>().is_err());
    }
}

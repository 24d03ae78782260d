//! Ranges of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, as `10.0.0.0/8`, `fd00::/8` or one address. An IPv4 address written inside IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of addresses such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct CidrError(pub String);

impl Cidr {
    /// Whether `ip` lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let mask = mask32(self.bits);
                u32::from(base) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let mask = mask128(self.bits);
                u128::from(base) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

fn mask32(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}
fn mask128(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let refuse = || CidrError(text.chars().take(60).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| refuse())?;
        let base = written.to_canonical();
        let full: u8 = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => full,
            // A mapped IPv4 address with a prefix would silently mean another range than it says.
            Some(_) if base != written => return Err(refuse()),
            Some(bits) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| refuse())?,
            Some(_) => return Err(refuse()),
        };
        let host_bits = match base {
            _ if bits > full => return Err(refuse()),
            IpAddr::V4(v4) => u32::from(v4) & !mask32(bits) != 0,
            IpAddr::V6(v6) => u128::from(v6) & !mask128(bits) != 0,
        };
        if host_bits { Err(refuse()) } else { Ok(Self { base, bits }) }
    }
}

/// A range known to be good when the program is compiled; tests check each.
pub(crate) const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Cidr {
    Cidr { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
}
/// The same for IPv6, from the first three groups.
pub(crate) const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Cidr {
    Cidr { base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), bits }
}

//! Which addresses may be called. Names are resolved here and only what was checked is connected to, so that a name that changes its
//! address between the check and the call gains nothing.

use crate::cidr::{Cidr, v4, v6};
use crate::fault;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use url::{Host, Url};

/// Ranges of IPv4 that are not public (IANA special-purpose registry, multicast, reserved).
const CLOSED_V4: [Cidr; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
];
/// The only range of IPv6 that is public at all.
const OPEN_V6: Cidr = v6(0x2000, 0, 0, 3);
/// Ranges inside it that are not.
const CLOSED_V6: [Cidr; 3] = [v6(0x2001, 0, 0, 23), v6(0x2001, 0xdb8, 0, 32), v6(0x3fff, 0, 0, 20)];
/// Ranges whose addresses carry an IPv4 address: 6to4 behind the first 16 bits, NAT64 in the last 32.
const SIX_TO_FOUR: Cidr = v6(0x2002, 0, 0, 16);
const NAT64: Cidr = v6(0x64, 0xff9b, 0, 96);

/// Whether `ip` is an address of the public internet: not private, loopback, link-local, shared (CGNAT), multicast, reserved or for
/// documentation, and not one of these in IPv6 clothes (mapped, NAT64, 6to4).
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !CLOSED_V4.iter().any(|range| range.contains(IpAddr::V4(ip))),
        IpAddr::V6(ip) => {
            let as_ip = IpAddr::V6(ip);
            if let Some(inner) = embedded(ip) {
                return is_public(IpAddr::V4(inner));
            }
            OPEN_V6.contains(as_ip) && !CLOSED_V6.iter().any(|range| range.contains(as_ip))
        }
    }
}

fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let at = |i: usize| Ipv4Addr::new(octets[i], octets[i + 1], octets[i + 2], octets[i + 3]);
    if NAT64.contains(IpAddr::V6(ip)) {
        Some(at(12))
    } else if SIX_TO_FOUR.contains(IpAddr::V6(ip)) {
        Some(at(2))
    } else {
        None
    }
}

/// What the configuration allows beyond public addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// Every address in a range, at every port.
    Range(Cidr),
    /// A host as it stands in the address (name or literal), at one port or all.
    Host(String, Option<u16>),
}

impl FromStr for Allow {
    type Err = String;
    /// Reads `10.0.0.0/8`, `127.0.0.1:8080`, `broker.internal`, `broker.internal:1026` or `[::1]:8080`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return text.parse().map(Self::Range).map_err(|e: crate::cidr::CidrError| e.to_string());
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Host(canonical(&ip.to_canonical().to_string()), None));
        }
        let refuse = || format!("`{}` is no host, host:port or range of addresses", text.chars().take(80).collect::<String>());
        let parsed = Url::parse(&format!("x-any://{text}")).map_err(|_| refuse())?;
        let host = parsed.host_str().filter(|h| !h.is_empty()).ok_or_else(refuse)?;
        if !parsed.path().is_empty() || !parsed.username().is_empty() || parsed.query().is_some() {
            return Err(refuse());
        }
        Ok(Self::Host(canonical(host), parsed.port()))
    }
}

/// Why an address may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address is not public and the configuration does not allow it")]
pub struct RefusedAddress;

/// Which addresses may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    allow: Vec<Allow>,
}

/// How a host that passed the first check is to be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only to addresses that are public or in an allowed range.
    Guarded,
    /// Wherever its name resolves to: the configuration names this host and port.
    Anywhere,
}

impl Guard {
    /// Public addresses only.
    pub fn public_only() -> Self {
        Self::default()
    }
    /// Public addresses and these.
    pub fn allowing(allow: impl IntoIterator<Item = Allow>) -> Self {
        Self { allow: allow.into_iter().collect() }
    }
    /// Whether `ip` may be connected to, whatever the port.
    pub fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || self.allow.iter().any(|a| matches!(a, Allow::Range(range) if range.contains(ip)))
    }
    /// What may be said before resolving: refuses what is no web address, literal addresses that are not permitted.
    pub(crate) fn reach(&self, url: &Url) -> Result<Reach, Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::Bad("only http and https can be called"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::Bad("an address may not carry a user name or password"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Fault::Bad("the address has no host"));
        };
        let name = match &host {
            Host::Ipv4(ip) => IpAddr::V4(*ip).to_string(),
            Host::Ipv6(ip) => IpAddr::V6(*ip).to_canonical().to_string(),
            Host::Domain(name) => canonical(name),
        };
        let named = self.allow.iter().any(|a| matches!(a, Allow::Host(host, at) if *host == name && at.is_none_or(|at| at == port)));
        if named {
            return Ok(Reach::Anywhere);
        }
        let literal = match host {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        };
        match literal {
            Some(ip) if !self.permits(ip) && !fault::off("http-guard-literal") => Err(Fault::Refused),
            _ => Ok(Reach::Guarded),
        }
    }
}

/// Why a first look refuses.
pub(crate) enum Fault {
    Bad(&'static str),
    Refused,
}

fn canonical(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Where names are resolved.
pub trait Lookup: Send + Sync {
    /// The addresses of `host`.
    fn lookup(&self, host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
}

struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.map(|a| a.ip()).collect()) })
    }
}

/// The resolver the HTTP client connects by: what it does not return cannot be connected to.
#[derive(Clone)]
pub(crate) struct Resolver {
    guard: Guard,
    reach: Reach,
    lookup: Arc<dyn Lookup>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({:?})", self.reach)
    }
}

impl Resolver {
    pub(crate) fn new(guard: Guard, reach: Reach, lookup: Option<Arc<dyn Lookup>>) -> Self {
        Self { guard, reach, lookup: lookup.unwrap_or_else(|| Arc::new(SystemLookup)) }
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.lookup.lookup(name.as_str().to_owned()).await?;
            // One closed address among public ones is a trick or a fault; either way nothing there is called.
            if this.reach == Reach::Guarded && found.iter().any(|ip| !this.guard.permits(*ip)) && !fault::off("http-guard-name") {
                return Err(Box::new(RefusedAddress) as Box<dyn std::error::Error + Send + Sync>);
            }
            let addresses: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

//! What a trusted proxy says of the client, and the public address that follows from it. Nobody else is believed.

use crate::cidr::Cidr;
use crate::fault;
use http::{HeaderMap, header};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Whom to believe, and under which address this hub is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forwarding {
    pub(crate) trusted: Vec<Cidr>,
    pub(crate) public_base: Option<Arc<str>>,
}

/// Where a request really comes from and which address it was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) client: IpAddr,
    pub(crate) base_url: Arc<str>,
    /// Whether the client's own connection was TLS, to us or to a trusted proxy.
    pub(crate) secure: bool,
}

impl Forwarding {
    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(ip))
    }

    pub(crate) fn origin(&self, peer: SocketAddr, local: SocketAddr, tls: bool, headers: &HeaderMap, authority: Option<&str>) -> Origin {
        let behind_proxy = self.trusts(peer.ip()) || fault::off("http-trusted-proxy");
        let said = |name: &str| if behind_proxy { last(headers, name) } else { None };
        let secure = match said("x-forwarded-proto") {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => tls,
        };
        let base_url = if let Some(base) = &self.public_base {
            base.clone()
        } else {
            let scheme = if secure { "https" } else { "http" };
            let written = authority.or_else(|| headers.get(header::HOST).and_then(|v| v.to_str().ok()));
            match said("x-forwarded-host").or(written).filter(|host| is_host(host)) {
                Some(host) => Arc::from(format!("{scheme}://{host}")),
                None => Arc::from(format!("{scheme}://{local}")),
            }
        };
        Origin { client: if behind_proxy { self.client(peer.ip(), headers) } else { peer.ip().to_canonical() }, base_url, secure }
    }

    /// The nearest address that is not one of our proxies. Reading from the right, since each proxy appends what it saw and only
    /// what trusted ones appended counts.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
        let mut nearest = peer;
        for entry in lines.iter().flat_map(|line| line.split(',')).rev() {
            let Some(ip) = address(entry.trim()) else { break };
            nearest = ip;
            if !self.trusts(ip) {
                break;
            }
        }
        nearest.to_canonical()
    }
}

/// Whether the request came through any proxy at all.
pub(crate) fn is_proxied(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}

/// The last element of the last line: the one the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim).filter(|text| !text.is_empty())
}

fn address(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    text.parse::<SocketAddr>().map(|s| s.ip()).ok().or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// Host and port as they may stand in an address; anything else could put text of the caller's choosing into our links.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// Whether `host` (as in a Host header) names this machine itself.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn check(trusted: &[&str], peer: &str, sent: &[(&'static str, &'static str)], client: &str, base: &str, secure: bool) {
        let forwarding = Forwarding { trusted: trusted.iter().map(|t| t.parse().unwrap()).collect(), public_base: None };
        let origin = forwarding.origin(SocketAddr::new(peer.parse().unwrap(), 4000), "10.0.0.9:80".parse().unwrap(), false, &headers(sent), None);
        assert_eq!(origin.client, client.parse::<IpAddr>().unwrap(), "client of {sent:?}");
        assert_eq!((&*origin.base_url, origin.secure), (base, secure), "base of {sent:?}");
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let said: &[_] = &[("host", "hub.example"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "city.example")];
        check(&[], "198.51.100.1", said, "198.51.100.1", "http://hub.example", false);
        check(&["198.51.100.0/24"], "198.51.100.1", said, "203.0.113.7", "https://city.example", true);
        check(&["10.0.0.0/8"], "198.51.100.1", said, "198.51.100.1", "http://hub.example", false);
    }

    #[test]
    fn what_the_client_itself_wrote_before_the_proxy_does_not_count() {
        let spoofed: &[_] = &[("host", "hub.example"), ("x-forwarded-for", "127.0.0.1, 203.0.113.7")];
        check(&["10.0.0.0/8"], "10.1.2.3", spoofed, "203.0.113.7", "http://hub.example", false);
        let chain: &[_] = &[("host", "hub.example"), ("x-forwarded-for", "203.0.113.7, 10.9.9.9"), ("x-forwarded-proto", "https, http")];
        check(&["10.0.0.0/8"], "10.1.2.3", chain, "203.0.113.7", "http://hub.example", false);
        let garbage: &[_] = &[("host", "hub.example"), ("x-forwarded-for", "203.0.113.7, what")];
        check(&["10.0.0.0/8"], "10.1.2.3", garbage, "10.1.2.3", "http://hub.example", false);
    }

    #[test]
    fn a_host_that_is_no_host_is_not_put_into_links() {
        check(&[], "198.51.100.1", &[("host", "evil\"><script>")], "198.51.100.1", "http://10.0.0.9:80", false);
        check(&[], "198.51.100.1", &[], "198.51.100.1", "http://10.0.0.9:80", false);
    }

    #[test]
    fn loopback_names() {
        for host in ["localhost", "LOCALHOST:1026", "127.0.0.1", "127.0.0.1:80", "[::1]:1026", "[::ffff:127.0.0.1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:1026", "10.0.0.1", "127.0.0.1.evil.example", "[::2]"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}

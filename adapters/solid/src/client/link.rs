//! `Link` headers (RFC 8288), and addresses inside a storage.

use crate::error::SolidError;
use url::Url;
use waybill_http::HeaderMap;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it points, absolute.
    pub target: Url,
    /// Its relations.
    pub rels: Vec<String>,
}

/// All links of an answer to a request at `base`. What cannot be read is left out.
pub fn links(headers: &HeaderMap, base: &Url) -> Vec<Link> {
    let mut out = Vec::new();
    for value in headers.get_all("link").iter().filter_map(|v| v.to_str().ok()) {
        for part in split_outside_quotes(value, ',') {
            let mut pieces = split_outside_quotes(part, ';').into_iter();
            let Some(target) = pieces.next().and_then(|t| t.trim().strip_prefix('<')?.strip_suffix('>')) else { continue };
            let Ok(target) = base.join(target) else { continue };
            let rels = pieces
                .filter_map(|p| p.trim().split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("rel"))
                .map(|(_, v)| v.trim().trim_matches('"').split_ascii_whitespace().map(str::to_owned).collect())
                .unwrap_or_default();
            out.push(Link { target, rels });
        }
    }
    out
}

/// The first link with the relation `rel`.
pub fn link(headers: &HeaderMap, base: &Url, rel: &str) -> Option<Url> {
    links(headers, base).into_iter().find(|l| l.rels.iter().any(|r| r.eq_ignore_ascii_case(rel))).map(|l| l.target)
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut angled, mut start) = (false, false, 0);
    let mut out = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' if !angled => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            c if c == separator && !quoted && !angled => {
                out.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

/// The container that `resource` lies in; nothing for the root of the server.
pub fn parent(resource: &Url) -> Option<Url> {
    let path = resource.path().trim_end_matches('/');
    let cut = path.rfind('/')?;
    let mut out = resource.clone();
    out.set_path(&path[..=cut]);
    out.set_query(None);
    out.set_fragment(None);
    Some(out)
}

/// Whether `resource` lies in `container` (at any depth), at the same server.
pub fn lies_in(resource: &Url, container: &Url) -> bool {
    resource.origin() == container.origin() && container.path().ends_with('/') && resource.path().starts_with(container.path())
}

/// The address of a document: `url` without its fragment.
pub fn document(url: &Url) -> Url {
    let mut out = url.clone();
    out.set_fragment(None);
    out
}

/// Reads an address, which must be http or https.
///
/// # Errors
/// [`SolidError::Malformed`] when it is no such address.
pub fn address(text: &str, what: &'static str) -> Result<Url, SolidError> {
    let url = Url::parse(text).map_err(|_| SolidError::malformed(what, "not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(SolidError::malformed(what, "not an http address, or one with a password in it"));
    }
    Ok(url)
}

/// Two issuers are the same when they differ by a slash at the end only: servers write both.
pub fn same_issuer(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/') && !a.trim_end_matches('/').is_empty()
}

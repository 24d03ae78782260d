//! The choice of a language (clause 4.15; ranges as in Accept-Language, RFC 9110 section 12.5.4).

/// Language ranges by preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Languages(Vec<String>);

impl Languages {
    /// Reads a list such as `fr;q=0.9, en-GB;q=0.8, *`. A range of weight 0 is left out; a part that is none is left out too.
    pub fn parse(text: &str) -> Self {
        let mut ranges: Vec<(String, u32)> = Vec::new();
        for part in text.split(',') {
            let mut pieces = part.split(';');
            let range = pieces.next().unwrap_or_default().trim();
            let weight = pieces.find_map(|p| p.trim().strip_prefix("q=")).map_or(Some(1.0), |q| q.trim().parse::<f64>().ok());
            let good = !range.is_empty() && range.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'*');
            if let (true, Some(weight)) = (good, weight) {
                let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
                ranges.push((range.to_ascii_lowercase(), thousandths));
            }
        }
        ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        Self(ranges.into_iter().filter(|(_, weight)| *weight > 0).map(|(range, _)| range).collect())
    }

    /// The tag to show of those there are: the best match, else `@none`, else the first.
    pub fn choose<'t>(&self, tags: &[&'t str]) -> Option<&'t str> {
        let matches = |range: &str, tag: &str| {
            let tag = tag.to_ascii_lowercase();
            range == "*" || tag == range || tag.strip_prefix(range).is_some_and(|rest| rest.starts_with('-'))
        };
        let real = || tags.iter().filter(|t| **t != "@none");
        let best = self.0.iter().find_map(|range| {
            let exact = real().find(|tag| tag.eq_ignore_ascii_case(range));
            let prefixed = || real().find(|tag| matches(range, tag));
            // A request for en-GB is served by en when there is nothing nearer.
            let wider = || range.split_once('-').and_then(|(base, _)| real().find(|tag| tag.eq_ignore_ascii_case(base)));
            exact.or_else(prefixed).or_else(wider)
        });
        best.or_else(|| tags.iter().find(|t| **t == "@none")).or_else(|| tags.first()).copied()
    }
}

//! The resources of all pods on the server, by path. A path that ends in `/` is a container.

use bytes::Bytes;
use std::collections::BTreeMap;

/// One stored representation.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub content_type: String,
    pub body: Bytes,
    /// Rises with every change on the server.
    pub version: u64,
    /// Seconds since 1970.
    pub modified: i64,
}

impl Resource {
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, self.content_type)
    }
}

/// What happened, for the notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Created(String),
    Updated(String),
    Deleted(String),
}

#[derive(Default)]
pub(super) struct Storage {
    resources: BTreeMap<String, Resource>,
    version: u64,
}

/// The container a path lies in; nothing for the root.
pub(super) fn parent(path: &str) -> Option<&str> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    trimmed.rfind('/').filter(|_| path != "/").map(|at| &path[..=at])
}

/// Whether a path names something beside a resource: its access rules or its metadata.
pub(super) fn auxiliary(path: &str) -> Option<&str> {
    path.strip_suffix(".acl").or_else(|| path.strip_suffix(".meta"))
}

impl Storage {
    pub fn get(&self, path: &str) -> Option<&Resource> {
        self.resources.get(path)
    }

    /// The members of a container, without what stands beside resources.
    pub fn children<'a>(&'a self, container: &'a str) -> impl Iterator<Item = (&'a str, &'a Resource)> {
        self.resources
            .range(container.to_owned()..)
            .take_while(move |(path, _)| path.starts_with(container))
            .filter(move |(path, _)| parent(path) == Some(container) && auxiliary(path).is_none())
            .map(|(path, r)| (path.as_str(), r))
    }

    /// Creates or replaces, with the containers in between. `keep_meta` leaves the description beside it; without it a replacing PUT
    /// takes the description away, as Community Solid Server does.
    pub fn put(&mut self, path: &str, content_type: &str, body: Bytes, keep_meta: bool, now: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(container) = parent(path).filter(|c| !self.resources.contains_key(*c)) {
            changes.extend(self.put(container, "text/turtle", Bytes::new(), true, now));
        }
        self.version += 1;
        let resource = Resource { content_type: content_type.to_owned(), body, version: self.version, modified: now };
        let existed = self.resources.insert(path.to_owned(), resource).is_some();
        if existed && !keep_meta && auxiliary(path).is_none() {
            self.resources.remove(&format!("{path}.meta"));
        }
        if auxiliary(path).is_none() {
            if !existed {
                self.touch(parent(path), now);
            }
            changes.push(if existed { Change::Updated(path.to_owned()) } else { Change::Created(path.to_owned()) });
        } else if let Some(subject) = path.strip_suffix(".meta") {
            changes.push(Change::Updated(subject.to_owned()));
        }
        changes
    }

    /// Removes a resource with what stands beside it.
    pub fn delete(&mut self, path: &str, now: i64) -> Vec<Change> {
        if self.resources.remove(path).is_none() {
            return Vec::new();
        }
        if auxiliary(path).is_some() {
            return Vec::new();
        }
        self.resources.remove(&format!("{path}.meta"));
        self.resources.remove(&format!("{path}.acl"));
        self.touch(parent(path), now);
        vec![Change::Deleted(path.to_owned())]
    }

    fn touch(&mut self, path: Option<&str>, now: i64) {
        self.version += 1;
        if let Some(resource) = path.and_then(|p| self.resources.get_mut(p)) {
            resource.version = self.version;
            resource.modified = now;
        }
    }
}

//! An Entity while it is being changed: the instances as texts, each with what stands beside it.

use super::{Outcome, UpdateResult, merge};
use std::collections::BTreeMap;
use waybill_model::{Attribute, DateTime, DocBuilder, EntityDoc, InstanceMeta, Iri, SystemColumns, TAG_NAME};

struct Held {
    text: String,
    meta: InstanceMeta,
}

impl Held {
    /// Whether `text` says the same. Of what came under an envelope that counts however it is written: who reads and writes back what she
    /// read has changed nothing, and the envelope stays. When it ends is not shown to every reader, so it need not be said again.
    fn says(&self, text: &str) -> bool {
        if self.text == text || self.meta.envelope.is_none() {
            return self.text == text;
        }
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let (mut own, new) = (read(&self.text), read(text));
        if let (Some(own), None) = (own.as_object_mut(), new.get("expiresAt")) {
            own.remove("expiresAt");
        }
        waybill_keys::jcs(&own) == waybill_keys::jcs(&new)
    }
}

/// An instance without its tag. Tags are made at the gate for one recipient; in the store they would be somebody's word on nothing.
fn untagged(text: &str) -> String {
    if !text.contains(TAG_NAME) {
        return text.to_owned();
    }
    merge::members(text).map_or_else(
        |_| text.to_owned(),
        |mut members| {
            members.remove(TAG_NAME);
            merge::print(&members)
        },
    )
}

pub(super) struct Draft {
    id: String,
    types: Vec<String>,
    scopes: Vec<String>,
    expires_at: Option<DateTime>,
    attributes: BTreeMap<String, Vec<Held>>,
    changed: bool,
}

impl Draft {
    pub(super) fn of(doc: &EntityDoc) -> Self {
        let mut attributes: BTreeMap<String, Vec<Held>> = BTreeMap::new();
        for span in doc.spans() {
            let held = Held { text: doc.instance(span).to_owned(), meta: InstanceMeta::of(doc, span) };
            attributes.entry(doc.name(span).to_owned()).or_default().push(held);
        }
        Self {
            id: doc.id().to_owned(),
            types: doc.types().map(str::to_owned).collect(),
            scopes: doc.scopes().map(str::to_owned).collect(),
            expires_at: doc.system.expires_at,
            attributes,
            changed: false,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.attributes.keys().cloned().collect()
    }
    pub(super) fn add_type(&mut self, name: &Iri) {
        if !self.types.iter().any(|t| t == name.as_str()) {
            self.types.push(name.to_string());
            self.changed = true;
        }
    }
    pub(super) fn has_scopes(&self) -> bool {
        !self.scopes.is_empty()
    }
    pub(super) fn add_scope(&mut self, path: &str) {
        if !self.scopes.iter().any(|s| s == path) {
            self.scopes.push(path.to_owned());
            self.changed = true;
        }
    }
    pub(super) fn set_scopes(&mut self, scopes: &[String]) {
        let new = scopes.to_vec();
        self.changed |= new != self.scopes;
        self.scopes = new;
    }
    pub(super) fn set_expiry(&mut self, at: Option<DateTime>) {
        self.changed |= at != self.expires_at;
        self.expires_at = at;
    }
    pub(super) fn has_attribute(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
    pub(super) fn has(&self, name: &str, dataset: Option<&str>) -> bool {
        self.find(name, dataset).is_some()
    }
    pub(super) fn text(&self, name: &str, dataset: Option<&str>) -> Option<&str> {
        self.find(name, dataset).map(|h| h.text.as_str())
    }
    fn find(&self, name: &str, dataset: Option<&str>) -> Option<&Held> {
        self.attributes.get(name)?.iter().find(|h| h.meta.dataset_id.as_deref() == dataset)
    }

    /// Takes an instance away; whether it was there.
    pub(super) fn remove(&mut self, name: &str, dataset: Option<&str>) -> bool {
        let Some(list) = self.attributes.get_mut(name) else { return false };
        let before = list.len();
        list.retain(|h| h.meta.dataset_id.as_deref() != dataset);
        let gone = list.len() < before;
        if list.is_empty() {
            self.attributes.remove(name);
        }
        self.changed |= gone;
        gone
    }
    /// Takes all instances away; whether there were any.
    pub(super) fn remove_all(&mut self, name: &str) -> bool {
        let gone = self.attributes.remove(name).is_some();
        self.changed |= gone;
        gone
    }

    /// Takes off the tags, of the instances and of the Entity.
    pub(super) fn strip_tags(&mut self) {
        self.changed |= self.attributes.remove(TAG_NAME).is_some();
        for held in self.attributes.values_mut().flatten() {
            let text = untagged(&held.text);
            self.changed |= text != held.text;
            held.text = text;
        }
    }

    /// Puts an instance in the place of the one with its datasetId, or beside the others. Tags are left out.
    ///
    /// # Errors
    /// What is wrong when `text` is no instance.
    pub(super) fn put(&mut self, name: &str, text: &str, now: DateTime) -> Result<(), String> {
        if name == TAG_NAME {
            return Ok(());
        }
        let attribute = Attribute::from_canonical(text)?;
        let canonical = merge::members(&untagged(text)).map(|m| merge::print(&m)).map_err(|_| "it is no object".to_owned())?;
        let meta = InstanceMeta {
            dataset_id: attribute.dataset_id.as_ref().map(Iri::to_string),
            expires_at: attribute.expires_at,
            ..InstanceMeta::new(attribute.value.kind(), now)
        };
        self.put_held(name, Held { text: canonical, meta });
        Ok(())
    }

    fn put_held(&mut self, name: &str, mut new: Held) {
        let list = self.attributes.entry(name.to_owned()).or_default();
        match list.iter_mut().find(|h| h.meta.dataset_id == new.meta.dataset_id) {
            Some(held) if held.says(&new.text) => {}
            Some(held) => {
                new.meta.created_at = held.meta.created_at;
                *held = new;
                self.changed = true;
            }
            None => {
                list.push(new);
                self.changed = true;
            }
        }
    }

    /// Takes over everything of `new` but the identifier.
    pub(super) fn become_like(&mut self, new: &EntityDoc, now: DateTime) {
        let mut other = Self::of(new);
        other.strip_tags();
        self.changed |= (&self.types, &self.scopes, self.expires_at) != (&other.types, &other.scopes, other.expires_at);
        self.types = other.types;
        self.scopes = other.scopes;
        self.expires_at = other.expires_at;
        let mut before = std::mem::take(&mut self.attributes);
        for (name, list) in other.attributes {
            let old = before.remove(&name).unwrap_or_default();
            let fresh = list.len();
            let mut kept: Vec<Held> = Vec::new();
            for mut held in list {
                match old.iter().find(|o| o.meta.dataset_id == held.meta.dataset_id) {
                    Some(o) if o.says(&held.text) => (held.text, held.meta) = (o.text.clone(), o.meta.clone()),
                    found => {
                        held.meta.created_at = found.map_or(now, |o| o.meta.created_at);
                        held.meta.modified_at = now;
                        self.changed = true;
                    }
                }
                kept.push(held);
            }
            self.changed |= old.len() != fresh;
            self.attributes.insert(name, kept);
        }
        self.changed |= !before.is_empty();
    }

    pub(super) fn finish(self, current: &EntityDoc, result: UpdateResult, now: DateTime) -> Outcome {
        if !self.changed {
            return Outcome { doc: current.clone(), result, changed: false };
        }
        let texts = |list: &[String]| list.to_vec();
        let (types, scopes) = (texts(&self.types), texts(&self.scopes));
        let mut builder = DocBuilder::new(&self.id, types.iter().map(String::as_str), scopes.iter().map(String::as_str), self.expires_at);
        for (name, list) in self.attributes {
            for held in list {
                builder.instance(&name, &held.text, held.meta);
            }
        }
        let system = SystemColumns { modified_at: now, expires_at: self.expires_at, ..current.system.clone() };
        Outcome { doc: builder.finish(system), result, changed: true }
    }
}

//! What policies are read against: known actions and purposes, and the table of names that compiled policies and requests share.

use crate::code::Code;
use crate::purposes::Purposes;
use crate::vocab::{ACTIONS, ODRL, action_iri};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// A name that stands for no name: no name of a policy equals it.
pub(crate) const NOBODY: u32 = u32::MAX;
/// How many shapes of policies are shared before unused ones are dropped.
const SHAPES: usize = 4_096;

/// What policies are compiled and decided against. Cheap to clone; clones share the table of names, so policies that are to be looked at
/// together must come from clones of one profile.
#[derive(Debug, Clone)]
pub struct Profile(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) purposes: Purposes,
    pub(crate) actions: Actions,
    /// Whether permissions must say what may be done with what, and passing on must be permitted by name.
    pub(crate) strict: bool,
    names: RwLock<Table>,
    shapes: Mutex<HashSet<Arc<Code>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    map: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Table {
    pub(crate) fn find(&self, text: &str) -> u32 {
        self.map.get(text).copied().unwrap_or(NOBODY)
    }
    pub(crate) fn text(&self, name: u32) -> Option<Arc<str>> {
        self.texts.get(name as usize).cloned()
    }
}

/// The actions by number, and for each the set of actions (a bit each) whose permission or prohibition includes it.
#[derive(Debug)]
pub(crate) struct Actions {
    index: HashMap<String, u8>,
    iris: Vec<String>,
    /// Actions that a permission for one of these covers.
    permitted_by: Vec<u128>,
    /// The same for a prohibition.
    prohibited_by: Vec<u128>,
}

impl Actions {
    fn new(strict: bool) -> Self {
        let iris: Vec<String> = ACTIONS.iter().map(action_iri).collect();
        let index: HashMap<String, u8> = iris.iter().enumerate().map(|(i, a)| (a.clone(), i as u8)).collect();
        let parent = |i: usize| index.get(&format!("{ODRL}{}", ACTIONS[i].2)).map(|p| usize::from(*p));
        let chain = |i: usize, stop: bool| {
            let (mut mask, mut at) = (0u128, Some(i));
            while let Some(a) = at {
                mask |= 1 << a;
                // Passing on is use in ODRL's hierarchy; with us nobody passes on by a permission that does not name it.
                at = if stop && explicit(ACTIONS[a].1) { None } else { parent(a) };
            }
            mask
        };
        let permitted_by = (0..iris.len()).map(|i| chain(i, strict)).collect();
        let prohibited_by = (0..iris.len()).map(|i| chain(i, false)).collect();
        Self { index, iris, permitted_by, prohibited_by }
    }
    pub(crate) fn find(&self, iri: &str) -> Option<u8> {
        self.index.get(iri).copied()
    }
    /// Whether whoever may do `narrow` may do it by a permission of `broad` too, whatever is asked for; with `prohibits`, the same of what
    /// prohibitions forbid.
    pub(crate) fn within(&self, narrow: u8, broad: u8, prohibits: bool) -> bool {
        let covering = if prohibits { &self.prohibited_by } else { &self.permitted_by };
        covering.iter().all(|mask| mask & (1 << narrow) == 0 || mask & (1 << broad) != 0)
    }
    pub(crate) fn iri(&self, index: u8) -> &str {
        self.iris.get(usize::from(index)).map_or("", String::as_str)
    }
    pub(crate) fn permitted_by(&self, index: u8) -> u128 {
        self.permitted_by.get(usize::from(index)).copied().unwrap_or(0)
    }
    pub(crate) fn prohibited_by(&self, index: u8) -> u128 {
        self.prohibited_by.get(usize::from(index)).copied().unwrap_or(0)
    }
}

/// Actions that hand data to somebody else: under the Waybill profile only a permission that names them covers them.
fn explicit(action: &str) -> bool {
    matches!(action, "distribute" | "grantUse" | "nextPolicy" | "Distribution" | "Sharing")
}

/// Duties that can only be done with or after the use: they are returned as obligations and do not have to be done before.
pub(crate) fn follows_use(action: &str) -> bool {
    let local = action.rsplit(['/', '#']).next().unwrap_or("");
    matches!(local, "delete" | "attribute" | "nextPolicy" | "Attribution" | "Notice" | "ShareAlike")
}

impl Profile {
    /// The Waybill profile: a permission names its action and its target, and passing on is permitted only by name.
    pub fn waybill() -> Self {
        Self::with(Purposes::bundled(), true)
    }

    /// ODRL as the W3C has it: what a rule leaves out is anything, and `use` includes `distribute`.
    pub fn core() -> Self {
        Self::with(Purposes::bundled(), false)
    }

    /// A profile over another taxonomy of purposes; `strict` as in [`Profile::waybill`].
    pub fn with(purposes: Purposes, strict: bool) -> Self {
        Self(Arc::new(Inner { purposes, actions: Actions::new(strict), strict, names: RwLock::default(), shapes: Mutex::default() }))
    }

    /// The purposes it knows.
    pub fn purposes(&self) -> &Purposes {
        &self.0.purposes
    }

    pub(crate) fn table(&self) -> RwLockReadGuard<'_, Table> {
        // A writer that panicked has at most left a name unused.
        self.0.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn intern(&self, text: &str) -> u32 {
        let found = self.table().find(text);
        if found != NOBODY {
            return found;
        }
        let mut table = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = table.map.get(text) {
            return *found;
        }
        let next = table.texts.len() as u32;
        let text: Arc<str> = Arc::from(text);
        table.texts.push(Arc::clone(&text));
        table.map.insert(text, next);
        next
    }

    /// The shared copy of a policy's shape.
    pub(crate) fn share(&self, code: Code) -> Arc<Code> {
        let mut shapes = self.0.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shapes.get(&code) {
            return Arc::clone(known);
        }
        if shapes.len() >= SHAPES {
            shapes.retain(|s| Arc::strong_count(s) > 1);
        }
        let code = Arc::new(code);
        shapes.insert(Arc::clone(&code));
        code
    }

    /// How many different shapes of policies are shared now.
    pub fn shapes(&self) -> usize {
        self.0.shapes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

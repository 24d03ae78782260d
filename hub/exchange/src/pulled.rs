//! What organisations asked for under a licence and got, and what of it they may see no more. Nobody is at the other end who could be told, so it is
//! kept for whoever asks.

use crate::fault;
use crate::follow::encode;
use crate::hub::Hub;
use crate::licence::unknown;
use crate::read::look_again;
use crate::rows::{SEP, key};
use crate::scan::each_doc;
use serde::{Deserialize, Serialize};
use waybill_gate::{Eyes, Gone, Licence, Released, Tally, View, VisibleDoc};
use waybill_model::{DateTime, Iri, Problem, Scope};
use waybill_store::{Batch, Reader, StoreError};

/// What was released to whom asked under a licence. Key: agreement, purpose, how it was named ([`RENAMED`] or [`AS_STORED`]), and the entity by
/// the identifier that is the organisation's own: whatever it was released as, the rows name no entity of anybody who is erased.
pub(crate) const PULLED: &str = "pulled";
const RENAMED: &str = "renamed";
const AS_STORED: &str = "as-stored";
/// The last part of the key of the row that has the last time given to what is gone, so that times only grow.
const LAST: &str = "last";
/// The largest page.
const MOST: usize = 1000;
/// For how long what is gone is listed, in seconds.
const KEPT: i64 = 366 * 86_400;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pulled {
    /// When it was last released.
    at: Option<DateTime>,
    /// Since when it is known to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_at: Option<DateTime>,
}

impl Hub {
    /// What a release under a licence leaves for later: which entities with personal data it gave away. To be committed with it.
    pub(crate) fn pulled(&self, view: &View, docs: &[VisibleDoc]) -> Batch {
        let mut batch = Batch::new();
        for doc in docs.iter().filter(|doc| doc.is_personal() && !fault::off("exchange-pulled")) {
            let Some(licence) = doc.licence() else { continue };
            let named = if doc.id() == doc.stored_id() { AS_STORED } else { RENAMED };
            let own = self.inner.pairs.pairwise(licence, doc.stored_id());
            let at = format!("{}{}", under(view.scope()), key(&[named, own.as_str()]));
            batch.put_doc(PULLED, &at, encode(&Pulled { at: Some(view.now()), gone_at: None }), None);
        }
        batch
    }

    /// The entities with personal data that this licensed caller was given when it asked, for this purpose, and may not see any more: looked at
    /// now, in the order in which that was first noticed, at most `limit`, behind the cursor `since`. What is visible again is not listed. When
    /// the licence has ended, everything is gone. An entry is kept for a year.
    ///
    /// # Errors
    /// 404 when the scope is under no licence of its own, in force or over; the store's.
    pub async fn gone(&self, scope: &Scope, since: Option<&str>, limit: usize) -> Result<Released<Vec<Gone>>, Problem> {
        look_again(|| self.gone_once(scope, since, limit)).await
    }

    async fn gone_once(&self, scope: &Scope, since: Option<&str>, limit: usize) -> Result<Released<Vec<Gone>>, Problem> {
        let view = self.inner.gate.view(scope);
        let (hub, seen, since) = (self.clone(), view.clone(), since.unwrap_or_default().to_owned());
        let (gone, beside) = self.inner.store.read(move |r| hub.look_for_gone(r, &seen, &since, limit.min(MOST))).await?.ok_or_else(unknown)?;
        self.inner.gate.release_gone(&view, gone, "gone", beside).await
    }

    fn look_for_gone(&self, r: &Reader<'_>, view: &View, since: &str, limit: usize) -> Result<Option<(Vec<Gone>, Batch)>, StoreError> {
        let (scope, now, mut batch) = (view.scope(), view.now(), Batch::new());
        let licence = scope.agreement.as_ref().map(|id| Licence::read(r, id)).transpose()?.flatten();
        let Some(licence) = licence.filter(|licence| licence.is_for(scope) && view.is_licensed()) else { return Ok(None) };
        let (eyes, prefix) = (view.eyes(r)?, under(scope));
        let mut rows = Vec::new();
        each_doc(r, PULLED, &prefix, |doc| rows.push(doc))?;
        let last_at = format!("{prefix}{LAST}");
        let last = rows.iter().find(|row| row.key == last_at).map(|row| (row.revision, serde_json::from_slice::<DateTime>(&row.payload).unwrap_or(now)));
        // Later than anything before, whatever the clock does: a cursor must not pass by what is noticed later.
        let noticed = last.map_or(now, |(_, last)| now.max(last.plus_micros(1)));
        let (mut gone, mut new) = (Vec::new(), false);
        for row in rows.iter().filter(|row| row.key != last_at) {
            let (named, own) = row.key[prefix.len()..].split_once(SEP).unwrap_or_default();
            let Some(stored) = self.inner.pairs.stored(&licence, own) else { continue };
            let id = if named == RENAMED { own } else { stored.as_str() };
            let mut pulled: Pulled = serde_json::from_slice(&row.payload).unwrap_or_default();
            let was = pulled.gone_at;
            pulled.gone_at = if shows(r, &eyes, &stored, id)? { None } else { Some(was.unwrap_or(noticed)) };
            if pulled.gone_at != was {
                new |= was.is_none();
                batch.expect_doc(PULLED, &row.key, Some(row.revision));
                batch.put_doc(PULLED, &row.key, encode(&pulled), pulled.gone_at.map(|at| at.plus_seconds(KEPT)));
            }
            if let Some(gone_at) = pulled.gone_at {
                gone.push(Gone { id: id.to_owned(), gone_at, cursor: format!("{:020}.{own}.{named}", gone_at.micros()) });
            }
        }
        if new {
            batch.expect_doc(PULLED, &last_at, last.map(|(revision, _)| revision));
            batch.put_doc(PULLED, &last_at, encode(&noticed), None);
        }
        gone.sort_by(|a, b| a.cursor.cmp(&b.cursor));
        gone.retain(|gone| gone.cursor.as_str() > since);
        gone.truncate(limit);
        Ok(Some((gone, batch)))
    }
}

/// Whether the entity is shown to these eyes as `id`, with anything personal of it.
fn shows(r: &Reader<'_>, eyes: &Eyes<'_>, stored: &str, id: &str) -> Result<bool, StoreError> {
    let Some(doc) = r.entity(&eyes.scope().tenant, stored)? else { return Ok(false) };
    if doc.system.expires_at.is_some_and(|at| at <= eyes.now()) {
        return Ok(false);
    }
    Ok(eyes.mask(&doc, &mut Tally::default())?.is_some_and(|visible| visible.is_personal() && visible.id() == id))
}

/// How the keys of what was released for the purpose of `scope` under its agreement begin.
fn under(scope: &Scope) -> String {
    key(&[scope.agreement.as_ref().map_or("", Iri::as_str), scope.purpose.as_ref().map_or("", Iri::as_str), ""])
}

//! What has ended is not there.

use crate::common::*;
use waybill_model::{Clock, EntityDoc};
use waybill_store::{Batch, Expired, Filter, Store, StoreError};

fn until(seconds: i64) -> String {
    format!(r#""expiresAt":"{}""#, T0.plus_seconds(seconds))
}

fn store(clock: &Clock) -> Store {
    let store = Store::memory(clock.clone()).unwrap();
    let mut batch = Batch::new();
    let mixed = format!(
        r#""urn:keeps":[{{"type":"Property","value":1}}],"urn:ends":[{{"type":"Property","value":2,{}}},{{"type":"Property","value":3,"datasetId":"urn:d:1"}}]"#,
        until(10)
    );
    let mut mixed = entity("urn:mixed", "urn:T", &mixed);
    mixed.spans_mut()[2].modified_at = T0.plus_seconds(-5);
    batch.put_entity(&tenant(), &mixed).put_entity(&tenant(), &entity("urn:whole", "urn:W", &until(20)));
    store.commit_blocking(batch).unwrap();
    store
}

fn mixed(store: &Store) -> EntityDoc {
    read(store, |r| r.entity(&tenant(), "urn:mixed")).unwrap()
}

#[test]
fn an_instance_ends_at_its_time_and_takes_its_text_along() {
    let clock = clock();
    let store = store(&clock);
    clock.advance_micros(9_999_999);
    assert_eq!(mixed(&store).spans().len(), 3);
    clock.advance_micros(1);
    let left = mixed(&store);
    assert_eq!(left.spans().len(), 2);
    assert!(!left.text().contains("\"value\":2"));
    assert_eq!(left.dataset_id(&left.spans()[0]), Some("urn:d:1"));
    assert_eq!(left.spans()[0].modified_at, T0.plus_seconds(-5));
    assert_eq!((left.system.version, left.spans()[1].modified_at), (1, T0));
    let of = |whole, id: &str| Expired { tenant: tenant(), id: id.into(), whole };
    assert_eq!(read(&store, |r| r.expired(9)), [of(false, "urn:mixed")]);
    clock.advance_micros(10_000_000);
    assert_eq!(read(&store, |r| r.expired(9)), [of(false, "urn:mixed"), of(true, "urn:whole")]);
}

#[test]
fn an_entity_that_has_ended_is_nowhere_and_its_place_is_free() {
    let clock = clock();
    let store = store(&clock);
    clock.advance_micros(20_000_000);
    assert_eq!(ids(&store, &tenant(), Filter::All, None), ["urn:mixed"]);
    assert_eq!(ids(&store, &tenant(), Filter::Types(vec!["urn:W".into()]), None), [""; 0]);
    assert_eq!(read(&store, |r| r.count(&tenant(), &Filter::All)), 1);
    assert_eq!(read(&store, |r| r.types(&tenant())), [("urn:T".to_owned(), 1)]);
    assert_eq!(read(&store, |r| r.entity(&tenant(), "urn:whole")), None);
    assert!(read(&store, |r| r.at(T0).entity(&tenant(), "urn:whole")).is_some());
    let mut wrong = Batch::new();
    wrong.expect_version(&tenant(), "urn:whole", Some(1));
    assert_eq!(store.commit_blocking(wrong), Err(StoreError::conflict("entity")));
    let mut create = Batch::new();
    create.expect_version(&tenant(), "urn:whole", None).put_entity(&tenant(), &entity("urn:whole", "urn:W", ""));
    // The count goes on: whoever remembers version 1 must not take the new one for it.
    assert_eq!(store.commit_blocking(create).unwrap().versions, [2]);
}

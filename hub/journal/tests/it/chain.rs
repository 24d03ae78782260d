//! The chain, the page, and what erasure leaves.

use crate::common::*;
use waybill_journal::{Kind, Record};
use waybill_model::TenantId;

#[test]
fn her_page_says_who_what_why_when_and_whether_it_was_stopped() {
    run(async {
        let journal = journal().await;
        for second in [1, 2] {
            journal.record_release(disclosure(second)).await.unwrap();
        }
        let after = |kind, second, recipient: Option<&str>| {
            Record::new(kind, TenantId::main(), T0.plus_seconds(second)).recipient(recipient.map(iri)).about(iri(MARTA), consent(2), serde_json::Value::Null)
        };
        journal.record_release(after(Kind::Withdrawal, 10, None)).await.unwrap();
        journal.record_release(after(Kind::Acknowledgement, 11, Some("https://c.example/#city"))).await.unwrap();
        journal.record_release(after(Kind::Acknowledgement, 12, Some(CITY_B))).await.unwrap();
        let page = journal.page_of(&iri(MARTA)).await.unwrap();
        assert_eq!(page.entries.len(), 5);
        let first = &page.entries[0];
        assert_eq!((first.record, first.kind, first.at), (1, Kind::Disclosure, T0.plus_seconds(1)));
        assert_eq!(first.recipient, Some(iri(CITY_B)));
        assert_eq!(first.detail["entity"], "urn:meter:marta");
        assert_eq!((first.stopped, first.confirmed), (Some(T0.plus_seconds(10)), Some(T0.plus_seconds(12))));
        assert_eq!(journal.page_of(&iri("urn:somebody:else")).await.unwrap().entries, []);
        let report = journal.verify(None).await.unwrap().unwrap();
        assert_eq!((report.first, report.last.number), (1, 5));
    });
}

//! Step 8: she withdraws while city B cannot be told. Cut off but alive, its gate closes by itself; dead, city A's account says that it
//! has not answered. When it can be told again, the withdrawal takes effect there, once.

use super::citizen::Citizen;
use super::stage::{ADVICE_AT_B, B_AT_A, City, OPERATOR, Stage};
use super::steps::{ANNA, CITY_B, by_law, finished, page};
use serde_json::{Value, json};
use waybill_http::Method;

/// How often a withdrawal took effect at city B: what its hub has on record, and what its broker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effects {
    on_record: usize,
    deleted: usize,
}

impl Effects {
    async fn at_b(stage: &Stage) -> Self {
        let list = stage.ask(City::B, OPERATOR, Method::GET, "/waybill/v1/withdrawals?limit=1000", None, 200).await;
        let deleted = stage.plain.seen().iter().filter(|s| s.target.ends_with("/entityOperations/delete") && s.status == 204).count();
        Self { on_record: list["items"].as_array().map_or(0, Vec::len), deleted }
    }
}

/// 8. Both, one after the other.
pub async fn withdrawn_in_silence(stage: &mut Stage, anna: &Citizen) {
    // Short enough to wait for, and long for a machine that has much to do: heartbeats are sent four times as often.
    stage.with_patience("5 s").await;

    let before = granted(stage, anna, 10).await;
    stage.cut();
    anna.says(&anna.consent(10, "withdrawn", false)).await;
    overdue(stage).await;
    assert_eq!(stage.entity(City::B, ADVICE_AT_B, ANNA).await, None, "nothing heard of city A for so long, city B's gate is closed");
    assert_eq!(Effects::at_b(stage).await, before, "though nobody has told it");
    assert!(stage.plain.entity("", ANNA).is_some(), "and its broker was not touched");
    stage.mend();
    takes_effect_once(stage, anna, before).await;

    let before = granted(stage, anna, 11).await;
    stage.kill(City::B);
    anna.says(&anna.consent(11, "withdrawn", false)).await;
    overdue(stage).await;
    assert!(stage.plain.entity("", ANNA).is_some(), "city B's broker still has her meter, and no hub beside it");
    by_law(stage).await;
    stage.start(City::B).await;
    takes_effect_once(stage, anna, before).await;
}

/// She grants, and city B has her meter.
async fn granted(stage: &Stage, anna: &Citizen, version: u32) -> Effects {
    anna.says(&anna.consent(version, "given", false)).await;
    let there = async || (stage.entity(City::B, ADVICE_AT_B, ANNA).await.is_some() && stage.plain.entity("", ANNA).is_some()).then_some(());
    stage.until("city B and its broker have her meter", there).await;
    Effects::at_b(stage).await
}

/// Waits until city A refuses, and its account of the withdrawal says that city B has not answered in time.
async fn overdue(stage: &Stage) {
    stage.until("city A refuses", async || stage.entity(City::A, B_AT_A, ANNA).await.is_none().then_some(())).await;
    let late = async || Some(newest(stage).await).filter(|report| report["holders"][0]["overdue"] == true);
    let report = stage.until("city A's account says that city B is overdue", late).await;
    let holder = &report["holders"][0];
    assert!(holder["party"] == CITY_B && holder["progress"] == "told" && holder["answers"] == json!([]), "told, and no answer: {report}");
    assert!(report.get("finishedAt").is_none() && report.get("lastStoppedAfter").is_none(), "it is not over: {report}");
}

async fn newest(stage: &Stage) -> Value {
    stage.ask(City::A, OPERATOR, Method::GET, "/waybill/v1/withdrawals?limit=1", None, 200).await["items"][0].clone()
}

/// City B can be told again. It never opens in between, and everything happens once: at its hub, in its broker, on her page, in her pod.
async fn takes_effect_once(stage: &Stage, anna: &Citizen, before: Effects) {
    let over = async || {
        assert_eq!(stage.entity(City::B, ADVICE_AT_B, ANNA).await, None, "closed it stays");
        newest(stage).await["finishedAt"].is_string().then_some(())
    };
    stage.until("city B has answered", over).await;
    let report = finished(stage).await;
    let holder = &report["holders"][0];
    assert!(holder["progress"] == "done" && holder["overdue"] == false, "{report}");
    assert!(holder["answers"].as_array().is_some_and(|a| a.iter().any(|a| a["store"] == "hub") && a.iter().all(|a| a["outcome"]["is"] != "failed")), "{report}");
    stage.until("city B's broker has nothing of her", async || stage.plain.entity("", ANNA).is_none().then_some(())).await;
    assert_eq!(Effects::at_b(stage).await, Effects { on_record: before.on_record + 1, deleted: before.deleted + 1 }, "once");

    let last = |said: &Value| said["withdrawal"] == report["id"] && said["finished"].is_string();
    let in_pod = async || Some(anna.acknowledgements().await.iter().filter(|a| last(&a["report"])).count()).filter(|n| *n > 0);
    assert_eq!(stage.until("that city B has answered is in her pod", in_pod).await, 1, "once");
    assert_eq!(page(stage, anna).iter().filter(|line| last(&line["detail"])).count(), 1, "and once on her page of city A's journal");
}

//! What takes hours, with the real program: an hourly mean, and a consent that ends. Each city's process is started on its files anew,
//! ahead of the system's time, as if its operator had restarted it then.

use super::pair::Stage;
use super::town::{City, Town, VOCAB};
use serde_json::{Value, json};
use waybill_model::DateTime;

const HOUR: i64 = 3600;

#[test]
fn a_mean_comes_when_its_hour_is_whole_and_a_consent_ends_at_its_moment() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut town = Town::new(City::A, "").await;
        // The first whole hour under her consent, and its end.
        let (hour, end) = next_hour(&mut town).await;
        let until = end.plus_seconds(2 * HOUR);
        let data = json!([
            { "attribute": format!("{VOCAB}activePower"), "precision": { "mean": { "every": "PT1H", "zone": "UTC", "minSamples": 2 } } },
            { "attribute": format!("{VOCAB}voltage"), "precision": "exact" },
        ]);
        town.clerk_records(&data, &until.to_string()).await;
        // Enough samples for a mean; but the hour had begun when she consented.
        measured(&mut town, 100.0, 230).await;
        measured(&mut town, 200.0, 231).await;
        assert_eq!(power_beside(&mut town, 231).await, None, "no mean while its hour lasts");

        town.goes_on_at(hour.plus_seconds(5)).await;
        measured(&mut town, 400.0, 232).await;
        assert_eq!(power_beside(&mut town, 232).await, None, "an hour that had begun when she consented is not whole");
        town.goes_on_at(hour.plus_seconds(HOUR / 2)).await;
        measured(&mut town, 500.0, 233).await;
        assert_eq!(power_beside(&mut town, 233).await, None, "half an hour is not whole");

        // The last sample, and the end of the hour comes while the programs run.
        town.goes_on_at(end.plus_seconds(-10)).await;
        measured(&mut town, 600.0, 234).await;
        let before = power_beside(&mut town, 234).await;
        assert!(before.is_none() || town.now() >= end, "not before the hour is over: {before:?}");
        let mean = async |t: &Town| t.seen_at_b().await.flatten().map(|seen| seen["activePower"].clone()).filter(|power| !power.is_null());
        let power = town.until("city B has the mean", mean).await;
        assert!(town.now() >= end, "when its hour is whole, and not before");
        assert_eq!(power["value"].as_f64(), Some(500.0), "of 400, 500 and 600: {power}");
        assert_eq!(power["observedAt"].as_str().and_then(|at| DateTime::parse(at).ok()), Some(end), "as of the end of the hour: {power}");

        town.goes_on_at(until.plus_seconds(1)).await;
        town.until("city B shows nothing any more", async |t| t.seen_at_b().await?.is_none().then_some(())).await;
        town.until("city A refuses city B", async |t| (t.answered_at_a().await? == 404).then_some(())).await;
        town.until("neither city's broker has anything of her", async |t| t.brokers_are_empty().then_some(())).await;
    });
}

/// The next full hour of the town's clock, with enough time left before it to consent and measure; and the one after.
async fn next_hour(town: &mut Town) -> (DateTime, DateTime) {
    let left = HOUR - town.now().seconds().rem_euclid(HOUR);
    if left < 300 {
        let moment = town.now().plus_seconds(left + 60);
        town.goes_on_at(moment).await;
    }
    let now = town.now();
    let hour = DateTime::from_seconds(now.seconds() + HOUR - now.seconds().rem_euclid(HOUR));
    (hour, hour.plus_seconds(HOUR))
}

/// City A's meter has another power and another voltage.
async fn measured(town: &mut Town, power: f64, voltage: u32) {
    let at = town.now();
    town.measured(&json!({
        "activePower": { "type": "Property", "value": power, "unitCode": "WTT", "observedAt": at },
        "voltage": { "type": "Property", "value": voltage, "unitCode": "VLT", "observedAt": at },
    }))
    .await;
}

/// The power that city B is shown, once it is shown the voltage that was measured with it.
async fn power_beside(town: &mut Town, voltage: u32) -> Option<Value> {
    let there = async |t: &Town| t.seen_at_b().await.flatten().filter(|seen| seen["voltage"]["value"] == voltage);
    town.until(&format!("city B has the voltage {voltage}"), there).await.get("activePower").cloned()
}

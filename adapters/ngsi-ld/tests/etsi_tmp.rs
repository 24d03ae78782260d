#[allow(dead_code)]
#[path = "it/memory.rs"]
mod memory;
use std::str::FromStr;
use std::sync::Arc;
use waybill_context::{BoxFuture, Contexts, Fetch, Fetched, Limits};
use waybill_http::*;
use waybill_model::Clock;
struct F(Client);
impl Fetch for F {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let r = self.0.send(OutRequest::get(url)).await.map_err(|e| format!("{e:?}"))?.success().map_err(|e| format!("{e:?}"))?;
            Ok(Fetched { body: r.body.to_vec(), max_age: None })
        })
    }
}
#[tokio::test(flavor = "multi_thread")]
async fn serve_it() {
    let Ok(port) = std::env::var("ETSI_PORT") else { return };
    let clock = Clock::system();
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing([Allow::from_str("127.0.0.1").unwrap()]))).unwrap();
    let contexts = Contexts::new(F(client), None, Limits::default(), clock.clone());
    let hub = Arc::new(memory::Memory::with(clock.clone(), contexts));
    let config = ServerConfig::new(([127, 0, 0, 1], port.parse().unwrap()).into());
    let _s = serve(config, waybill_ngsi_ld::routes(hub), Authenticator::closed().with_loopback_operator(), clock).await.unwrap();
    std::future::pending::<()>().await;
}

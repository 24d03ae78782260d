//! The data plane's endpoints (DPS, "Data Plane Endpoint"). They are there only where a control plane is configured, and only for it.

use super::flow::Flow;
use super::messages::{first, later, status};
use super::states::{FlowEvent, FlowState};
use crate::connector::Connector;
use crate::decode::MAX_MESSAGE;
use crate::fault::Fault;
use crate::machine::Role;
use serde_json::json;
use waybill_http::{Method, Request, Response, RouteOptions, Router, header};
use waybill_keys::sha256;
use waybill_model::{Problem, ProblemCode};

/// Where the data plane is signalled, below the hub's base URL.
pub const PATH: &str = "/dsp/dataplane";
const REALM: &str = "Bearer realm=\"control plane\"";

/// The routes of the data plane.
pub fn routes(connector: &Connector) -> Router {
    let options = RouteOptions { max_body: Some(MAX_MESSAGE), own_auth: true, always: false };
    let mut router = Router::new();
    macro_rules! route {
        ($method:ident, $path:expr, $handler:ident $(, $extra:expr)*) => {
            let this = connector.clone();
            router = router.route_with(Method::$method, &format!("{PATH}{}", $path), options, move |request| {
                let this = this.clone();
                async move { Ok(this.$handler(request $(, $extra)*).await) }
            });
        };
    }
    route!(POST, "/dataflows/prepare", answer_flow_first, Role::Consumer);
    route!(POST, "/dataflows/start", answer_flow_first, Role::Provider);
    for (name, event) in [
        ("started", FlowEvent::Started),
        ("suspend", FlowEvent::Suspend),
        ("resume", FlowEvent::Resume),
        ("terminate", FlowEvent::Terminate),
        ("completed", FlowEvent::Complete),
    ] {
        route!(POST, format!("/dataflows/{{id}}/{name}"), answer_flow_later, name, event);
    }
    route!(GET, "/dataflows/{id}/status", answer_flow_status);
    route!(POST, "/token", answer_flow_token);
    if connector.config().conformance.is_some() {
        route!(POST, "/intake/{id}", answer_intake);
    }
    router
}

/// What is wrong, as an object of problem details (RFC 9457): DPS leaves the body of a refusal open.
fn refusal(fault: Fault) -> Response {
    let mut problem = Problem::new(ProblemCode("flow-refused"), fault.status, "The data plane refuses", fault.detail);
    problem.kind = format!("https://w3id.org/waybill/problems#{}", fault.code);
    problem.code = fault.code;
    problem.place = Some(fault.place).filter(|p| !p.is_empty());
    let response = Response::problem(&problem);
    if problem.status == 401 { response.with(header::WWW_AUTHENTICATE, REALM) } else { response }
}

fn bearer(request: &Request) -> Option<&str> {
    let text = request.header(header::AUTHORIZATION)?;
    Some(text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "))?.trim())
}

impl Connector {
    /// Whether it is the control plane that calls. Digests are compared, so how long that takes says nothing of the token.
    fn control_plane_calls(&self, request: &Request) -> Result<(), Fault> {
        let plane = self.control_plane()?;
        let known = bearer(request).is_some_and(|token| sha256(token.as_bytes()) == plane.token);
        if known { Ok(()) } else { Err(Fault::new(401, "unauthenticated", "", "only the control plane that is configured may signal here")) }
    }

    async fn answer_flow_first(&self, request: Request, role: Role) -> Response {
        let answer = async {
            self.control_plane_calls(&request)?;
            let (flow, address) = self.take_first(role, &first(&request)?).await?;
            let later = matches!(flow.state, FlowState::Preparing | FlowState::Starting);
            let response = Response::json(if later { 202 } else { 200 }, &status(&flow, address.as_ref(), None)).with(header::CACHE_CONTROL, "no-store");
            Ok(if later { response.with(header::LOCATION, self.flow_url(&flow)) } else { response })
        };
        answer.await.unwrap_or_else(refusal)
    }

    fn flow_url(&self, flow: &Flow) -> String {
        format!("{}{PATH}/dataflows/{}/status", self.config().base_url, flow.id)
    }

    async fn answer_flow_later(&self, request: Request, name: &'static str, event: FlowEvent) -> Response {
        let answer = async {
            self.control_plane_calls(&request)?;
            let (flow, address) = self.take_later(request.param("id"), event, &later(&request, name)?).await?;
            Ok(Response::json(200, &status(&flow, address.as_ref(), None)).with(header::CACHE_CONTROL, "no-store"))
        };
        answer.await.unwrap_or_else(refusal)
    }

    async fn answer_flow_status(&self, request: Request) -> Response {
        let answer = async {
            self.control_plane_calls(&request)?;
            let flow = self.data_flow(request.param("id")).await?.ok_or_else(Fault::missing)?;
            Ok(Response::json(200, &json!({"dataFlowId": flow.id, "state": flow.state.as_str()})))
        };
        answer.await.unwrap_or_else(refusal)
    }

    async fn answer_flow_token(&self, request: Request) -> Response {
        let response = match self.renew_flow(&request).await {
            Ok(tokens) => Response::json(
                200,
                &json!({"access_token": tokens.access_token, "token_type": "Bearer", "expires_in": tokens.expires_in, "refresh_token": tokens.refresh_token}),
            ),
            Err(refused) => {
                let response = Response::json(refused.status, &json!({"error": refused.error, "error_description": refused.detail}));
                if refused.status == 401 { response.with(header::WWW_AUTHENTICATE, "Bearer") } else { response }
            }
        };
        response.with(header::CACHE_CONTROL, "no-store")
    }

    /// Takes what is pushed in a conformance run, and keeps none of it.
    async fn answer_intake(&self, request: Request) -> Response {
        let answer = async {
            let found = self.data_flow(request.param("id")).await?.filter(|f| f.role == Role::Consumer && f.is_scripted());
            let flow = found.ok_or_else(Fault::missing)?;
            let wanted = flow.address.as_ref().and_then(|a| a.property("authorization")).map(|t| sha256(t.as_bytes()));
            let open = matches!(flow.state, FlowState::Prepared | FlowState::Started);
            if !open || wanted.is_none() || bearer(&request).map(|t| sha256(t.as_bytes())) != wanted {
                return Err(Fault::new(401, "unauthenticated", "", "this is not the token of a flow that takes data now"));
            }
            Ok(Response::empty(204))
        };
        answer.await.unwrap_or_else(refusal)
    }
}

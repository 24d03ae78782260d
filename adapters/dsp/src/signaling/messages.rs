//! The messages between control plane and data plane (DPS 1.0-RC3, "Data Flow API"). They are plain JSON: no context and no type.

use super::flow::Flow;
use crate::connector::fresh_id;
use crate::decode::{self, DataAddress, Message};
use crate::encode;
use crate::fault::Fault;
use serde_json::{Value, json};
use waybill_http::Request;
use waybill_keys::{hex, jcs_hash};

/// The HTTP profile, pull (DPS, HTTP transfer profile). Its addresses can be renewed.
pub const HTTP_PULL: &str = "https://w3id.org/dspace-sig/profile/http-pull";
/// The HTTP profile, push.
pub const HTTP_PUSH: &str = "https://w3id.org/dspace-sig/profile/http-push";

/// Whether `profile` is one in which the provider sends; nothing for one that is not known. The last word alone is taken too.
pub fn pushes(profile: &str) -> Option<bool> {
    match profile {
        HTTP_PULL | "http-pull" => Some(false),
        HTTP_PUSH | "http-push" => Some(true),
        _ => None,
    }
}

/// What `prepare` and `start` say (DataFlowBaseMessage).
#[derive(Debug, Clone)]
pub struct First {
    pub participant: String,
    pub counterparty: String,
    pub process: String,
    pub agreement: String,
    pub dataset: String,
    pub profile: String,
    /// Whether the provider sends.
    pub push: bool,
    pub address: Option<DataAddress>,
    /// Of the whole message, to know it again.
    pub digest: String,
}

/// Reads `prepare` or `start`.
///
/// # Errors
/// 400 for what the schema does not allow, a profile that is not known included.
pub fn first(request: &Request) -> Result<First, Fault> {
    let message = decode::plain(request)?;
    for name in ["messageId", "dataspaceContext"] {
        message.text(name)?;
    }
    let value = message.value();
    for (name, kind) in [("claims", Value::is_object as fn(&Value) -> bool), ("metadata", Value::is_object), ("labels", |labels| labels.as_array().is_some_and(|all| all.iter().all(Value::is_string)))] {
        match value.get(name) {
            None if name != "claims" => {}
            Some(there) if kind(there) => {}
            None => return Err(Fault::bad("/claims", "it is missing")),
            Some(_) => return Err(Fault::bad(&format!("/{name}"), "it is of another kind than it must be")),
        }
    }
    let profile = message.text("profile")?;
    let Some(push) = pushes(&profile) else {
        return Err(Fault::new(400, "profile-unknown", "/profile", format!("the profiles here are {HTTP_PULL} and {HTTP_PUSH}")));
    };
    Ok(First {
        participant: message.text("participantId")?,
        counterparty: message.text("counterPartyId")?,
        process: message.text("processId")?,
        agreement: message.text("agreementId")?,
        dataset: message.text("datasetId")?,
        profile,
        push,
        address: address(&value)?,
        digest: digest("", &message),
    })
}

/// A message about a flow that is there: its address, its reason, and its digest.
#[derive(Debug, Default, Clone)]
pub struct Later {
    pub address: Option<DataAddress>,
    pub reason: Option<String>,
    pub digest: String,
}

/// Reads the message that `name` is the path of. `completed` has no body (DPS, "Completed"), and an empty object is taken for none.
///
/// # Errors
/// 400 for what the schema does not allow.
pub fn later(request: &Request, name: &str) -> Result<Later, Fault> {
    let bare = name == "completed";
    if bare && request.body.is_empty() {
        return Ok(Later { digest: name.to_owned(), ..Later::default() });
    }
    let message = decode::plain(request)?;
    if !bare {
        message.text("messageId")?;
    }
    let value = message.value();
    let reason = match value.get("reason") {
        None => None,
        Some(Value::String(text)) => Some(text.chars().take(500).collect()),
        Some(_) => return Err(Fault::bad("/reason", "it must be a text")),
    };
    Ok(Later { address: address(&value)?, reason, digest: digest(name, &message) })
}

fn digest(name: &str, message: &Message) -> String {
    format!("{name}{}", hex(&jcs_hash(&message.value())))
}

/// The address of a message. Control planes leave the types out.
fn address(value: &Value) -> Result<Option<DataAddress>, Fault> {
    let Some(mut address) = value.get("dataAddress").filter(|a| !a.is_null()).cloned() else { return Ok(None) };
    let typed = |value: &mut Value, name: &str| {
        if let Some(map) = value.as_object_mut() {
            map.entry("@type").or_insert_with(|| name.into());
        }
    };
    typed(&mut address, "DataAddress");
    if let Some(list) = address.get_mut("endpointProperties").and_then(Value::as_array_mut) {
        for item in list {
            typed(item, "EndpointProperty");
        }
    }
    decode::data_address(&address).map(Some)
}

/// Whether an address can be fetched from for long: what the token renewal profile puts into it is there.
pub fn renewable(address: &DataAddress) -> bool {
    let there = |name: &str| address.property(name).is_some_and(|v| !v.is_empty());
    let seconds = address.property("expiresIn").is_some_and(|v| v.parse::<u64>().is_ok());
    there("authorization") && there("refreshToken") && seconds
}

/// A DataFlowStatusMessage.
pub fn status(flow: &Flow, address: Option<&DataAddress>, error: Option<&str>) -> Value {
    let mut out = json!({"messageId": fresh_id(), "dataFlowId": flow.id, "state": flow.state.as_str()});
    if let Some(address) = address {
        out["dataAddress"] = encode::data_address(address);
    }
    if let Some(error) = error {
        out["error"] = error.into();
    }
    out
}

//! From what this side says to a message's JSON. All of it is in the compacted form that the protocol's JSON Schemas describe.

use crate::decode::DataAddress;
use crate::machine::{NegotiationState, TransferState};
use crate::vocab::CONTEXT;
use serde_json::{Value, json};

/// A message of the type `kind` with both identifiers.
pub fn message(kind: &str, provider: &str, consumer: &str) -> Value {
    json!({"@context": [CONTEXT], "@type": kind, "providerPid": provider, "consumerPid": consumer})
}

/// The same with code and reasons.
pub fn ending(kind: &str, provider: &str, consumer: &str, code: &str, reason: &str) -> Value {
    let mut out = message(kind, provider, consumer);
    out["code"] = code.into();
    out["reason"] = json!([reason]);
    out
}

/// The state of a negotiation, as its acknowledgement and its `GET` answer it.
pub fn negotiation(provider: &str, consumer: &str, state: NegotiationState) -> Value {
    let mut out = message("ContractNegotiation", provider, consumer);
    out["state"] = state.as_str().into();
    out
}

/// The same of a transfer process.
pub fn transfer(provider: &str, consumer: &str, state: TransferState) -> Value {
    let mut out = message("TransferProcess", provider, consumer);
    out["state"] = state.as_str().into();
    out
}

/// The first message of a consumer.
pub fn first_request(consumer: &str, offer: &Value, callback: &str) -> Value {
    json!({"@context": [CONTEXT], "@type": "ContractRequestMessage", "consumerPid": consumer, "offer": offer, "callbackAddress": callback})
}

/// The first message of a provider that begins by itself.
pub fn first_offer(provider: &str, offer: &Value, callback: &str) -> Value {
    json!({"@context": [CONTEXT], "@type": "ContractOfferMessage", "providerPid": provider, "offer": offer, "callbackAddress": callback})
}

/// The first message of a transfer.
pub fn transfer_request(consumer: &str, agreement: &str, format: &str, address: Option<&DataAddress>, callback: &str) -> Value {
    let mut out = json!({
        "@context": [CONTEXT], "@type": "TransferRequestMessage",
        "consumerPid": consumer, "agreementId": agreement, "format": format, "callbackAddress": callback,
    });
    if let Some(address) = address {
        out["dataAddress"] = data_address(address);
    }
    out
}

/// A data address.
pub fn data_address(address: &DataAddress) -> Value {
    let mut out = json!({"@type": "DataAddress", "endpointType": address.endpoint_type});
    if let Some(endpoint) = &address.endpoint {
        out["endpoint"] = endpoint.as_str().into();
    }
    if !address.properties.is_empty() {
        let list: Vec<Value> = address.properties.iter().map(|(n, v)| json!({"@type": "EndpointProperty", "name": n, "value": v})).collect();
        out["endpointProperties"] = list.into();
    }
    out
}

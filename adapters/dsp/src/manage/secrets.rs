//! Secrets that other calls refer to by name, so that they stand in none of them.
//!
//! The Eclipse EDC answers a secret's value to whoever may ask for it. This hub does not: the value is sealed before it is kept, and is in no
//! answer and no log. Who lost it puts another.

use super::body::{Body, MAX_PART, cut};
use super::define::{Definition, Definitions, Kept, Making};
use crate::connector::Connector;
use crate::fault::Fault;
use crate::machine::{Role, TransferMessage};
use crate::manage::typed;
use crate::ns::plain;
use crate::process::Transfer;
use crate::vocab::EDC;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_keys::{b64url, open, seal, unb64url};

/// What the hub's sealing key for secrets is drawn for.
pub(crate) const SEALED_FOR: &str = "secrets of the management interface";
/// The property of a data address that names a secret.
const NAME: &str = "secretName";

/// A sealed value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    sealed: String,
}

impl Definition for Secret {
    const LEDGER: &'static str = "dsp-secret";
    const WHAT: &'static str = "secret";

    fn read(body: &Body<'_>, making: &Making<'_>) -> Result<Self, Fault> {
        body.only(&["value", "createdAt"])?;
        let value = body.get("value").ok_or_else(|| Fault::bad("/value", "it is missing"))?;
        let value = plain(value).filter(|v| !v.is_empty() && v.len() <= MAX_PART);
        let value = value.ok_or_else(|| Fault::bad("/value", format!("it must be a text of 1 to {MAX_PART} bytes")))?;
        Ok(Self { sealed: b64url(seal(making.key, value.as_bytes(), making.id.as_bytes())) })
    }

    fn view(&self, id: &str) -> Value {
        typed("Secret", &[("@id", id.into()), ("withheld", "the value is kept sealed and is not shown again; put another where it is lost".into())])
    }

    fn all(definitions: &Definitions) -> &BTreeMap<String, Arc<Kept<Self>>> {
        &definitions.secrets
    }
    fn all_mut(definitions: &mut Definitions) -> &mut BTreeMap<String, Arc<Kept<Self>>> {
        &mut definitions.secrets
    }
}

impl Connector {
    /// The value of a secret.
    ///
    /// # Errors
    /// `secret-missing` when there is none, or it does not open with this hub's key.
    fn secret(&self, id: &str) -> Result<String, Fault> {
        let missing = |why: &str| Fault::new(400, "secret-missing", &format!("/{NAME}"), format!("the secret `{}` {why}; POST or PUT it at /management/v3/secrets", cut(id)));
        let (_, definitions) = self.definitions();
        let kept = definitions.secrets.get(id).ok_or_else(|| missing("does not exist"))?;
        let bytes = unb64url(&kept.value.sealed).and_then(|sealed| open(&self.hub().seal_key(SEALED_FOR), &sealed, id.as_bytes()).ok());
        bytes.and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| missing("does not open with the key of this hub"))
    }

    /// The same, to be shown as a header.
    fn header_secret(&self, id: &str) -> Result<String, Fault> {
        let value = self.secret(id)?;
        if value.chars().any(char::is_control) {
            let detail = format!("the secret `{}` has line breaks or other control characters, and cannot be shown as a header", cut(id));
            return Err(Fault::bad(&format!("/{NAME}"), detail));
        }
        Ok(value)
    }

    /// The body of a transfer's pending message as it is sent. Where this hub asks to be sent data, the secret that the operator named for it is
    /// put in now: it is in the message and nowhere that is kept. A name that comes from another connector is only a name.
    ///
    /// # Errors
    /// As [`Self::secret`].
    pub(crate) fn with_secret(&self, transfer: &Transfer, message: TransferMessage, body: &Value) -> Result<Value, Fault> {
        let name = transfer.address.as_ref().filter(|_| transfer.talk.role == Role::Consumer && message == TransferMessage::Request);
        let Some(name) = name.and_then(|a| a.property(NAME)) else { return Ok(body.clone()) };
        let value = self.header_secret(name)?;
        let mut out = body.clone();
        if let Some(Value::Array(properties)) = out.pointer_mut("/dataAddress/endpointProperties") {
            let own = format!("{EDC}{NAME}");
            properties.retain(|p| p["name"] != own.as_str());
            // The second is the name under which the Eclipse EDC looks for it.
            for name in ["authorization".to_owned(), format!("{EDC}authCode")] {
                properties.push(json!({"@type": "EndpointProperty", "name": name, "value": value}));
            }
        }
        Ok(out)
    }
}

/// Checks how a destination of the operator's is to be shown a secret.
///
/// # Errors
/// 400 for a secret that there is none of, one beside a value, or a header that this hub does not send.
pub(super) fn check_destination(connector: &Connector, address: &crate::decode::DataAddress) -> Result<(), Fault> {
    let Some(name) = address.property(NAME) else { return Ok(()) };
    let at = |member: &str| format!("/dataDestination/{member}");
    for value in ["authCode", "authorization"] {
        if address.property(value).is_some() {
            return Err(Fault::bad(&at(value), format!("`{NAME}` and `{value}` exclude each other")));
        }
    }
    if address.property("authKey").is_some_and(|key| !key.eq_ignore_ascii_case("authorization")) {
        return Err(Fault::bad(&at("authKey"), "a secret is shown as `Authorization` and as no other header"));
    }
    connector.header_secret(name).map(drop).map_err(|f| Fault { place: at(NAME), ..f })
}

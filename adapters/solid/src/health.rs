//! Whether a pod can be reached and the hub still has what it needs there. Changes nothing.

use crate::client::pod::SolidPod;
use crate::error::SolidError;
use serde::Serialize;

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PodHealth {
    /// The hub can sign in.
    pub signs_in: bool,
    /// It may read her grants.
    pub reads_grants: bool,
    /// The first thing that is wrong, without personal data.
    pub fault: Option<String>,
}

impl PodHealth {
    /// Whether nothing is wrong.
    pub fn is_up(&self) -> bool {
        self.fault.is_none()
    }
}

/// Asks the pod how it is.
pub async fn check(pod: &SolidPod) -> PodHealth {
    if let Err(error) = pod.session().sign_in().await {
        return PodHealth { signs_in: false, reads_grants: false, fault: Some(error.to_string()) };
    }
    match pod.list(pod.consents()).await {
        Ok(_) => PodHealth { signs_in: true, reads_grants: true, fault: None },
        Err(error) => PodHealth { signs_in: !matches!(error, SolidError::Unauthorized), reads_grants: false, fault: Some(error.to_string()) },
    }
}

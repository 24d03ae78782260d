//! The three cities and the company of the demo, as the configuration files that `waybill run` would be given.

use std::net::SocketAddr;

/// The parties.
pub const CITY_A: &str = "https://city-a.example/#city";
pub const CITY_B: &str = "https://city-b.example/#city";
pub const CITY_C: &str = "https://city-c.example/#city";
pub const GRID: &str = "https://grid-planner.example/#company";
pub const COMPANY: &str = "https://company.example/#us";

/// The dataset that city A offers to the company, and the names of their connectors.
pub const DATASET: &str = "urn:dataset:city-a:meters";
pub const CONNECTOR_A: &str = "urn:connector:city-a";
const CONNECTOR_COMPANY: &str = "urn:connector:company";

/// Tokens of the demo's callers. They open nothing outside of it: everything listens on loopback and ends with the demo.
pub const OPERATOR: &str = "demo-operator-0123456789";
pub const B_AT_A: &str = "demo-city-b-at-a-0123456789";
pub const GRID_AT_A: &str = "demo-grid-at-a-0123456789";
pub const ADVICE_AT_B: &str = "demo-advice-app-at-b-0123456789";
pub const BILLING_AT_B: &str = "demo-billing-app-at-b-0123456789";
pub const C_AT_B: &str = "demo-city-c-at-b-0123456789";
pub const APP_AT_C: &str = "demo-app-at-c-0123456789";
const COMPANY_AT_A: &str = "demo-company-at-a-0123456789";
const A_AT_COMPANY: &str = "demo-city-a-at-company-0123456789";

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Places {
    /// City A's hub.
    pub a: SocketAddr,
    /// City B's hub itself.
    pub b: SocketAddr,
    /// The line through which others reach city B's hub; the demo cuts it.
    pub b_line: SocketAddr,
    /// City C's hub.
    pub c: SocketAddr,
    /// The company's hub.
    pub company: SocketAddr,
    /// City B's own plain broker.
    pub plain: String,
    /// The pod server.
    pub pods: String,
    /// How hub A signs in at the pod server.
    pub hub_account: (String, String),
}

impl Places {
    /// City A: holds the meters and the air data, reads its citizens' pods, and offers the meters to the company's connector.
    pub fn city_a(&self) -> String {
        let Self { a, b_line, company, pods, hub_account: (id, secret), .. } = self;
        format!(
            r#"
[hub]
party = "{CITY_A}"
name = "City A"
contact = "mailto:data@city-a.example"
base_url = "http://{a}"
listen = "{a}"
data = "city-a"
zone = "Europe/Brussels"
may_call = ["127.0.0.0/8"]

[names]
default = "https://uri.etsi.org/ngsi-ld/default-context/"

[auth]
operator_token = "{OPERATOR}"

[[client]]
name = "hub-b"
party = "{CITY_B}"
token = "{B_AT_A}"

[[client]]
name = "grid"
party = "{GRID}"
token = "{GRID_AT_A}"

[[route]]
name = "air"
select = {{ types = ["AirQualityObserved"] }}
classification = "open"

[[route]]
name = "meters"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ attribute = "ownedBy" }}

[[route]]
name = "grid"
select = {{ types = ["SmartMeter"] }}
basis = "public-task"
law = "Energy Act, section 31: running the grid"
subject = {{ registry = true }}
purposes = ["GridOperation"]
recipients = ["{GRID}"]

[[route.attribute]]
name = "activePower"
share = "as-is"

[[agreement]]
name = "city-b"
recipient = "{CITY_B}"
open = true
holder = "enforcing"
clients = {{ hub-b = ["EnergyAdvice"] }}

[[agreement]]
name = "grid-planner"
recipient = "{GRID}"
clients = {{ grid = ["GridOperation"] }}

[[peer]]
name = "city-b"
party = "{CITY_B}"
url = "http://{b_line}"

[[connection]]
name = "pods"
kind = "solid"
web_id = "{pods}hub-a/profile/card#me"
issuer = "{pods}"
client_id = "{id}"
client_secret = "{secret}"
poll = "1 s"

[[connection.pod]]
web_id = "{pods}anna/profile/card#me"
consents = "{pods}anna/consents/"
acknowledgements = "{pods}anna/acknowledgements/"

[[connection.pod]]
web_id = "{pods}carla/profile/card#me"
consents = "{pods}carla/consents/"
acknowledgements = "{pods}carla/acknowledgements/"

[dataspace]
participant = "{CONNECTOR_A}"

[[participant]]
name = "company"
id = "{CONNECTOR_COMPANY}"
party = "{COMPANY}"
url = "http://{company}/dsp/2025-1"
token = "{COMPANY_AT_A}"
auth = {{ kind = "bearer", token = "{A_AT_COMPANY}" }}

[[offer]]
name = "meters"
dataset = "{DATASET}"
title = "Smart meters of households"
route = "meters"
purposes = ["EnergyAdvice"]
"#
        )
    }

    /// The company: a connector, and nothing else.
    pub fn company(&self) -> String {
        let Self { a, company, .. } = self;
        format!(
            r#"
[hub]
party = "{COMPANY}"
name = "The company"
contact = "mailto:data@company.example"
base_url = "http://{company}"
listen = "{company}"
data = "company"
may_call = ["127.0.0.0/8"]

[auth]
operator_token = "{OPERATOR}"

[dataspace]
participant = "{CONNECTOR_COMPANY}"

[[participant]]
name = "city-a"
id = "{CONNECTOR_A}"
party = "{CITY_A}"
url = "http://{a}/dsp/2025-1"
token = "{A_AT_COMPANY}"
auth = {{ kind = "bearer", token = "{COMPANY_AT_A}" }}
"#
        )
    }

    /// City B: follows city A, keeps what it gets in its own plain broker, and serves city C.
    pub fn city_b(&self) -> String {
        let Self { a, b, b_line, c, plain, .. } = self;
        format!(
            r#"
[hub]
party = "{CITY_B}"
name = "City B"
contact = "mailto:data@city-b.example"
base_url = "http://{b_line}"
listen = "{b}"
data = "city-b"
zone = "Europe/Brussels"
may_call = ["127.0.0.0/8"]

[names]
default = "https://uri.etsi.org/ngsi-ld/default-context/"

[auth]
operator_token = "{OPERATOR}"

[[client]]
name = "advice"
party = "{CITY_B}"
token = "{ADVICE_AT_B}"

[[client]]
name = "billing"
party = "{CITY_B}"
token = "{BILLING_AT_B}"

[[client]]
name = "hub-c"
party = "{CITY_C}"
token = "{C_AT_B}"

[[connection]]
name = "city-a"
kind = "ngsi-ld"
url = "http://{a}"
auth = {{ kind = "bearer", token = "{B_AT_A}" }}

[[connection]]
name = "plain"
kind = "ngsi-ld"
url = "{plain}"

[[route]]
name = "meters-from-a"
from = "city-a"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ registry = true }}
purposes = ["EnergyAdvice"]

[[route]]
name = "air-from-a"
from = "city-a"
select = {{ types = ["AirQualityObserved"] }}
classification = "open"

[[route]]
name = "feed"
to = "plain"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ registry = true }}
purposes = ["EnergyAdvice"]

[[route]]
name = "watch"
from = "plain"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ registry = true }}
purposes = ["EnergyAdvice"]

[[agreement]]
name = "own-applications"
recipient = "{CITY_B}"
open = true
clients = {{ advice = ["EnergyAdvice"], billing = ["EnergyBilling"] }}

[[agreement]]
name = "city-c"
recipient = "{CITY_C}"
open = true
holder = "enforcing"
clients = {{ hub-c = ["EnergyAdvice"] }}

[[peer]]
name = "city-a"
party = "{CITY_A}"
url = "http://{a}"
auth = {{ kind = "bearer", token = "{B_AT_A}" }}

[[peer]]
name = "city-c"
party = "{CITY_C}"
url = "http://{c}"
"#
        )
    }

    /// City C: follows city B.
    pub fn city_c(&self) -> String {
        let Self { b_line, c, .. } = self;
        format!(
            r#"
[hub]
party = "{CITY_C}"
name = "City C"
contact = "mailto:data@city-c.example"
base_url = "http://{c}"
listen = "{c}"
data = "city-c"
zone = "Europe/Brussels"
may_call = ["127.0.0.0/8"]

[names]
default = "https://uri.etsi.org/ngsi-ld/default-context/"

[auth]
operator_token = "{OPERATOR}"

[[client]]
name = "app"
party = "{CITY_C}"
token = "{APP_AT_C}"

[[connection]]
name = "city-b"
kind = "ngsi-ld"
url = "http://{b_line}"
auth = {{ kind = "bearer", token = "{C_AT_B}" }}

[[route]]
name = "meters-from-b"
from = "city-b"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ registry = true }}
purposes = ["EnergyAdvice"]

[[agreement]]
name = "own-applications"
recipient = "{CITY_C}"
open = true
clients = {{ app = ["EnergyAdvice"] }}

[[peer]]
name = "city-b"
party = "{CITY_B}"
url = "http://{b_line}"
auth = {{ kind = "bearer", token = "{C_AT_B}" }}
"#
        )
    }
}

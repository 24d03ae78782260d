//! Data Plane Signaling 1.0-RC3: the hub as the data plane behind a control plane of another make, such as the Eclipse EDC's.
//!
//! The control plane negotiates, and says when a flow of data starts, rests and ends. What is open is decided here all the same: the gate
//! looks at each request, and a flow's token is good only while the flow is started and its agreement, for a purpose that is offered, holds.

mod admit;
mod flow;
mod messages;
mod register;
mod renew;
mod server;
mod states;
mod take;
mod tell;

pub use flow::{Call, Flow};
pub use messages::{HTTP_PULL, HTTP_PUSH};
pub use server::{PATH, routes};
pub use states::{FlowEvent, FlowState, flow as next};

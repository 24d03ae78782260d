//! Tests of waybill-context.

mod it {
    mod core;
    mod decode;
    pub mod support;
}

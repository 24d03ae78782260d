//! Tests of waybill-context.

mod it {
    mod contexts;
    mod core;
    mod decode;
    mod expand;
    mod models;
    pub mod support;
}

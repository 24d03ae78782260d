//! Tests of waybill-context.

mod it {
    mod contexts;
    mod core;
    mod decode;
    mod expand;
    mod laws;
    mod models;
    pub mod support;
}

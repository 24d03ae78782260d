//! Tests of waybill-context.

mod it {
    mod contexts;
    mod core;
    mod decode;
    mod dspace;
    mod expand;
    mod laws;
    mod models;
    mod remote;
    pub mod support;
}

//! The connector.

mod it {
    mod crawl;
    mod dcat;
    mod messages;
    mod schemas;
    pub mod stand;
}

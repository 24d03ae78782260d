//! The connector.

mod it {
    mod crawl;
    mod dcat;
    pub mod stand;
}

//! The connector.

mod it {
    mod crawl;
    pub mod stand;
}

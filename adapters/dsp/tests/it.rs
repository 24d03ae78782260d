//! The connector.

mod it {
    mod crawl;
    mod dcat;
    mod inline;
    mod messages;
    mod schemas;
    pub mod stand;
}

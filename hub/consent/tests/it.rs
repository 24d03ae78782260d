//! Laws and fixtures of the consent room.

mod it {
    mod book;
    mod bundle;
    mod common;
    mod fold;
    mod grantdoc;
    mod registry;
    mod schemas;
    mod signed;
    mod status;
    mod terms;
}

//! Bad input at the program's own doors: each is refused with a problem whose code is explained, nothing is half done, and the hub goes on.

mod bodies;
mod contexts;
mod dataspace;
mod files;
mod members;
mod notices;
mod tokens;

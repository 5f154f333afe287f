//! The operations, one file a family. Each takes its request apart whole, checks it, and only then
//! touches the host; it adds its results to the response. Names arrive as
//! [`gofer_protocol::Name`], so they are single components.

mod attributes;
mod change;
mod listing;
mod make;
mod survey;
mod walk;
mod xattr;

pub use listing::Streams;

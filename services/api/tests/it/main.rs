//! The API over its router and a real Postgres.

mod authorisation;
mod conditional;
mod document;
mod paging;
mod problems;
mod reads;
mod support;

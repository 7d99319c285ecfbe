//! Feature rows as CSV.

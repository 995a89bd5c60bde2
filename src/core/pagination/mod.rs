//! How a collection is paged.

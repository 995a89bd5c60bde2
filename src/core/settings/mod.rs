//! What a job's settings document means.

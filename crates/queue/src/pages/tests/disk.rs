//! A disk that is full or fails.

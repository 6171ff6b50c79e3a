//! The four tests every saga must pass.

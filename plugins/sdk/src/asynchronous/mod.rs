//! The same names for handlers of WASI 0.3.

//! Write handlers for Wharf.

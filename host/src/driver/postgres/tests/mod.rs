//! Behaviour against a real server.

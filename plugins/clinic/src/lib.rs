//! Patients and visits over HTTP.

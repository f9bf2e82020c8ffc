//! From policies and a process to a verdict

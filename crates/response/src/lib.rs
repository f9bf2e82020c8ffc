//! From a violation to what is done about it

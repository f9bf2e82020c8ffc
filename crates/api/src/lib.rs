//! The kinds of bailiff.dev, their CRDs, and the words that several rooms must agree on

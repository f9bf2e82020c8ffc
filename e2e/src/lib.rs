//! Tests of Bailiff on a real cluster, a file for each story

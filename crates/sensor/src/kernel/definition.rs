//! The constants of `bpf/record.h`: kinds, flags, sources and counters, and the offsets of the structures' fields.
//!
//! Here: what the build script makes of that file, with an assertion of each offset on either side. Not here: reading a
//! record (`record`).
//! Invariant: no number of a record is written twice.
#![allow(
    dead_code,
    clippy::unreadable_literal,
    reason = "the definition is complete, whether or not each number is read, and nobody reads what is made of it"
)]

include!(concat!(env!("OUT_DIR"), "/definition.rs"));

#[cfg(test)]
#[path = "../../build/definition.rs"]
mod build;

#[cfg(test)]
mod tests {
    use super::build::read;

    #[test]
    fn both_sides_have_the_offsets_of_the_fields() {
        let text = "#define SIDES 2\nstruct key {\n\tunsigned int pid; /* A number. */\n\tunsigned int pad;\n};\n\
            struct pair {\n\tstruct key keys[SIDES];\n\tunsigned long long time;\n};\nenum kind {\n\tKIND_EXEC = 1 << 3,\n};\n";
        let written = read(text).unwrap();
        for line in [
            "_Static_assert(__builtin_offsetof(struct pair, time) == 16, \"as in Rust\");",
            "_Static_assert(sizeof(struct pair) == 24, \"as in Rust\");",
        ] {
            assert!(written.c.lines().any(|have| have == line), "{}", written.c);
        }
        for line in [
            "pub(crate) const SIDES: u32 = 2;",
            "    keys: [Key; 2],",
            "const _: () = assert!(std::mem::offset_of!(Pair, time) == 16);",
            "    pub(crate) const TIME: usize = 16;",
            "    pub(crate) const EXEC: u32 = 8;",
        ] {
            assert!(
                written.rust.lines().any(|have| have == line),
                "{}",
                written.rust
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, want) in [
            (
                "struct a {\nunsigned int x;\nunsigned long long y;\n};",
                "padding before a field in struct a: unsigned long long y;",
            ),
            (
                "struct a {\nunsigned long long x;\nunsigned int y;\n};",
                "padding at the end of struct a",
            ),
            (
                "struct a {\nlong x;\n};",
                "unknown type in struct a: long x;",
            ),
            (
                "struct a {\nunsigned int x[SIDES];\n};",
                "no number of elements in struct a: unsigned int x[SIDES];",
            ),
            (
                "enum kind {\nKIND_EXEC,\n};",
                "not understood in enum kind: KIND_EXEC,",
            ),
            (
                "enum kind {\nKIND_EXEC = 1 << 40,\n};",
                "no number in enum kind: KIND_EXEC = 1 << 40,",
            ),
            ("#define SIZE (8 * 2)", "no number: #define SIZE (8 * 2)"),
            ("typedef int number;", "not understood: typedef int number;"),
            ("/* It does not end.", "a comment does not end"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(want), "{text}");
        }
    }
}

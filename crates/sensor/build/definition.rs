//! Reads `bpf/record.h`, the one definition of what the kernel side tells user space.
//!
//! Here: its enums and structures, the constants that follow for Rust, and what both sides assert of them. Not here:
//! compiling the programs (`build.rs`).
//! Invariant: each line of the file is understood, or the build fails with it. No structure has padding that is no field.

use std::collections::HashMap;

/// What follows for each side.
pub(crate) struct Written {
    /// Modules with constants, and structures whose offsets are asserted.
    pub(crate) rust: String,
    /// Assertions of the same offsets.
    pub(crate) c: String,
}

/// A type with its bytes and its alignment.
struct Type {
    c: String,
    rust: String,
    size: usize,
    alignment: usize,
}

struct Field {
    name: String,
    rust: String,
    offset: usize,
}

/// Reads the definition.
///
/// # Errors
/// The line that is not understood, or a structure with padding.
pub(crate) fn read(text: &str) -> Result<Written, String> {
    let text = without_comments(text)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut types: Vec<Type> = [("unsigned int", "u32", 4), ("unsigned long long", "u64", 8)]
        .map(|(c, rust, size)| Type {
            c: c.to_owned(),
            rust: rust.to_owned(),
            size,
            alignment: size,
        })
        .into();
    let mut written = Written {
        rust: String::new(),
        c: String::new(),
    };
    let mut numbers = HashMap::new();
    while let Some(line) = lines.next() {
        let named = |kind: &str| line.strip_prefix(kind)?.strip_suffix(" {");
        if let Some(name) = named("enum ") {
            let body = lines.by_ref().take_while(|line| *line != "};");
            write_enum(&mut written, name, body)?;
        } else if let Some(name) = named("struct ") {
            let body = lines.by_ref().take_while(|line| *line != "};");
            let new = write_struct(&mut written, name, body, &types, &numbers)?;
            types.push(new);
        } else if let Some((name, value)) = line
            .strip_prefix("#define ")
            .and_then(|define| define.split_once(' '))
        {
            let value = value.trim_start_matches('(').trim_end_matches(')');
            let number = number(value).ok_or_else(|| format!("no number: {line}"))?;
            add_line(
                &mut written.rust,
                &format!("pub(crate) const {name}: u32 = {number};"),
            );
            numbers.insert(name.to_owned(), number);
        } else if !["#ifndef ", "#define ", "#endif"]
            .iter()
            .any(|guard| line.starts_with(guard))
        {
            return Err(format!("not understood: {line}"));
        }
    }
    Ok(written)
}

fn without_comments(text: &str) -> Result<String, String> {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        let (_, after) = comment.split_once("*/").ok_or("a comment does not end")?;
        rest = after;
    }
    kept.push_str(rest);
    Ok(kept)
}

/// `7` or `1 << 7`.
fn number(text: &str) -> Option<u32> {
    match text.split_once(" << ") {
        Some(("1", bit)) => 1_u32.checked_shl(bit.parse().ok()?),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// `NAME = 7,` or `NAME = 1 << 7,`, without the name of the enum before its own.
fn write_enum<'a>(
    written: &mut Written,
    name: &str,
    body: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let prefix = format!("{}_", name.to_uppercase());
    let mut rust = String::new();
    for line in body {
        let entry = line
            .strip_suffix(',')
            .and_then(|line| line.split_once(" = "));
        let (full, value) =
            entry.ok_or_else(|| format!("not understood in enum {name}: {line}"))?;
        let number = number(value);
        let number = number.ok_or_else(|| format!("no number in enum {name}: {line}"))?;
        let short = full.strip_prefix(&prefix).unwrap_or(full);
        add_line(
            &mut rust,
            &format!("    pub(crate) const {short}: u32 = {number};"),
        );
    }
    add_line(
        &mut written.rust,
        &format!("pub(crate) mod {name} {{\n{rust}}}"),
    );
    Ok(())
}

/// `TYPE name;`, `TYPE name[3];` or `TYPE name[LENGTH];`.
fn write_struct<'a>(
    written: &mut Written,
    name: &str,
    body: impl Iterator<Item = &'a str>,
    types: &[Type],
    numbers: &HashMap<String, u32>,
) -> Result<Type, String> {
    let (mut fields, mut size, mut alignment) = (Vec::new(), 0, 1);
    for line in body {
        let wrong = |what: &str| format!("{what} in struct {name}: {line}");
        let field = line
            .strip_suffix(';')
            .and_then(|line| line.rsplit_once(' '));
        let (c_name, field) = field.ok_or_else(|| wrong("not understood"))?;
        // 0: it is no array.
        let (field, length) = match field.strip_suffix(']').map(|field| field.split_once('[')) {
            None => (field, 0),
            Some(Some((field, length))) => {
                let length = numbers.get(length).copied().or_else(|| number(length));
                let length = length.ok_or_else(|| wrong("no number of elements"))?;
                (
                    field,
                    usize::try_from(length).or(Err(wrong("too many elements")))?,
                )
            }
            Some(None) => return Err(wrong("not understood")),
        };
        let known = types.iter().find(|known| known.c == c_name);
        let known = known.ok_or_else(|| wrong("unknown type"))?;
        if size % known.alignment != 0 {
            return Err(wrong("padding before a field"));
        }
        let rust = match length {
            0 => known.rust.clone(),
            _ => format!("[{}; {length}]", known.rust),
        };
        fields.push(Field {
            name: field.to_owned(),
            rust,
            offset: size,
        });
        size += known.size * length.max(1);
        alignment = alignment.max(known.alignment);
    }
    if size % alignment != 0 {
        return Err(format!("padding at the end of struct {name}"));
    }
    let rust = name.split('_').map(capitalized).collect::<String>();
    write_rust(&mut written.rust, name, &rust, &fields, size);
    for Field {
        name: field,
        offset,
        ..
    } in &fields
    {
        add_line(
            &mut written.c,
            &format!(
                "_Static_assert(__builtin_offsetof(struct {name}, {field}) == {offset}, \"as in Rust\");"
            ),
        );
    }
    add_line(
        &mut written.c,
        &format!("_Static_assert(sizeof(struct {name}) == {size}, \"as in Rust\");"),
    );
    Ok(Type {
        c: format!("struct {name}"),
        rust,
        size,
        alignment,
    })
}

/// A structure as Rust lays it out for C, what is asserted of it, and a module with its offsets.
fn write_rust(text: &mut String, name: &str, rust: &str, fields: &[Field], size: usize) {
    let mut members = String::new();
    let mut assertions = String::new();
    let mut offsets = String::new();
    for Field {
        name,
        rust: type_,
        offset,
    } in fields
    {
        add_line(&mut members, &format!("    {name}: {type_},"));
        add_line(
            &mut assertions,
            &format!("const _: () = assert!(std::mem::offset_of!({rust}, {name}) == {offset});"),
        );
        let upper = name.to_uppercase();
        add_line(
            &mut offsets,
            &format!("    pub(crate) const {upper}: usize = {offset};"),
        );
    }
    add_line(
        text,
        &format!(
            "#[repr(C)]\nstruct {rust} {{\n{members}}}\n{assertions}const _: () = assert!(size_of::<{rust}>() == {size});"
        ),
    );
    add_line(
        text,
        &format!(
            "pub(crate) mod {name} {{\n{offsets}    pub(crate) const SIZE: usize = {size};\n}}"
        ),
    );
}

fn add_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

//! Types in pieces, made by hand as the kernel shows them.

use super::*;

/// A piece: its types as numbers of 32 bits, its texts each with a NUL.
fn piece(types: &[u32], texts: &[u8]) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    for number in [24, 0, length(&types), length(&types), length(texts)] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend_from_slice(texts);
    bytes
}

/// Type 1: `int`, of 4 bytes.
const INT: [u32; 4] = [1, 1 << 24, 4, 32];
/// Type 2: `struct ovl_inode { int oe; }`, whose field is of the kernel's type 1; its texts begin
/// where the kernel's 5 bytes end.
const STRUCT: [u32; 6] = [5, 4 << 24 | 1, 4, 15, 1, 0];

fn kernel() -> Vec<u8> {
    piece(&INT, b"\0int\0")
}

fn module() -> Vec<u8> {
    piece(&STRUCT, b"ovl_inode\0oe\0")
}

#[test]
fn types_of_a_module_follow_those_of_the_kernel() {
    let both: Vec<u32> = INT.into_iter().chain(STRUCT).collect();
    let want = piece(&both, b"\0int\0ovl_inode\0oe\0");
    assert_eq!(join(&kernel(), &module()), Some(want));
    // A kernel whose header is longer, and whose texts do not follow its types at once.
    let (mut longer, plain) = (kernel(), kernel());
    longer.splice(24..24, [7; 8]);
    longer.splice(48..48, [7; 4]);
    longer[4] = 32;
    longer[16] += 4;
    assert_eq!(join(&longer, &module()), join(&plain, &module()));
}

#[test]
fn a_module_that_can_not_be_read_takes_nothing_away() {
    let folder = std::env::temp_dir().join(format!("bailiff-btf-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("vmlinux"), kernel()).unwrap();
    for (name, module, joined) in [
        ("none", None, false),
        ("whole", Some(module()), true),
        ("cut", Some(module()[..40].to_vec()), false),
        ("no type", Some(piece(&[5, 31 << 24, 4], b"x\0")), false),
        ("empty", Some(Vec::new()), false),
    ] {
        match module {
            Some(bytes) => std::fs::write(folder.join(MODULE), bytes).unwrap(),
            None => assert!(!folder.join(MODULE).exists()),
        }
        assert_eq!(with_module(&folder).is_some(), joined, "{name}");
        assert!(of_kernel(&folder).is_ok(), "{name}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(of_kernel(&folder).is_err());
}

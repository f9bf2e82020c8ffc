//! An ELF file with one section, for the targets that read what compilers store.
//!
//! Here: a file of 64 bits whose section is loaded as writable data. Not here: what is in the section. The target elf
//! has files that are no such ones.
//! Invariant: the section is found by its name, and begins at an address that is a multiple of 16.

/// Where the section begins in the file.
const START: usize = 64;
/// The address of the first byte of the file.
const BASE: u64 = 0x40_0000;

/// A file with a section.
pub fn with(name: &str, section: &[u8]) -> Vec<u8> {
    let mut file = vec![0; START];
    file.extend(section);
    let names = file.len() as u64;
    file.extend([b"\0", name.as_bytes(), b"\0"].concat());
    file.resize(file.len().next_multiple_of(16), 0);
    let (start, size) = (START as u64, section.len() as u64);

    let segments = file.len() as u64;
    // LOAD, readable and writable.
    numbers(&mut file, 4, &[1, 6]);
    numbers(&mut file, 8, &[start, BASE + start, 0, size, size, 16]);

    let sections = file.len() as u64;
    file.resize(file.len() + 64, 0);
    let name_size = name.len() as u64 + 2;
    for (name, offset, size) in [(1, start, size), (0, names, name_size)] {
        // PROGBITS.
        numbers(&mut file, 4, &[name, 1]);
        numbers(&mut file, 8, &[0, BASE + offset, offset, size]);
        numbers(&mut file, 4, &[0, 0]);
        numbers(&mut file, 8, &[16, 0]);
    }

    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    numbers(&mut header, 2, &[3, 62]);
    numbers(&mut header, 4, &[1]);
    numbers(&mut header, 8, &[0, segments, sections]);
    numbers(&mut header, 4, &[0]);
    numbers(&mut header, 2, &[64, 56, 1, 64, 3, 2]);
    file[..START].copy_from_slice(&header);
    file
}

/// Adds numbers of this many bytes.
fn numbers(to: &mut Vec<u8>, bytes: usize, numbers: &[u64]) {
    for number in numbers {
        to.extend(&number.to_le_bytes()[..bytes]);
    }
}

//! What an open file is, by the kind of its inode.
//!
//! Here: the kinds that policies tell apart. Not here: reading descriptors (`bpf/exec.bpf.c`).
//! Invariant: what could not be read is `Unknown`, and what is none of the kinds is `Other`; neither is `Closed`.

use crate::kernel::definition::DESCRIPTOR_CLOSED;
use bailiff_api::DescriptorType;

/// Bits of the kind in a file's mode (include/uapi/linux/stat.h).
const KIND: u32 = 0o170_000;
/// Bits of the device in its number; its driver has those above (`MINORBITS`, `include/linux/kdev_t.h`).
const MINOR_BITS: u32 = 20;

/// What a descriptor is, by mode and device number of its file.
pub(super) const fn descriptor_type(mode: u32, device: u32) -> DescriptorType {
    if mode == DESCRIPTOR_CLOSED {
        return DescriptorType::Closed;
    }
    // No file has a mode of more than 16 bits.
    if mode > 0xffff {
        return DescriptorType::Unknown;
    }
    match mode & KIND {
        0o010_000 => DescriptorType::Pipe,
        0o020_000 => character_device(device),
        0o040_000 | 0o100_000 => DescriptorType::File,
        0o140_000 => DescriptorType::Socket,
        // Block devices, and what has no kind: eventfd, epoll, io_uring and others.
        _ => DescriptorType::Other,
    }
}

/// What a character device is (Documentation/admin-guide/devices.txt, Linux 6.18).
const fn character_device(device: u32) -> DescriptorType {
    let minor = device & ((1 << MINOR_BITS) - 1);
    match (device >> MINOR_BITS, minor) {
        (1, 3) => DescriptorType::Null,
        // Old pseudo-terminals, consoles, /dev/tty and ptmx; pseudo-terminals of today; serial lines: ttyACM,
        // ttyUSB, ttyAMA and the like; consoles of hypervisors.
        (2..=5 | 128..=143 | 166 | 188 | 204 | 229, _) => DescriptorType::Terminal,
        _ => DescriptorType::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_kind_and_device() {
        let device = |major: u32, minor: u32| major << MINOR_BITS | minor;
        for (mode, number, want) in [
            (0o010_600, 0, DescriptorType::Pipe),
            (0o140_777, 0, DescriptorType::Socket),
            (0o100_644, 0, DescriptorType::File),
            (0o040_755, 0, DescriptorType::File),
            (0o020_666, device(1, 3), DescriptorType::Null),
            (0o020_666, device(1, 5), DescriptorType::Other),
            (0o020_620, device(136, 0), DescriptorType::Terminal),
            (0o020_620, device(143, 255), DescriptorType::Terminal),
            (0o020_666, device(5, 0), DescriptorType::Terminal),
            (0o020_600, device(4, 64), DescriptorType::Terminal),
            (0o020_600, device(10, 200), DescriptorType::Other),
            // Of no pseudo-terminal, though its number ends like one.
            (0o020_600, device(0, 136), DescriptorType::Other),
            (0o060_660, device(8, 0), DescriptorType::Other),
            (0o120_777, 0, DescriptorType::Other),
            // An eventfd has permissions alone.
            (0o600, 0, DescriptorType::Other),
            (1 << 16, 0, DescriptorType::Closed),
            (1 << 17, 0, DescriptorType::Unknown),
            (u32::MAX, 0, DescriptorType::Unknown),
        ] {
            assert_eq!(descriptor_type(mode, number), want, "{mode:o} {number}");
        }
    }
}

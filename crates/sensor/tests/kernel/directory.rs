//! Which working directory a program is told to have.

use crate::pod::{Folder, Pod, execs, load, write_program};
use bailiff_sensor::{Exec, Records};
use std::ffi::OsStr;
use std::path::Path;

/// What `cat` was told to be, started by a shell line to which `$1` is the folder.
fn cat(records: &mut Records, pod: &Pod, folder: &Folder, line: &str) -> Exec {
    let output = pod.run(line, &[folder.0.as_os_str()]);
    assert!(output.status.success(), "{line}: {output:?}");
    let found = execs(records, pod);
    let cat = found.iter().find(|exec| exec.executable.ends_with("/cat"));
    cat.unwrap_or_else(|| panic!("{line}: {found:#?}")).clone()
}

#[tokio::test]
async fn every_program_is_told_with_its_working_directory() {
    let pod = Pod::new("directory");
    let folder = Folder::new("directory");
    folder.below("a/b");
    let mut records = load();
    for (line, want) in [
        ("cd / && cat /dev/null", "/"),
        ("cd \"$1\" && cat /dev/null", "FOLDER"),
        ("ln -s a \"$1/l\" && cd \"$1/l/b\" && cat /dev/null", "FOLDER/a/b"),
        // Its name is not in the tree any more, but `..` still leads to where it was.
        (
            "mkdir \"$1/gone\" && cd \"$1/gone\" && rmdir \"$1/gone\" && cat /dev/null",
            "FOLDER/gone",
        ),
        // Across the mount, to its place in the tree.
        (
            "mkdir \"$1/m\" && unshare --mount sh -c 'mount -t tmpfs t \"$1/m\" && mkdir \"$1/m/x\" &&
             cd \"$1/m/x\" && cat /dev/null' sh \"$1\"",
            "FOLDER/m/x",
        ),
        // From the root of the mount namespace, as the executable.
        (
            "mkdir \"$1/root\" && unshare --mount sh -c 'mount --rbind / \"$1/root\" &&
             chroot \"$1/root\" sh -c \"cd /dev && cat /dev/null\"' sh \"$1\"",
            "FOLDER/root/dev",
        ),
        // Outside of the root that it has.
        (
            "mkdir \"$1/jail\" && cd \"$1/a\" && unshare --mount sh -c 'mount --rbind / \"$1/jail\" &&
             exec perl -e '\\''chroot $ARGV[0]; exec \"cat\", \"/dev/null\"'\\'' \"$1/jail\"' sh \"$1\"",
            "FOLDER/a",
        ),
    ] {
        let found = cat(&mut records, &pod, &folder, line);
        let want = want.replace("FOLDER", folder.path());
        assert_eq!(found.working_directory, want, "{line}");
    }
}

#[tokio::test]
async fn a_directory_that_no_path_leads_to_is_not_known() {
    let pod = Pod::new("unknown");
    let folder = Folder::new("unknown");
    folder.below("a");
    let mut records = load();
    for (line, want) in [
        // The descriptor is in the namespace that it was opened in, the process in another.
        (
            "unshare --mount sh -c 'cd /proc/self/fd/9 && cat /dev/null' 9< \"$1/a\"",
            "…FOLDER/a",
        ),
        // The control: without another namespace it is known.
        (
            "sh -c 'cd /proc/self/fd/9 && cat /dev/null' 9< \"$1/a\"",
            "FOLDER/a",
        ),
        // The mount was taken out of the tree.
        (
            "mkdir \"$1/m\" && unshare --mount sh -c 'mount -t tmpfs t \"$1/m\" && mkdir \"$1/m/x\" &&
             cd \"$1/m/x\" && umount -l \"$1/m\" && cat /dev/null' sh \"$1\"",
            "…/x",
        ),
        (
            "mkdir \"$1/n\" && unshare --mount sh -c 'mount -t tmpfs t \"$1/n\" &&
             cd \"$1/n\" && umount -l \"$1/n\" && cat /dev/null' sh \"$1\"",
            "…/",
        ),
    ] {
        let found = cat(&mut records, &pod, &folder, line);
        let want = want.replace("FOLDER", folder.path());
        assert_eq!(found.working_directory, want, "{line}");
    }
    let parts = "a/".repeat(45);
    folder.below(&parts);
    let line = format!("cd \"$1/{parts}\" && cat /dev/null");
    let deep = cat(&mut records, &pod, &folder, &line).working_directory;
    assert_eq!(deep, format!("…{}", "/a".repeat(40)));
}

#[tokio::test]
async fn a_script_by_a_relative_path_is_told_with_it() {
    let pod = Pod::new("relative");
    let folder = Folder::new("relative");
    write_program(&folder.0.join("run.sh"), b"#!/bin/sh\n:\n");
    let mut records = load();
    let line = "cd \"$1\" && ./run.sh && cd / && \"$1/run.sh\"";
    assert!(pod.run(line, &[folder.0.as_os_str()]).status.success());
    let found = execs(&mut records, &pod);
    let [relative, absolute] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(relative.filename, "./run.sh");
    assert_eq!(relative.working_directory, folder.path());
    let following: Vec<_> = relative.args.iter().skip(1).collect();
    assert_eq!(following, [b"./run.sh"]);
    assert_eq!(absolute.filename, format!("{}/run.sh", folder.path()));
    assert_eq!(absolute.working_directory, "/");
}

#[tokio::test]
async fn the_longest_texts_of_all_leave_room_for_each_other() {
    let cgroup = format!("kubepods/podtest/{}", vec!["c".repeat(250); 12].join("/"));
    let pod = Pod::below("longest", &cgroup);
    let folder = Folder::new("longest");
    let mut deep = folder.0.clone();
    while deep.as_os_str().len() < 3800 {
        deep.push("d".repeat(250.min(4050 - deep.as_os_str().len())));
    }
    std::fs::create_dir_all(&deep).unwrap();
    let program = deep.join("true");
    write_program(&program, &std::fs::read("/bin/true").unwrap());
    let mut records = load();
    let arg = "x".repeat(8000);
    let line = "cd \"$1\" && exec \"$2\" \"$3\"";
    let arguments = [deep.as_os_str(), program.as_os_str(), OsStr::new(&arg)];
    let output = pod.run(line, &arguments);
    assert!(output.status.success(), "{output:?}");
    let found = execs(&mut records, &pod);
    let [exec] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(Path::new(&exec.executable), program);
    // What is below the pod's own cgroup, and none of a container, is not kept.
    assert!(
        exec.cgroup.ends_with("/kubepods/podtest"),
        "{}",
        exec.cgroup
    );
    assert_eq!(exec.filename.len(), 511);
    assert!(program.to_str().unwrap().starts_with(&exec.filename));
    let rest = exec.working_directory.strip_prefix('…');
    let rest = rest.unwrap_or_else(|| panic!("{}", exec.working_directory));
    assert!(rest.starts_with("/d") && deep.to_str().unwrap().ends_with(rest));
    // The kernel has the path of the program as the first of its arguments.
    let args: usize = exec.args.iter().map(|arg| arg.len() + 1).sum();
    assert_eq!((args, exec.args_cut), (4096 + 1, true));
    assert_eq!(exec.args_tail, [arg.as_bytes()[..1023].to_vec()]);
    assert!(exec.filename_cut);
}

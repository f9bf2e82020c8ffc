//! Which script a program is told to run. Kernels that let no function be traced have to tell of none.

use crate::pod::{Folder, Pod, execs, load, write_program};
use bailiff_api::ExecutableSource;
use bailiff_sensor::{Exec, Records, ScriptFile};

/// The file of a script, where it can be seen.
fn file(records: &Records, path: &str, source: ExecutableSource) -> Option<ScriptFile> {
    let path = path.to_owned();
    records
        .sees_scripts()
        .then_some(ScriptFile { path, source })
}

/// What scripts and a program in a folder were told to be, started by a shell line to which `$1` is the folder.
fn run(records: &mut Records, pod: &Pod, folder: &Folder, line: &str) -> Vec<Exec> {
    let output = pod.run(line, &[folder.0.as_os_str()]);
    assert!(output.status.success(), "{line}: {output:?}");
    let found = execs(records, pod).into_iter();
    found
        .filter(|exec| exec.interpreter.is_some() || exec.filename.ends_with("/program"))
        .collect()
}

#[tokio::test]
async fn a_script_is_the_file_that_the_kernel_opened_whatever_path_led_to_it() {
    let pod = Pod::new("scripts");
    let folder = Folder::new("scripts");
    write_program(&folder.0.join("x.sh"), b"#!/bin/sh\n:\n");
    write_program(
        &folder.0.join("program"),
        &std::fs::read("/bin/true").unwrap(),
    );
    let deep = folder
        .below(&"d".repeat(200))
        .join("e".repeat(200))
        .join("f".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    write_program(&deep.join("x.sh"), b"#!/bin/sh\n:\n");
    let mut records = load();
    println!("files of scripts are seen: {}", records.sees_scripts());
    let source = run(&mut records, &pod, &folder, "\"$1/program\"")[0].source;
    let plain = format!("{}/x.sh", folder.path());
    let of_deep = format!("{}/x.sh", deep.display());
    let long = format!("\"{of_deep}\"");
    for (line, want) in [
        ("\"$1/x.sh\"", &plain),
        ("cd \"$1\" && ./x.sh", &plain),
        ("/proc/self/root\"$1\"/x.sh", &plain),
        ("cd \"$1\" && /proc/self/cwd/x.sh", &plain),
        ("exec 9< \"$1/x.sh\" && /proc/self/fd/9", &plain),
        ("exec 9< \"$1\" && /dev/fd/9/x.sh", &plain),
        ("ln -s / \"$1/l\" && \"$1/l$1/x.sh\"", &plain),
        (long.as_str(), &of_deep),
    ] {
        let found = run(&mut records, &pod, &folder, line);
        let [exec] = found.as_slice() else {
            panic!("{line}: {found:#?}")
        };
        assert_eq!(exec.script, file(&records, want, source), "{line}");
        assert_eq!(exec.filename_cut, line == long, "{line}");
    }
}

#[tokio::test]
async fn of_interpreters_that_are_scripts_the_first_file_is_the_script() {
    let pod = Pod::new("chain");
    let folder = Folder::new("chain");
    write_program(&folder.0.join("inner"), b"#!/bin/sh\n:\n");
    let outer = format!("#!{}/inner\n", folder.path());
    write_program(&folder.0.join("outer"), outer.as_bytes());
    write_program(&folder.0.join("broken"), b"#!/no/such/interpreter\n");
    write_program(
        &folder.0.join("program"),
        &std::fs::read("/bin/true").unwrap(),
    );
    let mut records = load();
    // One that failed leaves nothing to those that follow.
    let line = "\"$1/broken\" 2> /dev/null; \"$1/outer\"; \"$1/program\"; \"$1/inner\"";
    let found = run(&mut records, &pod, &folder, line);
    let scripts: Vec<_> = found.iter().map(|exec| exec.script.clone()).collect();
    let source = found[1].source;
    let [outer, inner] =
        ["outer", "inner"].map(|name| file(&records, &format!("{}/{name}", folder.path()), source));
    assert_eq!(scripts, [outer, None, inner]);
}

#[tokio::test]
async fn a_script_that_no_path_leads_to_has_an_unknown_beginning() {
    let pod = Pod::new("lost-script");
    let folder = Folder::new("lost-script");
    write_program(&folder.0.join("x.sh"), b"#!/bin/sh\n:\n");
    let mut records = load();
    // The descriptor is in the namespace that it was opened in, the process in another.
    let line = "unshare --mount sh -c 'exec /proc/self/fd/9/x.sh' 9< \"$1\"";
    let found = run(&mut records, &pod, &folder, line);
    let path = format!("…{}/x.sh", folder.path());
    assert_eq!(
        found[0].script.as_ref().map(|script| &script.path),
        records.sees_scripts().then_some(&path)
    );
    // So has a program.
    write_program(
        &folder.0.join("program"),
        &std::fs::read("/bin/true").unwrap(),
    );
    let line = line.replace("x.sh", "program");
    let found = run(&mut records, &pod, &folder, &line);
    assert_eq!(found[0].executable, format!("…{}/program", folder.path()));
    let line = "exec /proc/self/fd/9/program 9< \"$1\"";
    let found = run(&mut records, &pod, &folder, line);
    assert_eq!(found[0].executable, format!("{}/program", folder.path()));
}

#[tokio::test]
async fn where_the_function_cannot_be_traced_a_script_is_not_seen() {
    let pod = Pod::new("untraced");
    let folder = Folder::new("untraced");
    write_program(&folder.0.join("x.sh"), b"#!/bin/sh\n:\n");
    // The kernel's types, without the function of this name.
    let mut types = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let name = b"\0security_bprm_check\0";
    let at = types.windows(name.len()).position(|text| text == name);
    types[at.unwrap() + 1] = b'S';
    std::fs::write(folder.0.join("vmlinux"), types).unwrap();
    let mut records = Records::load_by_types(1 << 20, &folder.0).unwrap();
    assert!(!records.sees_scripts());
    let found = run(&mut records, &pod, &folder, "/proc/self/root\"$1\"/x.sh");
    let [exec] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(
        exec.filename,
        format!("/proc/self/root{}/x.sh", folder.path())
    );
    assert_eq!(
        (&exec.script, exec.interpreter.as_deref()),
        (&None, Some("/bin/sh"))
    );
}

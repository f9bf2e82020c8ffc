//! The commands by which the kubelet enters containers: exec probes and lifecycle hooks.
//!
//! Here: which commands the containers of a pod have, and whether a program that started is one of them. Not here:
//! what follows for the origin of a process (`tree`).
//! Invariant: all of a command has to agree, as far as the kernel kept its arguments; a command
//! that only begins alike, or only ends alike, is another one, and so is that of another container.

use crate::kernel::record::Exec;
use bailiff_api::Origin;
use k8s_openapi::api::core::v1::{Container, EnvVar, ExecAction, LifecycleHandler, PodSpec};
use std::collections::HashMap;

/// Most bytes of the commands of a pod once variables are in their place: a word of a few bytes can name one of a
/// megabyte many times. A command is at most as long as an exec with all of its arguments; a probe has a few words.
const LIMIT_BYTES: usize = 64 * 1024;

/// Commands of a pod, as the kubelet hands them to the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KubeletCommands {
    containers: Vec<ContainerCommands>,
}

/// Those of a container; one without any is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ContainerCommands {
    name: String,
    probes: Vec<Vec<String>>,
    lifecycle: Vec<Vec<String>>,
}

impl KubeletCommands {
    /// The commands of all containers that may have some. Those of probes are expanded from the
    /// container's `env` (k8s.io/kubernetes v1.37, `pkg/kubelet/prober/prober.go`); those of
    /// hooks are not (`pkg/kubelet/lifecycle/handlers.go`).
    ///
    /// None: they take more than [`LIMIT_BYTES`].
    pub(crate) fn of(spec: &PodSpec) -> Option<Self> {
        let mut room = LIMIT_BYTES;
        let inits = spec.init_containers.iter().flatten();
        let containers = spec.containers.iter().chain(inits);
        let has_some = |commands: &ContainerCommands| {
            !commands.probes.is_empty() || !commands.lifecycle.is_empty()
        };
        let containers = containers.map(|container| ContainerCommands::of(container, &mut room));
        let containers: Option<Vec<_>> = containers
            .filter(|commands| commands.as_ref().is_none_or(has_some))
            .collect();
        Some(Self {
            containers: containers?,
        })
    }

    /// Bytes of the words.
    pub(crate) fn bytes(&self) -> usize {
        let containers = self.containers.iter();
        let commands = containers.flat_map(|container| {
            let lists = [&container.probes, &container.lifecycle];
            lists.into_iter().flatten()
        });
        commands.flatten().map(String::len).sum()
    }

    /// Whose command a program is that joined this container from outside: `Exec` when it is none of the kubelet's
    /// there. None: it is not known which container it joined, and the commands of all of them count.
    pub(crate) fn origin_of(&self, exec: &Exec, container: Option<&str>) -> Origin {
        let same = |command: &Vec<String>| is_command(exec, command);
        let of_container =
            |commands: &&ContainerCommands| container.is_none_or(|name| commands.name == name);
        let containers = || self.containers.iter().filter(of_container);
        if containers().any(|commands| commands.probes.iter().any(same)) {
            Origin::Probe
        } else if containers().any(|commands| commands.lifecycle.iter().any(same)) {
            Origin::Lifecycle
        } else {
            Origin::Exec
        }
    }
}

impl ContainerCommands {
    /// None: there is no room for them.
    fn of(container: &Container, room: &mut usize) -> Option<Self> {
        let command = |action: &ExecAction| action.command.clone().filter(|c| !c.is_empty());
        let probes = [
            &container.liveness_probe,
            &container.readiness_probe,
            &container.startup_probe,
        ];
        let env = variables(container.env.as_deref().unwrap_or_default());
        let probes = probes.into_iter().flatten();
        let probes = probes.filter_map(|probe| probe.exec.as_ref().and_then(command));
        let probes: Option<Vec<Vec<_>>> = probes
            .map(|command| {
                let words = command.iter();
                words.map(|word| expand(word, &env, room)).collect()
            })
            .collect();
        let hooks = container
            .lifecycle
            .iter()
            .flat_map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop])
            .flatten()
            .filter_map(|hook: &LifecycleHandler| hook.exec.as_ref().and_then(command));
        Some(Self {
            name: container.name.clone(),
            probes: probes?,
            lifecycle: hooks.collect(),
        })
    }
}

/// Whether a program that runs is this command.
///
/// For a script the kernel has replaced the command's first word by the interpreter, its one
/// optional argument and the script's path (Linux 6.18, `fs/binfmt_script.c`, once for each
/// interpreter that is a script itself).
fn is_command(exec: &Exec, command: &[String]) -> bool {
    let Some((first, rest)) = command.split_first() else {
        return false;
    };
    let args: Vec<_> = exec.args.iter().collect();
    if exec.interpreter.is_none() {
        return agree(exec, &args, command, exec.args_cut);
    }
    let mut following = args.iter().skip(1);
    let script = following.position(|arg| *arg == exec.filename.as_bytes());
    let Some(script) = script else {
        return false;
    };
    // What follows the interpreter and the script.
    let tail = args.get(script.saturating_add(2)..);
    is_path_of(&exec.filename, first)
        && tail.is_some_and(|tail| agree(exec, tail, rest, exec.args_cut && !tail.is_empty()))
}

/// Whether a runtime comes to this path for the first word of a command: as it is, from the
/// working directory, or by `PATH`.
fn is_path_of(path: &str, word: &str) -> bool {
    if word.starts_with('/') {
        return path == word;
    }
    let word = word.strip_prefix("./").unwrap_or(word);
    path.strip_prefix("./").unwrap_or(path) == word
        || path
            .strip_suffix(word)
            .is_some_and(|folder| folder.ends_with('/'))
}

/// Whether arguments are these words; where some are missing, whether the words go on from there and end
/// as the arguments do.
fn agree(exec: &Exec, args: &[&[u8]], words: &[String], cut: bool) -> bool {
    let same = |(arg, word): (&&[u8], &String)| *arg == word.as_bytes();
    if !cut {
        return args.len() == words.len() && args.iter().zip(words).all(same);
    }
    let Some((last, whole)) = args.split_last() else {
        // They could not be read.
        return false;
    };
    // The last one may have lost its end.
    words.len() >= args.len()
        && whole.iter().zip(words).all(same)
        && words
            .get(whole.len())
            .is_some_and(|word| word.as_bytes().starts_with(last))
        && end_with(words, &exec.args_tail.iter().collect::<Vec<_>>())
}

/// Whether words end with these arguments, of which the first one may have lost its beginning.
fn end_with(words: &[String], tail: &[&[u8]]) -> bool {
    let Some((first, whole)) = tail.split_first() else {
        // They could not be read.
        return false;
    };
    let same = |(arg, word): (&&[u8], &String)| *arg == word.as_bytes();
    let before = words.len().checked_sub(tail.len());
    let ends = before.and_then(|before| words.get(before..)?.split_first());
    ends.is_some_and(|(word, rest)| {
        word.as_bytes().ends_with(first) && whole.iter().zip(rest).all(same)
    })
}

/// The variables of a container that are known without asking anybody. As for the kubelet, one
/// with `valueFrom` is there and empty, and the last one of a name counts.
fn variables(env: &[EnvVar]) -> HashMap<&str, &str> {
    env.iter()
        .map(|var| (var.name.as_str(), var.value.as_deref().unwrap_or_default()))
        .collect()
}

/// Puts variables in the place of `$(NAME)`; `$$` stands for `$`, and a name that is not known
/// stays as it is written (the rules of `command` in the Pod API). None: it takes more than the room, of which it takes
/// its part.
fn expand(word: &str, variables: &HashMap<&str, &str>, room: &mut usize) -> Option<String> {
    let mut expanded = String::new();
    let mut push = |text: &str| {
        *room = room.checked_sub(text.len())?;
        expanded.push_str(text);
        Some(())
    };
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        push(before)?;
        if let Some(after) = after.strip_prefix('$') {
            push("$")?;
            rest = after;
            continue;
        }
        let reference = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'));
        let Some((name, after_reference)) = reference else {
            push("$")?;
            rest = after;
            continue;
        };
        if let Some(value) = variables.get(name) {
            push(value)?;
        } else {
            push("$(")?;
            push(name)?;
            push(")")?;
        }
        rest = after_reference;
    }
    push(rest)?;
    Some(expanded)
}

#[cfg(test)]
mod tests;

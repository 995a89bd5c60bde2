//! The server's processes, from outside.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Kills a process with SIGKILL.
pub fn kill9(pid: u32) {
    signal(pid, "KILL");
}

/// Stops processes where they are, as a machine that is suspended does.
pub fn suspend(pids: &[u32]) {
    pids.iter().for_each(|pid| signal(*pid, "STOP"));
}

/// Lets processes go on that were suspended.
pub fn resume(pids: &[u32]) {
    pids.iter().for_each(|pid| signal(*pid, "CONT"));
}

/// The most memory that a process ever held, in bytes (VmHWM: private and shared pages alike).
pub fn memory_high_water(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or_else(|| panic!("process {pid} is gone")) * 1024
}

/// How many times a process holds these bytes in memory of its own that a core file would show: written and not shared.
/// None: this user may not look.
pub fn memory_holds(pid: u32, needle: &[u8]) -> Option<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let from = u64::from_str_radix(from, 16).ok()?;
        let length = u64::from_str_radix(to, 16).ok()? - from;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        // What is not there cannot be read; such a place holds nothing.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found += bytes.windows(needle.len()).filter(|window| *window == needle).count();
        }
    }
    Some(found)
}

/// Whether the kernel would write a core file of the process, as far as the process has a say.
pub fn is_dumpable(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // Its files belong to root where it is not.
    let owner = std::fs::metadata(format!("/proc/{pid}/environ")).map(|found| found.uid());
    owner.ok() == uid_in(&status)
}

fn uid_in(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Sends a signal; a process that is already gone is no error.
pub(crate) fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    let status = kill.args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status();
    status.expect("kill is part of every system");
}

/// The processes that work in a folder: each process of a server works in its data directory.
pub(crate) fn processes_in(folder: &Path) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder))
        .collect()
}

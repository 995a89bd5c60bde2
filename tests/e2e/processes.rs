//! The server's processes, from outside.

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

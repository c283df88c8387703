//! What the kernel knows of a process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// utime, stime, cutime and cstime (fields 14 to 17) and the parent's pid (field 4) of `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(u32, [f64; 4])> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    let ticks = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / ticks_per_second());
    Some((fields.get(1)?.parse().ok()?, [ticks(14)?, ticks(15)?, ticks(16)?, ticks(17)?]))
}

fn ticks_per_second() -> f64 {
    // USER_HZ, fixed at 100 on every Linux that matters here; sysconf would need unsafe code.
    100.0
}

/// The living children of a process, zombies included.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| stat(pid).is_some_and(|(its_parent, _)| its_parent == parent)).collect()
}

/// User and system time of a server so far: the process, its children, and those that it has waited for.
pub fn cpu_seconds(pid: u32) -> f64 {
    let own: f64 = stat(pid).map_or(0.0, |(_, times)| times.iter().sum());
    let children = children(pid).into_iter().filter_map(stat);
    own + children.map(|(_, times)| times[0] + times[1]).sum::<f64>()
}

/// Resident memory of a process, with its share of pages that it shares with others (Pss): a server of many
/// processes would be counted many times over otherwise.
pub fn memory_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0 kB");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

/// The most resident memory that a process has ever had.
pub fn peak_memory_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number of kB") * 1024
}

/// What the files below a directory take on disk. One that goes away meanwhile takes nothing.
pub fn disk_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

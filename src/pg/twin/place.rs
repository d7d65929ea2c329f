//! Where the twin's files lie: in memory where there is room for them.

use std::path::PathBuf;

/// The memory file system of Linux.
const FOLDER: &str = "/dev/shm";

/// 1 GiB free: a twin takes about 50 MB and 15 MB for each worker; its relations are sparse and take nothing.
const FREE_MIN: u64 = 1 << 30;

/// 2 GiB of memory not in use: what lies in memory is taken from everybody else.
const AVAILABLE_MIN: u64 = 2 << 30;

/// Returns the folder for files in memory; `None` where there is none or not enough of it.
pub(super) fn in_memory() -> Option<PathBuf> {
    let room = rustix::fs::statvfs(FOLDER).ok()?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let available = available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    (free >= FREE_MIN && available >= AVAILABLE_MIN).then(|| PathBuf::from(FOLDER))
}

/// Returns the bytes of memory not in use.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_not_in_use_is_read_from_its_line() {
        assert_eq!(available("MemTotal:       49368188 kB\nMemAvailable:   2097152 kB\n"), Some(AVAILABLE_MIN));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: much\n"), None);
    }
}

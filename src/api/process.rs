//! What the operating system says of this process (Linux: `/proc/self`).

use serde_json::{Value, json};

/// Ticks per second in `/proc`: part of Linux's interface, the same everywhere.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of a page as `/proc/self/statm` counts them.
const PAGE_BYTES: u64 = 4096;

/// Numbers of this process; 0 where the system doesn't tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_ms: u64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_files: u64,
    pub(super) open_files_max: u64,
    pub(super) threads: u64,
}

impl Process {
    /// The numbers now.
    pub(super) fn now() -> Process {
        let stat = read("/proc/self/stat");
        // The name in parentheses may hold blanks; the fields after it don't.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| number(fields.get(at).copied());
        let statm = read("/proc/self/statm");
        let mut pages = statm.split_whitespace();
        Process {
            cpu_ms: (field(11) + field(12)) * 1000 / TICKS_PER_SECOND,
            threads: field(17),
            virtual_bytes: number(pages.next()) * PAGE_BYTES,
            resident_bytes: number(pages.next()) * PAGE_BYTES,
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            open_files_max: open_files_max(),
        }
    }

    /// `process` of `/_node/stats`.
    pub(super) fn json(&self, uptime_ms: u64) -> Value {
        let load: Vec<f64> =
            read("/proc/loadavg").split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect();
        json!({
            "open_file_descriptors": self.open_files,
            "max_file_descriptors": self.open_files_max,
            "mem": { "total_virtual_in_bytes": self.virtual_bytes, "resident_in_bytes": self.resident_bytes },
            "cpu": {
                "total_in_millis": self.cpu_ms,
                "percent": self.cpu_ms * 100 / uptime_ms.max(1),
                "load_average": { "1m": load.first(), "5m": load.get(1), "15m": load.get(2) },
            },
        })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn open_files_max() -> u64 {
    let limits = read("/proc/self/limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    number(line.and_then(|line| line.split_whitespace().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_threads_memory_and_files() {
        let now = Process::now();
        assert!(now.threads > 0 && now.resident_bytes > 0 && now.open_files > 0 && now.open_files_max > 0);
    }
}

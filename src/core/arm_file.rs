//! What the arm file says: which copies of a data directory may work.

/// Why nothing may start on a server, as the end of a sentence without its full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArmFileFault {
    #[error("the arm file of this server is missing")]
    Missing,
    #[error("the arm file of this server lies in the data directory, so that each copy has it")]
    BelowDataDirectory,
    #[error("the arm file of this server names other data directories")]
    NamesAnother,
}

impl ArmFileFault {
    /// The next step, for who can take it.
    pub fn hint(self) -> &'static str {
        match self {
            ArmFileFault::Missing => {
                "Where this server is no copy of another, make the file that the setting sluice.arm_file names; where it \
                 is one, leave it so."
            }
            ArmFileFault::BelowDataDirectory => {
                "Let the setting sluice.arm_file name a file outside of the data directory."
            }
            ArmFileFault::NamesAnother => {
                "Where this server is no copy of another, add its data directory to the file, on a line of its own."
            }
        }
    }
}

/// Whether the file's text speaks of this data directory. An empty file speaks of each server that sees it; otherwise
/// each line is a data directory, and lines that begin with `#` are remarks.
pub fn names_directory(text: &str, directory: &str) -> bool {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    lines.peek().is_none() || lines.any(|line| plain(line) == plain(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_for_every_server_and_lines_are_for_theirs() {
        assert!(names_directory("", "/data"));
        assert!(names_directory("\n  \n# made by hand\n", "/data"));
        assert!(names_directory("/other\n /data/ \n", "/data"));
        assert!(!names_directory("/other\n", "/data"));
        assert!(!names_directory("# /data\n/data2\n", "/data"));
    }

    #[test]
    fn each_fault_has_a_hint() {
        for fault in [
            ArmFileFault::Missing,
            ArmFileFault::BelowDataDirectory,
            ArmFileFault::NamesAnother,
        ] {
            assert!(!fault.to_string().ends_with('.') && fault.hint().ends_with('.'));
        }
    }
}

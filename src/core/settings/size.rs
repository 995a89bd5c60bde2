//! Amounts of memory as PostgreSQL writes them: `8 MB`, with 1 kB being 1024 B.

/// The bytes that a text with a unit means.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The largest unit that needs no fraction.
pub(super) fn format_size(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 30) == 0 => format!("{} GB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{} MB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{} kB", b >> 10),
        b => format!("{b} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_with_their_unit() {
        for (text, bytes) in [("8 MB", 8 << 20), ("512kB", 512 << 10), ("1 GB", 1 << 30), ("17 B", 17)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
        for text in [
            "",
            "8",
            "MB",
            "8 mb",
            "-1 MB",
            "1.5 MB",
            "8 MB x",
            "99999999999999999999 B",
            "99999999999 TB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}

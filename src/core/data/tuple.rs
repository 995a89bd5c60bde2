//! Walking the bytes of a decoded page: rows into fields, keys into records.
//!
//! ```text
//! row = field count (i16), then per field: length (i32, -1 for NULL), bytes      (a tuple of COPY BINARY)
//! key = per key column: length (i32), bytes
//! ```
//!
//! All numbers are big endian. Bytes that do not have this form end an iteration early; none of this panics.

/// One slice for each row, its field count included.
pub fn split_rows(rows: &[u8], columns: usize) -> impl Iterator<Item = &[u8]> {
    split(rows, size_of::<i16>(), columns)
}

/// One slice for each record's key; nothing where there are no key columns.
pub fn split_keys(keys: &[u8], key_columns: usize) -> impl Iterator<Item = &[u8]> {
    split(if key_columns == 0 { &[] } else { keys }, 0, key_columns)
}

/// One slice for each record's key, to go beside rows; empty ones where there are no key columns.
pub fn keys_of_rows(keys: &[u8], key_columns: usize) -> impl Iterator<Item = &[u8]> {
    let none = (key_columns == 0).then(|| std::iter::repeat(&[][..]));
    split_keys(keys, key_columns).chain(none.into_iter().flatten())
}

/// The fields of one row, `None` for NULL.
pub fn fields(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    key_fields(row.get(size_of::<i16>()..).unwrap_or_default())
}

/// The fields of one record's key.
pub fn key_fields(key: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = key;
    std::iter::from_fn(move || take_field(&mut rest))
}

fn split(bytes: &[u8], head: usize, columns: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut after = rest.get(head..)?;
        for _ in 0..columns {
            take_field(&mut after)?;
        }
        let (tuple, next) = rest.split_at(rest.len() - after.len());
        rest = next;
        Some(tuple)
    })
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Some(None);
    };
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(Some(field))
}

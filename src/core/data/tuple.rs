//! Walking the bytes of a decoded page: rows into fields, keys into records.
//!
//! ```text
//! row = field count (i16), then per field: length (i32, -1 for NULL), bytes      (a tuple of COPY BINARY)
//! key = per key column: length (i32), bytes
//! ```
//!
//! [`page_of_texts`] makes such bytes of texts. All numbers are big endian. Bytes that do not have this form end an iteration early; none of this panics.

use super::decode::DecodedPage;

/// Rows of texts as a page whose fields are texts: of each row the values at `places`; those at `key` are its key.
pub fn page_of_texts(rows: &[Vec<Option<String>>], places: &[usize], key: &[usize]) -> DecodedPage {
    let mut page = DecodedPage::default();
    for row in rows {
        let value = |place: &usize| row.get(*place).and_then(Option::as_deref);
        page.rows.extend_from_slice(&(places.len() as u16).to_be_bytes());
        places.iter().for_each(|place| put_field(&mut page.rows, value(place)));
        key.iter().for_each(|place| put_field(&mut page.keys, value(place)));
        page.records += 1;
    }
    page
}

fn put_field(out: &mut Vec<u8>, value: Option<&str>) {
    let length = value.map_or(-1, |text| i32::try_from(text.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default().as_bytes());
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_of_a_page_as_they_went_in() {
        let text = |text: &str| Some(text.to_string());
        let rows = vec![
            vec![text("1"), None, text("a\tb")],
            vec![text("22"), text(""), text("é")],
        ];
        let page = page_of_texts(&rows, &[2, 0, 1], &[0]);
        assert_eq!(page.records, 2);
        let walked: Vec<Vec<Option<&[u8]>>> = split_rows(&page.rows, 3).map(|row| fields(row).collect()).collect();
        assert_eq!(walked[0], [Some(b"a\tb".as_slice()), Some(b"1"), None]);
        assert_eq!(walked[1], [Some("é".as_bytes()), Some(b"22"), Some(b"")]);
        let keys: Vec<Vec<Option<&[u8]>>> = split_keys(&page.keys, 1).map(|key| key_fields(key).collect()).collect();
        assert_eq!(keys, [[Some(b"1".as_slice())], [Some(b"22")]]);
    }
}

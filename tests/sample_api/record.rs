//! What a product looks like: a pure function of its id and revision, so that a catalogue of a million products is a
//! list of two numbers each, and a page can be written as fast as it is sent.
//!
//! Name, description, category and attributes follow from the id alone; price and `updated_at` also from the revision,
//! so that a changed product differs from what it was in exactly these two members.

use crate::calendar;

/// Revision 0 lies in 2024; a later revision is a minute of 2025 and after, so `updated_at` grows with every change.
const FIRST_LOADED: u64 = 1_704_067_200;
const FIRST_CHANGED: u64 = 1_735_689_600;

const FINISHES: [&str; 8] = [
    "Brushed", "Matt", "Polished", "Plain", "Painted", "Raw", "Oiled", "Anodised",
];
const MATERIALS: [&str; 8] = ["steel", "oak", "copper", "glass", "linen", "cork", "brass", "slate"];
const THINGS: [&str; 8] = ["hammer", "lamp", "kettle", "chair", "blanket", "tray", "hook", "clock"];
const CATEGORIES: [&str; 8] = [
    "tools",
    "lighting",
    "kitchen",
    "furniture",
    "textiles",
    "tableware",
    "hardware",
    "décor",
];
const COLOURS: [&str; 4] = ["red", "grün", "blanc cassé", "紺"];

/// A product of the catalogue: which one, and as of which change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) revision: u32,
    /// Removed, and told as a tombstone.
    pub(crate) gone: bool,
}

impl Entry {
    /// Seconds since 1970 of the last change.
    pub(crate) fn updated_at(self) -> u64 {
        match self.revision {
            0 => FIRST_LOADED + self.id.wrapping_mul(37) % 31_000_000,
            changed => FIRST_CHANGED + u64::from(changed) * 60 + self.id % 60,
        }
    }

    /// Cents, never the same for two revisions of a product (up to a million of them).
    pub(crate) fn price_cents(self) -> u64 {
        100 + (mix(self.id) % 1_000_000 + u64::from(self.revision) * 7_919) % 1_000_000
    }

    pub(crate) fn stock(self) -> u64 {
        (mix(self.id) >> 24) % 500
    }

    /// Appends the record as JSON, about 300 bytes; of a removed product only what a tombstone has.
    pub(crate) fn push_json(self, out: &mut Vec<u8>) {
        if self.gone {
            return self.push_tombstone(out);
        }
        let look = Look::of(self.id);
        out.extend_from_slice(b"{\"id\":");
        push_number(out, self.id);
        out.extend_from_slice(b",\"sku\":\"");
        push_sku(out, self.id);
        out.extend_from_slice(b"\",\"name\":\"");
        look.push_name(out);
        out.extend_from_slice(b"\",\"description\":\"");
        look.push_description(out);
        out.extend_from_slice(b"\",\"price\":");
        push_cents(out, self.price_cents());
        out.extend_from_slice(b",\"stock\":");
        push_number(out, self.stock());
        out.extend_from_slice(if look.active {
            b",\"active\":true"
        } else {
            b",\"active\":false"
        });
        out.extend_from_slice(b",\"category\":\"");
        out.extend_from_slice(look.category.as_bytes());
        out.extend_from_slice(b"\",\"updated_at\":\"");
        calendar::push_rfc3339(out, self.updated_at());
        look.push_attributes(out);
        out.push(b'}');
    }

    fn push_tombstone(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        push_number(out, self.id);
        out.extend_from_slice(b",\"deleted\":true,\"updated_at\":\"");
        calendar::push_rfc3339(out, self.updated_at());
        out.extend_from_slice(b"\"}");
    }

    /// Appends what a checksum in SQL covers: `id|sku|name|description|price|stock|active|category|updated_at` with
    /// the time in seconds since 1970.
    pub(crate) fn push_row(self, out: &mut Vec<u8>) {
        let look = Look::of(self.id);
        push_number(out, self.id);
        out.push(b'|');
        push_sku(out, self.id);
        out.push(b'|');
        look.push_name(out);
        out.push(b'|');
        look.push_description(out);
        out.push(b'|');
        push_cents(out, self.price_cents());
        out.push(b'|');
        push_number(out, self.stock());
        out.extend_from_slice(if look.active { b"|true|" } else { b"|false|" });
        out.extend_from_slice(look.category.as_bytes());
        out.push(b'|');
        push_number(out, self.updated_at());
    }
}

/// What follows from the id alone.
struct Look {
    finish: &'static str,
    material: &'static str,
    thing: &'static str,
    category: &'static str,
    colour: &'static str,
    active: bool,
    weight: u64,
    width: u64,
}

impl Look {
    fn of(id: u64) -> Look {
        let bits = mix(id ^ 0x5EED);
        let kind = (bits & 7) as usize;
        Look {
            finish: FINISHES[(bits >> 3 & 7) as usize],
            material: MATERIALS[(bits >> 6 & 7) as usize],
            thing: THINGS[kind],
            category: CATEGORIES[kind],
            colour: COLOURS[(bits >> 9 & 3) as usize],
            active: bits >> 11 & 7 != 0,
            weight: 50 + (bits >> 14) % 9_000,
            width: 1 + (bits >> 32) % 90,
        }
    }

    fn push_name(&self, out: &mut Vec<u8>) {
        for (word, after) in [(self.finish, " "), (self.material, " "), (self.thing, "")] {
            out.extend_from_slice(word.as_bytes());
            out.extend_from_slice(after.as_bytes());
        }
    }

    fn push_description(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"A ");
        out.extend_from_slice(self.thing.as_bytes());
        out.extend_from_slice(b" of ");
        out.extend_from_slice(self.material.as_bytes());
        out.extend_from_slice(", made to last – garantie deux années".as_bytes());
    }

    fn push_attributes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\",\"attributes\":{\"colour\":\"");
        out.extend_from_slice(self.colour.as_bytes());
        out.extend_from_slice(b"\",\"weight_g\":");
        push_number(out, self.weight);
        out.extend_from_slice(b",\"width\":\"");
        push_number(out, self.width);
        out.extend_from_slice(b"\\\"\",\"tags\":[\"");
        out.extend_from_slice(self.material.as_bytes());
        out.extend_from_slice(b"\",null]}");
    }
}

fn push_sku(out: &mut Vec<u8>, id: u64) {
    out.extend_from_slice(b"SKU-");
    let mut limit = 10_000_000;
    while id < limit && limit > 1 {
        out.push(b'0');
        limit /= 10;
    }
    push_number(out, id);
}

fn push_cents(out: &mut Vec<u8>, cents: u64) {
    push_number(out, cents / 100);
    out.extend_from_slice(&[b'.', b'0' + (cents / 10 % 10) as u8, b'0' + (cents % 10) as u8]);
}

pub(crate) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// SplitMix64's finaliser: spreads neighbouring ids, and is the same on every machine.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(id: u64, revision: u32) -> serde_json::Value {
        let mut out = Vec::new();
        let gone = false;
        Entry { id, revision, gone }.push_json(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_record_is_valid_json_of_about_300_bytes() {
        let mut out = Vec::new();
        for id in 1..=1_000 {
            Entry {
                id,
                revision: 0,
                gone: false,
            }
            .push_json(&mut out);
            assert_eq!(json(id, 0)["id"], id);
        }
        assert!((280..340).contains(&(out.len() / 1_000)), "{} bytes", out.len() / 1_000);
    }

    #[test]
    fn a_revision_changes_price_and_time_and_nothing_else() {
        let (mut before, mut after) = (json(7, 3), json(7, 4));
        assert_ne!(before["price"], after["price"]);
        assert!(before["updated_at"].as_str() < after["updated_at"].as_str());
        for record in [&mut before, &mut after] {
            record
                .as_object_mut()
                .unwrap()
                .retain(|member, _| member != "price" && member != "updated_at");
        }
        assert_eq!(before, after);
    }

    #[test]
    fn skus_have_at_least_eight_digits() {
        assert_eq!(json(1, 0)["sku"], "SKU-00000001");
        assert_eq!(json(123_456_789, 0)["sku"], "SKU-123456789");
    }
}

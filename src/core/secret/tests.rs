use proptest::prelude::*;

use super::*;
use crate::error::Explain;

const LABEL: SecretLabel<'static> = SecretLabel {
    name: "shop_token",
    uuid: [7; 16],
    kind: "api",
    version: 1,
    origin: "https://api.example.com",
};

fn key(seed: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..32).map(|i| i ^ seed).collect();
    parse_key(&bytes).unwrap()
}

fn random(seed: u8) -> SealRandom {
    let mut bytes = [0; SealRandom::BYTES];
    bytes
        .iter_mut()
        .enumerate()
        .for_each(|(i, byte)| *byte = (i as u8).wrapping_mul(31) ^ seed);
    SealRandom::from_bytes(&bytes)
}

#[test]
fn what_was_sealed_can_be_opened() {
    let sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    assert_eq!(open(&key(1), &LABEL, &sealed).unwrap().as_slice(), b"hunter2");
    assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
}

#[test]
fn another_key_is_told_from_tampering() {
    let sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    let fault = open(&key(2), &LABEL, &sealed).unwrap_err();
    assert_eq!(
        fault,
        SecretFault::AnotherKey {
            name: "shop_token".into(),
            sealed_with: key(1).id(),
            present: key(2).id()
        }
    );
    assert_eq!(fault.sqlstate(), "SY008");
}

#[test]
fn each_flipped_bit_and_each_truncation_is_noticed() {
    let sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 0x10;
        assert!(open(&key(1), &LABEL, &changed).is_err(), "byte {place}");
        assert!(open(&key(1), &LABEL, &sealed[..place]).is_err(), "cut at {place}");
    }
    let longer = [sealed.as_slice(), b"x"].concat();
    assert_eq!(
        open(&key(1), &LABEL, &longer).unwrap_err(),
        SecretFault::Damaged {
            name: "shop_token".into()
        }
    );
}

/// S-30, F-A6.
#[test]
fn a_sealed_value_opens_only_as_what_it_is() {
    let sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    let others = [
        SecretLabel { uuid: [8; 16], ..LABEL },
        SecretLabel {
            kind: "oauth_refresh",
            ..LABEL
        },
        SecretLabel { version: 2, ..LABEL },
        SecretLabel {
            origin: "https://evil.example",
            ..LABEL
        },
        SecretLabel {
            kind: "apihttps://",
            origin: "api.example.com",
            ..LABEL
        },
    ];
    for other in others {
        assert_eq!(
            open(&key(1), &other, &sealed).unwrap_err(),
            SecretFault::Damaged {
                name: "shop_token".into()
            }
        );
    }
    assert!(
        open(
            &key(1),
            &SecretLabel {
                name: "renamed",
                ..LABEL
            },
            &sealed
        )
        .is_ok()
    );
}

#[test]
fn rotation_wraps_the_data_key_again_and_leaves_the_value() {
    let sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    let again = rewrap(&key(1), &key(2), &LABEL, &sealed, [9; 24]).unwrap();
    assert_eq!(open(&key(2), &LABEL, &again).unwrap().as_slice(), b"hunter2");
    assert_eq!(sealed_with(&LABEL, &again).unwrap(), key(2).id());
    assert_eq!(again[81..], sealed[81..]);
    assert!(matches!(
        open(&key(1), &LABEL, &again),
        Err(SecretFault::AnotherKey { .. })
    ));
    assert!(matches!(
        rewrap(&key(1), &key(2), &LABEL, &again, [9; 24]),
        Err(SecretFault::AnotherKey { .. })
    ));
}

/// F-A5: half way through a rotation some values need the old key and some the new one.
#[test]
fn a_ring_opens_with_every_key_and_seals_with_the_first() {
    let hex = |seed: u8| (0..32u8).map(|i| format!("{:02x}", i ^ seed)).collect::<String>();
    let ring = parse_keys(format!("{}\n{}\r\n", hex(2), hex(1)).as_bytes()).unwrap();
    assert_eq!(ring.current().id(), key(2).id());
    for seed in [1, 2] {
        let sealed = seal(&key(seed), &LABEL, b"hunter2", random(5));
        let found = ring.key_of(&LABEL, &sealed).unwrap();
        assert_eq!(open(found, &LABEL, &sealed).unwrap().as_slice(), b"hunter2");
    }
    let foreign = seal(&key(3), &LABEL, b"hunter2", random(5));
    let found = ring.key_of(&LABEL, &foreign).unwrap();
    assert!(matches!(
        open(found, &LABEL, &foreign),
        Err(SecretFault::AnotherKey { .. })
    ));
    assert_eq!(
        parse_keys(&(0..32).collect::<Vec<u8>>()).unwrap().current().id(),
        key(0).id()
    );
    assert!(parse_keys(format!("{}\n\n{}", hex(2), hex(1)).as_bytes()).is_err());
    assert!(parse_keys(b"").is_err());
}

#[test]
fn a_later_format_is_named() {
    let mut sealed = seal(&key(1), &LABEL, b"hunter2", random(5));
    sealed[0] = 2;
    let fault = open(&key(1), &LABEL, &sealed).unwrap_err();
    assert_eq!(
        fault,
        SecretFault::UnknownFormat {
            name: "shop_token".into(),
            format: 2
        }
    );
}

#[test]
fn a_key_is_32_bytes_or_64_digits() {
    let raw: Vec<u8> = (0..32).collect();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = parse_key(&raw).unwrap().id();
    for content in [
        hex.clone(),
        hex.to_uppercase(),
        format!("{hex}\n"),
        format!("{hex}\r\n"),
    ] {
        assert_eq!(parse_key(content.as_bytes()).unwrap().id(), id);
    }
    assert_eq!(parse_key(b"").unwrap_err(), SecretFault::KeyLength { bytes: 0 });
    assert_eq!(
        parse_key(&hex.as_bytes()[..62]).unwrap_err(),
        SecretFault::KeyLength { bytes: 62 }
    );
    assert_eq!(
        parse_key(format!("{hex}\n\n").as_bytes()).unwrap_err(),
        SecretFault::KeyLength { bytes: 66 }
    );
    // A raw key that went through an editor, and half a key.
    let raw: Vec<u8> = (100..132).collect();
    let with_end = [raw.as_slice(), b"\r\n"].concat();
    assert_eq!(parse_key(&with_end).unwrap().id(), parse_key(&raw).unwrap().id());
    assert_eq!(
        parse_keys(&with_end).unwrap().current().id(),
        parse_key(&raw).unwrap().id()
    );
    let half = format!("{}\n", &hex[..32]);
    assert_eq!(
        parse_key(half.as_bytes()).unwrap_err(),
        SecretFault::KeyLength { bytes: 33 }
    );
    assert_eq!(
        parse_key("x".repeat(64).as_bytes()).unwrap_err(),
        SecretFault::KeyNotHex
    );
    assert_eq!(parse_key(&[0; 32]).unwrap_err(), SecretFault::KeyIsConstant);
    assert_eq!(
        parse_key("00".repeat(32).as_bytes()).unwrap_err(),
        SecretFault::KeyIsConstant
    );
}

#[test]
fn a_secret_has_an_identifier_and_a_value_that_fits_a_header() {
    assert!(check_secret_name("shop_token").is_ok());
    assert_eq!(check_secret_name("shop token").unwrap_err(), SecretFault::WrongName);
    assert!(check_secret_value("x", "pa ss:wörd").is_ok());
    for value in ["", "a\nb", "a\r", "a\0b", &"x".repeat(8193)] {
        assert!(check_secret_value("x", value).is_err());
    }
}

#[test]
fn a_raw_key_may_end_in_a_line_feed() {
    let mut raw: Vec<u8> = (0..32).collect();
    raw[31] = b'\n';
    assert!(parse_key(&raw).is_ok());
}

#[test]
fn a_key_shows_only_its_check_value() {
    let shown = format!("{:?}", key(1));
    assert_eq!(shown, format!("MasterKey({})", key(1).id()));
    assert_ne!(key(1).id(), key(2).id());
}

proptest! {
    #[test]
    fn any_value_survives(value in proptest::collection::vec(any::<u8>(), 0..512), seed in any::<u8>()) {
        let sealed = seal(&key(3), &LABEL, &value, random(seed));
        prop_assert_eq!(sealed.len(), SHORTEST + value.len());
        let opened = open(&key(3), &LABEL, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), &value);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&key(3), &LABEL, &bytes).is_err());
    }
}

/// S-34.
#[test]
fn a_reference_names_one_place() {
    let good = [
        ("file:/run/secrets/token", Source::File),
        ("command:/usr/bin/read-token shop  eu", Source::Command),
        ("vault:shop token", Source::Vault),
    ];
    for (text, source) in good {
        let place = text.split_once(':').unwrap().1;
        assert_eq!(parse_reference(text).unwrap(), (source, place));
    }
    for text in [
        "",
        "hunter2",
        "file:",
        "env:TOKEN",
        "value:x",
        "vault:",
        "vault:a\nb",
        "FILE:/a",
    ] {
        assert_eq!(
            parse_reference(text).unwrap_err(),
            SecretFault::WrongReference,
            "{text}"
        );
    }
    for text in [
        "file:token",
        "file:/",
        "file:/a/../b",
        "file:/a//b",
        "file:/./a",
        "file:/a/",
        "command:read",
        "command: /a",
    ] {
        assert_eq!(parse_reference(text).unwrap_err(), SecretFault::WrongPath, "{text}");
    }
    assert_eq!(words("/bin/read  shop ;rm"), ["/bin/read", "shop", ";rm"]);
}

#[test]
fn only_the_last_line_end_is_taken_off() {
    for (content, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
        assert_eq!(without_line_end(content.as_bytes()), value.as_bytes());
    }
}

/// Each word is one source, and what is sealed as one cannot be opened as another.
#[test]
fn a_value_cannot_become_a_command() {
    for source in Source::ALL {
        assert_eq!(Source::of(source.as_str()), Some(source));
    }
    let value = SecretLabel {
        kind: Source::Value.as_str(),
        ..LABEL
    };
    let command = SecretLabel {
        kind: Source::Command.as_str(),
        ..LABEL
    };
    let sealed = seal(&key(1), &value, b"/bin/sh", random(5));
    assert!(matches!(
        open(&key(1), &command, &sealed),
        Err(SecretFault::Damaged { .. })
    ));
}

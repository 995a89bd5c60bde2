//! A target under libFuzzer, which follows coverage. `SLUICE_FUZZ_TARGET` names it; scripts/fuzz.sh runs it.
#![no_main]
// The entry point that libFuzzer calls is an exported C function.
#![allow(unsafe_code)]

use std::sync::LazyLock;

static TARGET: LazyLock<&sluice_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("SLUICE_FUZZ_TARGET").expect("SLUICE_FUZZ_TARGET names a target");
    sluice_fuzz::target(&name).expect("a target of that name")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));

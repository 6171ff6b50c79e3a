#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Text of any kind is a file or a list of problems, each with its place.
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(problems) = spec::platform::parse(text, "mainstay.yaml") {
        assert!(!problems.to_string().is_empty());
    }
});

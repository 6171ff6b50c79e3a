//! `seen/mask.rs`.

use super::bytes::Bytes;
use crate::seen::mask::query;

const SECRET: [&str; 6] = ["token", "password", "secret", "key", "code", "signature"];

/// Names and order stay, values of secret parameters do not, however their names are written.
pub fn masked(data: &[u8]) {
    let mut bytes = Bytes(data);
    let more = vec![bytes.text().to_owned()];
    let text = bytes.text();
    let masked = query(text, &more);
    assert_eq!(query(&masked, &more), masked, "what is masked stays as it is");
    let (before, after) = (text.split('&'), masked.split('&'));
    assert_eq!(before.clone().count(), after.clone().count());
    for (pair, shown) in before.zip(after) {
        let Some((name, _)) = pair.split_once('=') else { continue };
        let plain = unescaped(name).to_ascii_lowercase();
        let is_secret = SECRET.iter().any(|word| plain.contains(word)) || plain == more[0].to_ascii_lowercase();
        if is_secret {
            assert_eq!(shown, format!("{name}=***"));
        }
        assert!(shown == pair || shown == format!("{name}=***"), "{pair} is shown as {shown}");
    }
}

/// With its escapes undone, as a service would read it.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *byte == b'%');
        plain.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

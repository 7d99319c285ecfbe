//! Bytes and their spellings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Id;

/// Reads 32 hexadecimal digits; `None` for anything else.
pub fn parse_id(text: &str) -> Option<Id> {
    if text.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(id)
}

/// Only lower-case digits: two spellings of one id would be two ids for a store that keeps text.
fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The text of a Community ID (version 1) with this hash.
pub fn community_id(hash: &[u8; 20]) -> String {
    let mut text = String::with_capacity(30);
    text.push_str("1:");
    STANDARD.encode_string(hash, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id: Id = std::array::from_fn(|byte| byte as u8 * 17);
        assert_eq!(parse_id(&to_hex(&id)), Some(id));
        for text in ["", "0", &"A".repeat(32), &"0".repeat(31), &"é".repeat(16)] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}

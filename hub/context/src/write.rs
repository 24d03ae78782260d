//! Writing JSON text.

use crate::tape::{Item, Kind};

/// Writes `text` as a JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    content(out, text);
    out.push('"');
}

/// Writes `text` as the content of a JSON string.
pub(crate) fn content(out: &mut String, text: &str) {
    if !text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let digit = |n: u32| char::from_digit(n, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.push(digit(c as u32 >> 4));
                out.push(digit(c as u32 & 15));
            }
            c => out.push(c),
        }
    }
}

/// Copies a value without the spaces between its parts.
pub(crate) fn copy(out: &mut String, item: Item<'_, '_>) {
    match item.kind() {
        Kind::Array => {
            out.push('[');
            for (i, part) in item.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                copy(out, part);
            }
            out.push(']');
        }
        Kind::Object => {
            out.push('{');
            for (i, (key, value)) in item.members().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(key.raw());
                out.push(':');
                copy(out, value);
            }
            out.push('}');
        }
        _ => out.push_str(item.raw()),
    }
}

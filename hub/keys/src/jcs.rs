//! Canonical JSON (RFC 8785): one text for each value, so that a hash or a signature over it is stable.

use serde_json::Value;
use std::fmt::Write as _;

/// The canonical text of `value`: members sorted by UTF-16 code units, no space, numbers as ECMAScript prints them.
/// Every number is taken as an IEEE 754 double, so integers beyond 2^53 are not told apart (RFC 8785 §3.1).
pub fn jcs(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// The SHA-256 of the canonical text.
pub fn jcs_hash(value: &Value) -> [u8; 32] {
    crate::sha256(jcs(value).as_bytes())
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match n.as_f64().and_then(es_number) {
            Some(text) => out.push_str(&text),
            // Only a build that keeps numbers as text can hold one that no double holds; its own text is the best there is.
            None => {
                let _ = write!(out, "{n}");
            }
        },
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (name, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write_value(member, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `number` as ECMAScript's `Number::toString` prints it in base 10 (ECMA-262 §6.1.6.1.20); nothing for infinities and NaN.
pub fn es_number(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    if number == 0.0 {
        return Some("0".to_owned());
    }
    // Whole numbers that a double holds exactly are printed as they are.
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        return Some((number as i64).to_string());
    }
    let (digits, exponent) = shortest(number.abs())?;
    let count = i32::try_from(digits.len()).ok()?;
    let point = exponent + 1;
    let mut out = String::new();
    if number < 0.0 {
        out.push('-');
    }
    if count <= point && point <= 21 {
        out.push_str(&digits);
        (count..point).for_each(|_| out.push('0'));
    } else if 0 < point && point <= 21 {
        let (whole, part) = digits.split_at(usize::try_from(point).ok()?);
        let _ = write!(out, "{whole}.{part}");
    } else if -6 < point && point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            let _ = write!(out, ".{rest}");
        }
        let _ = write!(out, "e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    Some(out)
}

/// The shortest decimal digits that read back as `number`, and the exponent of the first. Rust finds them as ECMAScript asks, but where
/// two are equally near it takes the upper one and ECMAScript the even one.
fn shortest(number: f64) -> Option<(String, i32)> {
    let (mut digits, exponent) = split(&format!("{number:e}"))?;
    let count = digits.len();
    // No two decimals of so few digits lie within one double.
    if count <= 15 && number.is_normal() {
        return Some((digits, exponent));
    }
    let halfway = |places: usize| {
        let (exact, _) = split(&format!("{number:.places$e}"))?;
        let rest = exact.get(count..)?.strip_prefix('5')?;
        rest.bytes().all(|b| b == b'0').then(|| exact[..count].to_owned())
    };
    // No double has more than 767 significant digits; the first look is the cheap one.
    if let Some(lower) = halfway(count + 8).and_then(|_| halfway(770))
        && lower.ends_with(['0', '2', '4', '6', '8'])
        && format!("{}.{}e{exponent}", &lower[..1], &lower[1..]).parse() == Ok(number)
    {
        digits = lower;
    }
    Some((digits, exponent))
}

fn split(scientific: &str) -> Option<(String, i32)> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    Some((mantissa.chars().filter(|c| *c != '.').collect(), exponent.parse().ok()?))
}

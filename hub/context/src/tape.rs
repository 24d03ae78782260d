//! JSON read once into a flat tape of nodes: strict, every key once, bounded depth, numbers and strings kept as text.

use std::borrow::Cow;
use std::collections::HashSet;

/// What a node is. `Escaped` is a string that holds a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Escaped,
    Number,
    True,
    False,
    Null,
}

/// One value (or key) of the text; `next` is the place on the tape behind it and all it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
    pub next: u32,
}

/// Why a text is not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: usize,
    pub what: &'static str,
}

/// A text and its nodes; the first is the document.
#[derive(Debug)]
pub(crate) struct Tape<'a> {
    pub text: &'a str,
    pub nodes: Vec<Node>,
}

/// A value on a tape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'t, 'a> {
    tape: &'t Tape<'a>,
    at: u32,
}

impl<'a> Tape<'a> {
    /// Reads `text`, nested at most `depth` deep.
    pub fn read(text: &'a str, depth: usize) -> Result<Self, Fault> {
        Self::reusing(text, depth, Vec::with_capacity(text.len() / 12 + 8))
    }

    /// As [`Self::read`], with the room of an earlier tape.
    pub fn reusing(text: &'a str, depth: usize, mut nodes: Vec<Node>) -> Result<Self, Fault> {
        nodes.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(Fault { at: 0, what: "the document is too large" });
        }
        let mut reader = Reader { bytes: text.as_bytes(), text, at: 0, nodes };
        reader.space();
        reader.value(depth)?;
        reader.space();
        if reader.at < reader.bytes.len() {
            return Err(reader.fault("something follows the document"));
        }
        Ok(Self { text, nodes: reader.nodes })
    }

    pub fn root(&self) -> Item<'_, 'a> {
        Item { tape: self, at: 0 }
    }
}

impl<'t, 'a> Item<'t, 'a> {
    fn node(self) -> &'t Node {
        &self.tape.nodes[self.at as usize]
    }
    pub fn kind(self) -> Kind {
        self.node().kind
    }
    /// The value's own text, as it stands.
    pub fn raw(self) -> &'a str {
        let node = self.node();
        &self.tape.text[node.start as usize..node.end as usize]
    }
    /// The content of a string.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.raw();
        match self.kind() {
            Kind::Text => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
            Kind::Escaped => Some(Cow::Owned(unescape(&raw[1..raw.len() - 1]))),
            _ => None,
        }
    }
    /// The members of an object; nothing for other kinds.
    pub fn members(self) -> Members<'t, 'a> {
        let end = if self.kind() == Kind::Object { self.node().next } else { self.at + 1 };
        Members { tape: self.tape, at: self.at + 1, end }
    }
    /// The items of an array; nothing for other kinds.
    pub fn items(self) -> Items<'t, 'a> {
        let end = if self.kind() == Kind::Array { self.node().next } else { self.at + 1 };
        Items { tape: self.tape, at: self.at + 1, end }
    }
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }
    pub fn is_text(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Escaped)
    }
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }
    /// The member `name` of an object.
    pub fn get(self, name: &str) -> Option<Item<'t, 'a>> {
        self.members().find(|(key, _)| key.text().as_deref() == Some(name)).map(|(_, value)| value)
    }
    /// Whether this value has no object in it.
    pub fn is_plain(self) -> bool {
        let node = self.node();
        self.tape.nodes[self.at as usize..node.next as usize].iter().all(|n| n.kind != Kind::Object)
    }
}

pub(crate) struct Members<'t, 'a> {
    tape: &'t Tape<'a>,
    at: u32,
    end: u32,
}
impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (Item<'t, 'a>, Item<'t, 'a>);
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = Item { tape: self.tape, at: self.at };
        let value = Item { tape: self.tape, at: self.at + 1 };
        self.at = value.node().next;
        Some((key, value))
    }
}

pub(crate) struct Items<'t, 'a> {
    tape: &'t Tape<'a>,
    at: u32,
    end: u32,
}
impl<'t, 'a> Iterator for Items<'t, 'a> {
    type Item = Item<'t, 'a>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let item = Item { tape: self.tape, at: self.at };
        self.at = item.node().next;
        Some(item)
    }
}

/// Resolves the escapes of a string's content that the reader accepted.
fn unescape(content: &str) -> String {
    // INVARIANT: the reader checked every escape, so the parser accepts the quoted content.
    serde_json::from_str(&format!("\"{content}\"")).unwrap_or_default()
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    nodes: Vec<Node>,
}

/// Bytes that end the fast run through a string.
const STOPS: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = true;
        i += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') && self.at < self.bytes.len() {
            self.at += 1;
        }
    }
    fn open(&mut self, kind: Kind) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node { kind, start: self.at as u32, end: 0, next: 0 });
        at
    }
    fn close(&mut self, node: usize) {
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[node];
        node.end = self.at as u32;
        node.next = next;
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Kind::True),
            b'f' => self.word("false", Kind::False),
            b'n' => self.word("null", Kind::Null),
            _ if self.at >= self.bytes.len() => Err(self.fault("the document ends too early")),
            _ => Err(self.fault("no JSON value starts here")),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("no JSON value starts here"));
        }
        let node = self.open(kind);
        self.at += word.len();
        self.close(node);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let node = self.open(Kind::Number);
        let start = self.at;
        let mut wide = false;
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return Err(self.fault("a number needs a digit here")),
        }
        if self.peek() == b'.' {
            self.at += 1;
            if !self.peek().is_ascii_digit() {
                return Err(self.fault("a number needs a digit here"));
            }
            self.digits();
        }
        if matches!(self.peek(), b'e' | b'E') {
            wide = true;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if !self.peek().is_ascii_digit() {
                return Err(self.fault("a number needs a digit here"));
            }
            self.digits();
        }
        if wide || self.at - start > 300 {
            let finite = self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite);
            if !finite {
                return Err(self.fault("a number is beyond the range of a 64-bit float"));
            }
        }
        self.close(node);
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        let node = self.open(Kind::Text);
        self.at += 1;
        loop {
            while self.at < self.bytes.len() && !STOPS[self.bytes[self.at] as usize] {
                self.at += 1;
            }
            match self.peek() {
                _ if self.at >= self.bytes.len() => return Err(self.fault("a string has no end")),
                b'"' => {
                    self.at += 1;
                    self.close(node);
                    return Ok(());
                }
                b'\\' => {
                    self.nodes[node].kind = Kind::Escaped;
                    self.escape()?;
                }
                _ => return Err(self.fault("a control character stands in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let unit = self.unit()?;
                if (0xDC00..0xE000).contains(&unit) {
                    return Err(self.fault("half a surrogate pair"));
                }
                if (0xD800..0xDC00).contains(&unit) {
                    let paired = self.bytes[self.at..].starts_with(b"\\u");
                    self.at += 1;
                    if !paired || !(0xDC00..0xE000).contains(&self.unit()?) {
                        return Err(self.fault("half a surrogate pair"));
                    }
                }
            }
            _ => return Err(self.fault("no such escape")),
        }
        Ok(())
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or_else(|| self.fault("no such escape"))?;
        self.at += 5;
        Ok(unit)
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        if depth == 0 {
            return Err(self.fault("nested too deep"));
        }
        let node = self.open(Kind::Array);
        self.at += 1;
        self.space();
        if self.peek() == b']' {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            self.value(depth - 1)?;
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    self.close(node);
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `]` is missing")),
            }
            self.space();
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        if depth == 0 {
            return Err(self.fault("nested too deep"));
        }
        let node = self.open(Kind::Object);
        self.at += 1;
        self.space();
        if self.peek() == b'}' {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            if self.peek() != b'"' {
                return Err(self.fault("a member's name is missing"));
            }
            self.string()?;
            self.space();
            if self.peek() != b':' {
                return Err(self.fault("`:` is missing"));
            }
            self.at += 1;
            self.space();
            self.value(depth - 1)?;
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    self.close(node);
                    return self.once(node);
                }
                _ => return Err(self.fault("`,` or `}` is missing")),
            }
            self.space();
        }
    }

    /// Refuses an object that has a name twice.
    fn once(&self, node: usize) -> Result<(), Fault> {
        let end = self.nodes[node].next as usize;
        let twice = |at: &Node| Fault { at: at.start as usize, what: "a member stands twice in one object" };
        let mut keys: [&str; 12] = [""; 12];
        let (mut count, mut escaped) = (0usize, false);
        let mut at = node + 1;
        while at < end {
            let key = &self.nodes[at];
            escaped |= key.kind == Kind::Escaped;
            if count < keys.len() {
                let text = &self.text[key.start as usize..key.end as usize];
                if keys[..count].contains(&text) {
                    return Err(twice(key));
                }
                keys[count] = text;
            }
            count += 1;
            at = self.nodes[at + 1].next as usize;
        }
        if count <= keys.len() && !escaped {
            return Ok(());
        }
        let mut seen = HashSet::with_capacity_and_hasher(count, crate::hash::Seeded::default());
        let mut at = node + 1;
        while at < end {
            let key = &self.nodes[at];
            let content = &self.text[key.start as usize + 1..key.end as usize - 1];
            let content = if key.kind == Kind::Escaped { Cow::Owned(unescape(content)) } else { Cow::Borrowed(content) };
            if !seen.insert(content) {
                return Err(twice(key));
            }
            at = self.nodes[at + 1].next as usize;
        }
        Ok(())
    }
}

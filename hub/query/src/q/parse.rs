//! Reads `q`. Grammar: `or := and ("|" and)*`, `and := unit (";" unit)*`, `unit := "(" or ")" | path ["{" or "}" | operator value]`.

use super::ast::{Comparison, Expr, Literal, Meta, Operand, Operator, Path, QOptions, Root, Step};
use crate::cursor::Cursor;
use crate::{Expander, Pattern, QueryError, TypeSelection};
use waybill_model::{DateTime, Iri};

const TERM: &str = "A term is an attribute, or an attribute, an operator (== != > >= < <= ~= !~=) and a value; `;` is and, `|` is or.";
const VALUE: &str = "A value is a number, true, false, \"text\" in double quotes, a URI, or a time such as 2026-11-24T07:00:00Z.";
const PATH: &str = "A path is a name, name.sub, or name[member.member].";

struct Reader<'a> {
    c: Cursor<'a>,
    expander: &'a dyn Expander,
    options: &'a QOptions,
}

pub(crate) fn query(text: &str, expander: &dyn Expander, options: &QOptions) -> Result<Expr, QueryError> {
    let mut r = Reader { c: Cursor::new("q", text)?, expander, options };
    let all = r.or()?;
    r.c.end(TERM)?;
    Ok(all)
}

/// Reads a path alone, as orderBy has it.
pub(crate) fn path(c: &mut Cursor<'_>, expander: &dyn Expander) -> Result<Path, QueryError> {
    const STOP: &str = "=!<>~;|()[]{},\"";
    let stop = |ch: char| STOP.contains(ch) || ch.is_whitespace();
    let lower = c.rest();
    // A full IRI has dots of its own: none of them starts a sub-attribute.
    let whole = lower.starts_with("http://") || lower.starts_with("https://") || lower.starts_with("urn:");
    let first = if whole { c.take_until(stop) } else { c.take_until(|ch| stop(ch) || ch == '.') };
    if first.is_empty() {
        return Err(c.unexpected("an attribute's name", TERM));
    }
    let root = match Meta::parse(first).filter(|m| m.of_entity()) {
        Some(meta) => Root::System(meta),
        None if matches!(first, "id" | "type" | "scope") => {
            let (have, use_) = (first, if first == "scope" { "scopeQ" } else { first });
            return Err(c.invalid(format!("`{have}` is no attribute"), &format!("Use the parameter {use_}.")));
        }
        None => Root::Attribute(expander.expand(first)),
    };
    let mut steps = Vec::new();
    while !whole && c.rest().starts_with('.') && !c.rest().starts_with("..") {
        c.count()?;
        c.eat(".");
        if matches!(root, Root::System(_)) || matches!(steps.last(), Some(Step::Meta(_))) {
            return Err(c.invalid("nothing stands below a system member", PATH));
        }
        let name = c.take_until(|ch| stop(ch) || ch == '.');
        if name.is_empty() {
            return Err(c.unexpected("the name of a sub-attribute", PATH));
        }
        steps.push(Meta::parse(name).map_or_else(|| Step::Attribute(expander.expand(name)), Step::Meta));
    }
    let mut member = Vec::new();
    if c.eat("[") {
        loop {
            c.count()?;
            let key = c.take_until(|ch| matches!(ch, '.' | ']' | '[' | '"'));
            if key.is_empty() {
                return Err(c.unexpected("the name of a member", PATH));
            }
            member.push((key.to_owned(), expander.expand(key)));
            if !c.eat(".") {
                break;
            }
        }
        c.expect("]", PATH)?;
    }
    Ok(Path { root, steps, member })
}

impl Reader<'_> {
    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut list = vec![self.and()?];
        while self.c.eat("|") {
            list.push(self.and()?);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Expr::Or(list) })
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut list = vec![self.unit()?];
        while self.c.eat(";") {
            list.push(self.unit()?);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Expr::And(list) })
    }

    fn unit(&mut self) -> Result<Expr, QueryError> {
        self.c.count()?;
        if self.c.eat("(") {
            self.c.enter()?;
            let inner = self.or()?;
            self.c.expect(")", TERM)?;
            self.c.leave();
            return Ok(inner);
        }
        let path = path(&mut self.c, self.expander)?;
        if self.c.eat("{") {
            return self.linked(path);
        }
        let Some(operator) = self.operator() else {
            return match self.c.peek() {
                None | Some(';' | '|' | ')' | '}') => Ok(Expr::Exists(path)),
                Some(_) => Err(self.c.unexpected("an operator", TERM)),
            };
        };
        let operand = match operator {
            Operator::Matches | Operator::NotMatches => Operand::Pattern(self.pattern()?),
            Operator::Equal | Operator::NotEqual => self.equality()?,
            _ => Operand::One(self.ordered()?),
        };
        let expand_values = matches!(&path.root, Root::Attribute(iri) if self.options.expand_values.contains(iri));
        Ok(Expr::Compare(Comparison { path, operator, operand, expand_values }))
    }

    fn linked(&mut self, path: Path) -> Result<Expr, QueryError> {
        self.c.enter()?;
        // `Type:` is taken as a type only when a name could not go on: `Type:(` or `Type:name==` with a second colon is too clever.
        let types = match self.c.rest().find(":(") {
            Some(end) if self.c.rest()[..end].chars().all(|ch| ch.is_alphanumeric() || matches!(ch, '_' | '|' | ',')) && end > 0 => {
                let names = self.c.take(end);
                self.c.eat(":");
                Some(TypeSelection::parse(names, self.expander)?)
            }
            _ => None,
        };
        let inner = Box::new(self.or()?);
        self.c.expect("}", TERM)?;
        self.c.leave();
        Ok(Expr::Linked { path, types, inner })
    }

    fn operator(&mut self) -> Option<Operator> {
        let all = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("!~=", Operator::NotMatches),
            ("~=", Operator::Matches),
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ];
        all.into_iter().find(|(token, _)| self.c.eat(token)).map(|(_, operator)| operator)
    }

    fn equality(&mut self) -> Result<Operand, QueryError> {
        let mut list = vec![self.one_or_range()?];
        while self.c.eat(",") {
            list.push(self.one_or_range()?);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Operand::List(list) })
    }

    fn one_or_range(&mut self) -> Result<Operand, QueryError> {
        let low = self.literal()?;
        if !self.c.eat("..") {
            return Ok(Operand::One(low));
        }
        let high = self.literal()?;
        if std::mem::discriminant(&low) != std::mem::discriminant(&high) {
            return Err(self.c.invalid("the two ends of a range are of different kinds", "Write both as numbers, both as text or both as times."));
        }
        if matches!(low, Literal::Bool(_) | Literal::Uri(_)) {
            return Err(self.c.invalid("truth values and URIs have no range", VALUE));
        }
        Ok(Operand::Range(low, high))
    }

    fn ordered(&mut self) -> Result<Literal, QueryError> {
        let literal = self.literal()?;
        match self.c.rest() {
            rest if rest.starts_with("..") || rest.starts_with(',') => Err(self.c.invalid("ranges and lists go only with == and !=", TERM)),
            _ if matches!(literal, Literal::Bool(_)) => Err(self.c.invalid("truth values have no order", "Compare them with == or !=.")),
            _ => Ok(literal),
        }
    }

    fn literal(&mut self) -> Result<Literal, QueryError> {
        self.c.count()?;
        if self.c.peek() == Some('"') {
            let raw = self.quoted()?;
            let raw: String = serde_json::from_str(raw).map_err(|_| self.c.invalid("the text before this holds a bad escape", VALUE))?;
            let expanded = self.expander.expand(&raw);
            return Ok(Literal::Text { raw, expanded });
        }
        let rest = self.c.rest();
        let end = rest.find([';', '|', '(', ')', ',', '{', '}', '"']).unwrap_or(rest.len());
        let end = rest[..end].find("..").unwrap_or(end);
        let token = &rest[..end];
        let literal = self.bare(token)?;
        self.c.take(end);
        Ok(literal)
    }

    fn bare(&self, token: &str) -> Result<Literal, QueryError> {
        match token {
            "" => Err(self.c.unexpected("a value", VALUE)),
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            _ if serde_json::from_str::<serde_json::Number>(token).is_ok() => match token.parse::<f64>() {
                Ok(n) if n.is_finite() => Ok(Literal::Number(n)),
                _ => Err(self.c.invalid("the number is out of range", VALUE)),
            },
            _ if is_date(token) => Ok(Literal::Date(token.to_owned())),
            _ if is_clock(token) => Ok(Literal::Clock(token.to_owned())),
            _ if token.as_bytes()[0].is_ascii_digit() => {
                DateTime::parse(token).map(Literal::Time).map_err(|_| self.c.invalid("this is neither a number nor a time in UTC", VALUE))
            }
            _ if Iri::is_valid(token) => Ok(Literal::Uri(token.to_owned())),
            // A word without quotes is a text too: clients write names so (clause 4.9, with expandValues).
            _ if token.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) => {
                Ok(Literal::Text { raw: token.to_owned(), expanded: self.expander.expand(token) })
            }
            _ => Err(self.c.invalid("this is no value", VALUE)),
        }
    }

    /// Takes a quoted text, with its quotes.
    fn quoted(&mut self) -> Result<&str, QueryError> {
        let rest = self.c.rest();
        let mut escaped = false;
        for (i, ch) in rest.char_indices().skip(1) {
            match ch {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Ok(self.c.take(i + 1)),
                _ => {}
            }
        }
        Err(self.c.invalid("the closing quote is missing", VALUE))
    }

    /// A regular expression, in quotes (then only `\"` is an escape of ours) or bare up to `;`, `|` or `)` outside its own brackets.
    fn pattern(&mut self) -> Result<Pattern, QueryError> {
        if self.c.peek() == Some('"') {
            let quoted = self.quoted()?;
            let inner = quoted[1..quoted.len() - 1].replace("\\\"", "\"");
            return Pattern::parse("q", &inner);
        }
        let rest = self.c.rest();
        let (mut open, mut class, mut escaped, mut end) = (0usize, false, false, rest.len());
        for (i, ch) in rest.char_indices() {
            match ch {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                ']' => class = false,
                _ if class => {}
                '[' => class = true,
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ';' | '|' | ')' | '}' if open == 0 && !(ch == '}' && rest[..i].contains('{')) => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        if end == 0 {
            return Err(self.c.unexpected("a regular expression", "Put the regular expression in double quotes."));
        }
        Pattern::parse("q", self.c.take(end))
    }
}

fn shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(|(t, s)| if s == b'0' { t.is_ascii_digit() } else { t == s })
}
/// Whether `text` is `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    shaped(text, "0000-00-00")
}
/// Whether `text` is `hh:mm:ss[.f]Z`.
pub(super) fn is_clock(text: &str) -> bool {
    let Some(body) = text.strip_suffix('Z') else { return false };
    let (seconds, fraction) = body.split_once(['.', ',']).unwrap_or((body, "0"));
    shaped(seconds, "00:00:00") && !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit())
}

//! Constraints and refinements, from IDS and from ODRL. A constraint of which any part is not understood is not read at all.

use super::read::{Dialect, Reading};
use crate::loss::Effect;
use crate::model::{Atom, Constraint, Hole, Logic, Operand, Right};
use crate::node::{Node, code_or_name};
use crate::vocab::{
    Compares, IDS, IDSC, LEFT_OPERANDS, ODRL, ODRL_NAMES, ODRL_OPERATORS, OPERATORS, OTHER_LEFT_OPERANDS, XSD, compares, local, to_ids, to_odrl,
};
use serde_json::Value;

/// How deep `and`, `or` and `xone` are read.
const DEEPEST: usize = 16;

impl<'a> Reading<'_, 'a> {
    /// One constraint; `of_action` when it refines an action.
    pub(super) fn constraint(&mut self, node: &Node<'a>, of_action: bool, depth: usize) -> Result<Constraint, Hole> {
        let members = self.reader.members(node);
        if members.is_empty() {
            return Err(Hole::new(&node.place, "the constraint says nothing"));
        }
        if depth > DEEPEST {
            return Err(Hole::new(&node.place, format!("constraints nested more than {DEEPEST} deep")));
        }
        if let Some((logic, parts)) = members.iter().find_map(|m| Some((Logic::ALL.iter().find(|(_, n)| *n == m.name)?.0, m))) {
            if let Some(other) = members.iter().find(|m| m.name != parts.name && m.name != "uid") {
                return Err(Hole::new(&other.node.place, format!("`{}` beside `{}`", other.name, parts.name)));
            }
            let items = self.reader.items(&parts.node);
            let parts = items.iter().map(|n| self.constraint(n, of_action, depth + 1)).collect::<Result<Vec<_>, _>>()?;
            if parts.is_empty() {
                return Err(Hole::new(&node.place, format!("`{}` of nothing", logic.name())));
            }
            return Ok(Constraint::Logic { place: node.place.clone(), id: self.name(node), logic, parts });
        }
        self.atom(node, of_action)
    }

    fn atom(&mut self, node: &Node<'a>, of_action: bool) -> Result<Constraint, Hole> {
        let (mut left, mut operator, mut right, mut unit, mut source) = (None, None, None, None, None);
        let (mut said_left, mut said_operator) = (None, None);
        let mut values = Vec::new();
        for member in self.reader.members(node) {
            // Beside the words of ODRL, a full name of IDS says which of its words they stand for.
            let aside = self.dialect == Dialect::Odrl && local(&member.iri, IDS).is_some();
            let slot = match member.name.as_str() {
                "leftOperand" if aside => &mut said_left,
                "operator" if aside => &mut said_operator,
                "leftOperand" => &mut left,
                "operator" => &mut operator,
                "unit" => &mut unit,
                "rightOperand" | "rightOperandReference" if right.is_none() => {
                    values = self.reader.items(&member.node);
                    right = Some(member.name == "rightOperandReference");
                    continue;
                }
                "pipEndpoint" => {
                    source = Some(self.reader.whole(&member.node));
                    continue;
                }
                "uid" => continue,
                name => return Err(Hole::new(&member.node.place, format!("`{name}` of a constraint is not understood"))),
            };
            match (&self.reader.items(&member.node)[..], &slot) {
                ([one], None) => *slot = Some(one.clone()),
                _ => return Err(Hole::new(&member.node.place, format!("not one `{}`", member.name))),
            }
        }
        let lacks = |what: &str| Hole::new(&node.place, format!("the constraint has no `{what}`"));
        let (left, operator, reference) =
            (left.ok_or_else(|| lacks("leftOperand"))?, operator.ok_or_else(|| lacks("operator"))?, right.ok_or_else(|| lacks("rightOperand"))?);
        let left = self.left(&left)?;
        let interval = match &values[..] {
            [one] if one.value.is_object() && !reference => self.interval(one),
            _ => None,
        };
        if let Some((begin, end)) = interval {
            return self.within(node, &left, &operator, begin, end, unit.is_some() || source.is_some());
        }
        let operands = values.iter().map(|v| self.operand(v)).collect::<Result<Vec<_>, _>>()?;
        if operands.is_empty() {
            return Err(lacks("rightOperand"));
        }
        let unit = match unit {
            Some(unit) => Some(self.reader.id(&unit).ok_or_else(|| Hole::new(&unit.place, "the unit has no name"))?),
            None => None,
        };
        let mut atom = Atom {
            place: node.place.clone(),
            id: self.name(node),
            left: to_odrl(LEFT_OPERANDS, &left).unwrap_or_else(|| left.clone()),
            ids_left: None,
            operator: "eq",
            ids_operator: None,
            right: if reference { Right::Reference(operands) } else { Right::Values(operands) },
            unit,
            source,
        };
        let name = self.operator(&operator).ok_or_else(|| Hole::new(&operator.place, "the operator has no name that is understood"))?;
        atom.operator = odrl_operator(&name, &atom, of_action)
            .ok_or_else(|| Hole::new(&operator.place, format!("ODRL has no operator that means {name} here")))?;
        if self.dialect == Dialect::Ids {
            if to_ids(LEFT_OPERANDS, &atom.left).unwrap_or_else(|| atom.left.clone()) != left {
                atom.ids_left = Some(left);
            }
            if ids_operator(&atom, of_action).as_deref() != Some(name.as_str()) {
                atom.ids_operator = Some(name);
            }
        } else {
            self.asides(&mut atom, said_left.as_ref(), said_operator.as_ref(), of_action);
        }
        Ok(Constraint::Atom(Box::new(atom)))
    }

    /// What a conversion from IDS noted, if it still stands for what the constraint says.
    fn asides(&mut self, atom: &mut Atom, left: Option<&Node<'a>>, operator: Option<&Node<'a>>, of_action: bool) {
        if let Some(node) = left {
            let name = self.reader.id(node).unwrap_or_default();
            if to_odrl(LEFT_OPERANDS, &name).unwrap_or_else(|| name.clone()) == atom.left {
                atom.ids_left = Some(name);
            } else {
                self.losses.dropped(&node.place, "a note of the left operand in IDS, which is another one", Effect::Same);
            }
        }
        if let Some(node) = operator {
            let name = self.reader.id(node).unwrap_or_default();
            if odrl_operator(&name, atom, of_action) == Some(atom.operator) {
                atom.ids_operator = Some(name);
            } else {
                self.losses.dropped(&node.place, "a note of the operator in IDS, which is another one", Effect::Same);
            }
        }
    }

    fn left(&mut self, node: &Node<'a>) -> Result<String, Hole> {
        let name = self
            .reader
            .term(node, |name| code_or_name(OTHER_LEFT_OPERANDS, LEFT_OPERANDS, ODRL_NAMES, name))
            .ok_or_else(|| Hole::new(&node.place, "the left operand has no name that is understood"))?;
        let listed = local(&name, IDSC).map(|c| OTHER_LEFT_OPERANDS.contains(&c) || LEFT_OPERANDS.iter().any(|(ids, _)| *ids == c));
        if listed == Some(false) || local(&name, IDS).is_some() {
            self.losses.kept(&node.place, format!("the left operand {name} stands in no code list"), "its name", Effect::Same);
        }
        Ok(name)
    }

    fn operator(&self, node: &Node<'a>) -> Option<String> {
        self.reader.term(node, |name| {
            if OPERATORS.iter().any(|(ids, ..)| *ids == name) {
                return Some(format!("{IDSC}{name}"));
            }
            ODRL_OPERATORS.contains(&name).then(|| format!("{ODRL}{name}"))
        })
    }

    /// One value of a right operand.
    pub(super) fn operand(&mut self, node: &Node<'a>) -> Result<Operand, Hole> {
        let literal = |text: String, datatype: Option<&str>| Operand::Literal { text, datatype: datatype.map(|d| format!("{XSD}{d}")), language: None };
        Ok(match node.value {
            Value::String(text) => literal(text.clone(), None),
            Value::Bool(value) => literal(value.to_string(), Some("boolean")),
            Value::Number(value) => literal(value.to_string(), Some(if value.is_f64() { "double" } else { "integer" })),
            Value::Object(object) => {
                if let Some(inner) = object.get("@value") {
                    if let Some(other) = object.keys().find(|k| !["@value", "@type", "@language"].contains(&k.as_str())) {
                        return Err(Hole::new(&node.place, format!("`{other}` of a literal")));
                    }
                    let (text, natural) = match inner {
                        Value::String(text) => (text.clone(), None),
                        Value::Bool(value) => (value.to_string(), Some(format!("{XSD}boolean"))),
                        Value::Number(value) => (value.to_string(), Some(format!("{XSD}{}", if value.is_f64() { "double" } else { "integer" }))),
                        _ => return Err(Hole::new(&node.place, "a literal that is neither text, number nor truth value")),
                    };
                    let written = self.reader.types(node).first().cloned();
                    let datatype = written.as_deref().map(|t| self.reader.datatype(t));
                    if let (Some(written), Some(datatype)) = (&written, &datatype)
                        && written != datatype
                    {
                        self.losses.kept(&node.place, format!("the datatype `{written}`, which does not exist"), datatype, Effect::Same);
                    }
                    let language = object.get("@language").and_then(Value::as_str).map(str::to_owned);
                    return Ok(Operand::Literal { text, datatype: datatype.or(natural), language });
                }
                match self.reader.id(node) {
                    Some(id) if self.reader.members(node).is_empty() => Operand::Iri(id),
                    _ => return Err(Hole::new(&node.place, "a right operand that is neither a literal nor a name")),
                }
            }
            _ => return Err(Hole::new(&node.place, "a right operand that is neither a literal nor a name")),
        })
    }

    /// The ends of an interval.
    fn interval(&mut self, node: &Node<'a>) -> Option<(Operand, Operand)> {
        let members = self.reader.members(node);
        let end = |reading: &mut Self, name: &str| {
            let member = members.iter().find(|m| m.name.rsplit(':').next() == Some(name))?;
            let instant = reading.reader.items(&member.node).into_iter().next()?;
            let inner = reading.reader.members(&instant).into_iter().find(|m| m.name.rsplit(':').next() == Some("dateTime"));
            let instant = inner.and_then(|m| reading.reader.items(&m.node).into_iter().next()).unwrap_or(instant);
            reading.operand(&instant).ok().filter(|o| compares(o.datatype()) == Compares::Instants)
        };
        (members.len() == 2).then(|| Some((end(self, "begin")?, end(self, "end")?))).flatten()
    }

    /// A time inside an interval, as two constraints.
    fn within(&mut self, node: &Node<'a>, left: &str, operator: &Node<'a>, begin: Operand, end: Operand, more: bool) -> Result<Constraint, Hole> {
        let name = self.reader.id(operator).unwrap_or_default();
        let time = to_odrl(LEFT_OPERANDS, left).is_some_and(|l| local(&l, ODRL) == Some("dateTime"));
        // INSIDE compares places; the Information Model's own example has it for times.
        let inside = matches!(local(&name, IDSC).unwrap_or(&name), "DURING" | "INSIDE");
        if !time || !inside || more {
            return Err(Hole::new(&node.place, format!("{name} with an interval")));
        }
        self.losses.kept(&node.place, "a time inside an interval", "two constraints, after its begin and before its end", Effect::Same);
        let part = |operator: &'static str, operand: Operand| {
            Constraint::Atom(Box::new(Atom {
                place: node.place.clone(),
                id: None,
                left: format!("{ODRL}dateTime"),
                ids_left: None,
                operator,
                ids_operator: None,
                right: Right::Values(vec![operand]),
                unit: None,
                source: None,
            }))
        };
        Ok(Constraint::Logic { place: node.place.clone(), id: None, logic: Logic::And, parts: vec![part("gt", begin), part("lt", end)] })
    }
}

/// What a constraint compares. Of a reference the left operand tells.
fn compared(atom: &Atom) -> Compares {
    match &atom.right {
        Right::Values(values) => {
            let mut kinds = values.iter().map(|v| compares(v.datatype()));
            let first = kinds.next().unwrap_or(Compares::Any);
            if kinds.all(|k| k == first) { first } else { Compares::Any }
        }
        Right::Reference(_) => match local(&atom.left, ODRL) {
            Some("dateTime") => Compares::Instants,
            Some("elapsedTime" | "delayPeriod") => Compares::Durations,
            _ => Compares::Any,
        },
    }
}

fn of_user(atom: &Atom) -> bool {
    local(&atom.left, IDSC) == Some("USER")
}

/// The ODRL operator that `name` is in this constraint.
fn odrl_operator(name: &str, atom: &Atom, of_action: bool) -> Option<&'static str> {
    if let Some(own) = local(name, ODRL) {
        return ODRL_OPERATORS.iter().find(|o| **o == own).copied();
    }
    let code = local(name, IDSC)?;
    OPERATORS
        .iter()
        .find(|(ids, _, kind)| {
            *ids == code
                && match kind {
                    Compares::Any => true,
                    Compares::Members => of_user(atom),
                    Compares::Assigns => of_action,
                    kind => *kind == compared(atom),
                }
        })
        .map(|(_, odrl, _)| *odrl)
}

/// The IDS operator for a constraint in ODRL's words, in full; `None` when none is true of the same things.
pub(super) fn ids_operator(atom: &Atom, of_action: bool) -> Option<String> {
    let of = |kind: Compares| OPERATORS.iter().find(|(_, odrl, k)| *odrl == atom.operator && *k == kind).map(|(ids, ..)| format!("{IDSC}{ids}"));
    let special = match () {
        () if of_action && atom.operator == "eq" => of(Compares::Assigns),
        () if of_user(atom) => of(Compares::Members),
        () => None,
    };
    special.or_else(|| of(compared(atom))).or_else(|| of(Compares::Any))
}

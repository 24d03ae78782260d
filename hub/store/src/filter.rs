//! Which entities may match: a condition that the indexes can answer.

/// A condition that holds for *at least* all wanted entities. What it lets through must still be checked against the real query:
/// the store may widen any part of it. It speaks of the values as they are stored, so leave out conditions on what the gate transforms.
///
/// A value condition looks at the default value member of every instance of a top-level Attribute (Property `value`, Relationship
/// `object`, VocabProperty `vocab`, and elements of arrays of these). Where a value is no plain one (an object, a map, a geometry),
/// every value condition on that Attribute lets its entity through.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every entity of the tenant.
    All,
    /// One of these identifiers.
    Ids(Vec<String>),
    /// The identifier starts with this text.
    IdPrefix(String),
    /// At least one of these expanded types.
    Types(Vec<String>),
    /// More than one type.
    SeveralTypes,
    /// In the scope at `path` (with its leading slash), or below it when `below`.
    Scope {
        /// The path.
        path: String,
        /// Whether scopes below it count too.
        below: bool,
    },
    /// Has this Attribute (expanded name).
    HasAttr(String),
    /// A number of the Attribute is at least `lo` and at most `hi`.
    NumRange {
        /// The expanded name.
        attr: String,
        /// The lower bound, included; `-inf` for none.
        lo: f64,
        /// The upper bound, included; `inf` for none.
        hi: f64,
    },
    /// A string, target or name of the Attribute equals this text.
    TextEq {
        /// The expanded name.
        attr: String,
        /// The text.
        text: String,
    },
    /// A string of the Attribute is a DateTime at least `lo` and at most `hi`, in microseconds since the epoch.
    TimeRange {
        /// The expanded name.
        attr: String,
        /// The lower bound, included.
        lo: i64,
        /// The upper bound, included.
        hi: i64,
    },
    /// A boolean of the Attribute equals this.
    BoolEq {
        /// The expanded name.
        attr: String,
        /// The boolean.
        value: bool,
    },
    /// The bounding box of a geometry of the GeoProperty meets this one, in degrees. Does not cross the antimeridian: split it first.
    BBox {
        /// The expanded name.
        attr: String,
        /// West, south, east, north.
        bounds: [f64; 4],
    },
    /// All of these. Empty: every entity.
    And(Vec<Filter>),
    /// One of these. Empty: none.
    Or(Vec<Filter>),
}

impl Filter {
    /// Whether this is so large or deep that no index answers it well. It is then treated as [`Filter::All`].
    pub(crate) fn is_unwieldy(&self) -> bool {
        fn weigh(f: &Filter, depth: usize, nodes: &mut usize) -> bool {
            *nodes += 1;
            if depth > 20 || *nodes > 150 {
                return true;
            }
            match f {
                Filter::And(all) | Filter::Or(all) => all.iter().any(|f| weigh(f, depth + 1, nodes)),
                _ => false,
            }
        }
        weigh(self, 0, &mut 0)
    }
}

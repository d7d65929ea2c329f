//! Expressions over one table's columns, as an index could hold them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Value, Visit, VisitMut, Visitor,
    VisitorMut,
};

use super::Block;
use super::captured::Captured;
use super::kind::{Kind, arguments, kind, type_name};
use super::names::{Names, folded, last_part};
use super::scope::{Meaning, Scope, resolve};
use crate::catalog::Table;
use crate::catalog::name::quoted;

/// What the meaning of an expression depends on.
#[derive(Clone, Copy)]
pub(super) struct Context<'c, 'a> {
    /// The names in sight, outermost first.
    pub(super) scopes: &'c [Scope<'a>],
    /// The blocks read so far.
    pub(super) blocks: &'c [Block],
    /// The snapshot's relations and functions.
    pub(super) names: &'c Names<'a>,
    /// Parameter values seen.
    pub(super) captured: Captured<'c>,
}

/// An expression over the columns of one table of the block.
#[derive(Debug, Clone)]
pub(super) struct Bare {
    /// The access.
    pub(super) access: usize,
    /// The columns it reads, each once.
    pub(super) columns: Vec<String>,
    /// The expression with bare columns, functions and types spelled as the server spells them.
    pub(super) expr: Expr,
    /// Whether a parameter whose value is not known stands in it.
    pub(super) parameter: bool,
}

/// How sure a parameter's value has to be to stand in an index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Substitute {
    /// It was the same in all calls seen.
    Only,
    /// It was the same in nearly all of many calls.
    Usual,
}

impl<'a> Context<'_, 'a> {
    /// Returns the table of one of the block's accesses.
    pub(super) fn table(&self, access: usize) -> Option<&'a Table> {
        let own = self.scopes.last()?.block;
        self.names.table(self.blocks.get(own)?.accesses.get(access)?.table)
    }

    /// Returns the expression in bare columns; `None` when it reads no column, several tables, or a subquery.
    pub(super) fn bare(&self, expr: &Expr, substitute: Substitute) -> Option<Bare> {
        if Depth::of(expr) > DEPTH_MAX {
            return None;
        }
        let mut rewriting = Rewriting { context: *self, substitute, access: None, columns: Vec::new(), parameter: false };
        let mut expr = expr.clone();
        if VisitMut::visit(&mut expr, &mut rewriting).is_break() {
            return None;
        }
        let access = rewriting.access?;
        if let Some(table) = self.table(access) {
            let _ = VisitMut::visit(&mut expr, &mut Canonical { table });
        }
        while let Expr::Nested(inner) = expr {
            expr = *inner;
        }
        Some(Bare { access, columns: rewriting.columns, expr, parameter: rewriting.parameter })
    }

    /// Returns why no index may hold an expression; `None` when one may.
    pub(super) fn fault(&self, bare: &Bare) -> Option<&'static str> {
        if bare.parameter {
            return Some(
                "a parameter stands inside the expression around the column (a key, a unit): only a constant there can be indexed",
            );
        }
        let Some(table) = self.table(bare.access) else { return Some("its table is not known") };
        let mut search = Faults { names: self.names, table };
        match Visit::visit(&bare.expr, &mut search) {
            ControlFlow::Break(reason) => Some(reason),
            ControlFlow::Continue(()) => None,
        }
    }

    /// Returns the expression when an index may hold it.
    pub(super) fn indexable(&self, expr: &Expr) -> Option<Bare> {
        self.bare(expr, Substitute::Only).filter(|bare| self.fault(bare).is_none())
    }
}

/// Returns a column's name as an identifier that prints as SQL needs it.
pub(super) fn identifier(column: &str) -> Ident {
    if quoted(column).starts_with('"') { Ident::with_quote('"', column) } else { Ident::new(column) }
}

/// The deepest expression an index is thought of for: printing one takes much stack for each level.
const DEPTH_MAX: usize = 40;

/// How deep an expression is, up to the first level too many.
#[derive(Default)]
struct Depth {
    now: usize,
    most: usize,
}

impl Depth {
    fn of(expr: &Expr) -> usize {
        let mut depth = Self::default();
        let _ = Visit::visit(expr, &mut depth);
        depth.most
    }
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.now += 1;
        self.most = self.most.max(self.now);
        if self.now > DEPTH_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}

/// Replaces columns by bare ones and parameters by what is known of them.
struct Rewriting<'c, 'a> {
    context: Context<'c, 'a>,
    substitute: Substitute,
    access: Option<usize>,
    columns: Vec<String>,
    parameter: bool,
}

impl Rewriting<'_, '_> {
    fn read(&mut self, access: usize, column: &str) -> ControlFlow<()> {
        if *self.access.get_or_insert(access) != access {
            return ControlFlow::Break(());
        }
        if !self.columns.iter().any(|known| known == column) {
            self.columns.push(column.to_owned());
        }
        ControlFlow::Continue(())
    }

    fn value(&self, placeholder: &str) -> Option<String> {
        let number = placeholder.strip_prefix('$')?.parse().ok()?;
        let known = match self.substitute {
            Substitute::Only => self.context.captured.only(number),
            Substitute::Usual => self.context.captured.usual(number),
        };
        known.map(str::to_owned)
    }

    /// Puts a whole number where text would mean something else: `doc -> 0`, `substring(a from 1)`.
    fn numbered(&self, expr: &mut Expr) {
        if let Expr::Value(value) = &*expr
            && let Value::Placeholder(name) = &value.value
            && let Some(known) = self.value(name)
            && known.parse::<i64>().is_ok()
        {
            *expr = Expr::value(Value::Number(known, false));
        }
    }
}

impl VisitorMut for Rewriting<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { op: BinaryOperator::Arrow | BinaryOperator::LongArrow, right, .. } => self.numbered(right),
            Expr::Substring { substring_from, substring_for, .. } => {
                substring_from.iter_mut().chain(substring_for).for_each(|part| self.numbered(part));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let parts = match &*expr {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    match self.value(name) {
                        Some(known) => *expr = Expr::value(Value::SingleQuotedString(known)),
                        None => self.parameter = true,
                    }
                }
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        let scopes = self.context.scopes;
        match resolve(scopes, parts) {
            Meaning::Column(place) => {
                *expr = Expr::Identifier(identifier(&place.column));
                self.read(place.access, &place.column)
            }
            Meaning::Expression { access, expr: inner, reads } => {
                *expr = Expr::Nested(Box::new(inner.as_ref().clone()));
                reads.iter().try_for_each(|place| self.read(access, &place.column))
            }
            _ => ControlFlow::Break(()),
        }
    }
}

/// Spells functions and types as the server does, so that equal expressions print equally.
struct Canonical<'t> {
    table: &'t Table,
}

impl VisitorMut for Canonical<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let parts = function.name.0.iter().filter_map(ObjectNamePart::as_ident);
                let parts: Vec<Ident> = parts.map(|part| identifier_of_function(&folded(part), part)).collect();
                let skipped = usize::from(parts.len() > 1 && parts[0].value == "pg_catalog");
                function.name = ObjectName::from(parts[skipped..].to_vec());
            }
            Expr::Cast { kind: spelled, expr: inner, data_type, .. } => {
                let name = type_name(&data_type.to_string());
                let changes_nothing = name == "text" && is_text(inner, self.table);
                if changes_nothing {
                    *expr = std::mem::replace(inner, Expr::value(Value::Null));
                    return ControlFlow::Continue(());
                }
                *spelled = CastKind::DoubleColon;
                *data_type = DataType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
                if !matches!(**inner, Expr::Identifier(_) | Expr::Value(_) | Expr::Nested(_) | Expr::Function(_) | Expr::Cast { .. }) {
                    let bare = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                    **inner = Expr::Nested(Box::new(bare));
                }
            }
            Expr::Nested(inner)
                if matches!(**inner, Expr::Identifier(_) | Expr::Value(_) | Expr::Nested(_) | Expr::Function(_) | Expr::Cast { .. }) =>
            {
                *expr = std::mem::replace(inner, Expr::value(Value::Null));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Functions are not columns: keywords such as `coalesce` or `left` stay bare.
fn identifier_of_function(folded: &str, spelled: &Ident) -> Ident {
    if spelled.quote_style.is_some() { spelled.clone() } else { Ident::new(folded) }
}

/// Returns whether a cast to `text` leaves it as it is.
fn is_text(expr: &Expr, table: &Table) -> bool {
    match expr {
        Expr::Nested(inner) => is_text(inner, table),
        Expr::Identifier(name) => table
            .column(&folded(name))
            .is_some_and(|column| column.type_name == "text" || column.type_name.starts_with("character varying")),
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)),
        Expr::Function(_) | Expr::BinaryOp { .. } | Expr::Substring { .. } | Expr::Trim { .. } => kind(expr, table) == Kind::Text,
        _ => false,
    }
}

const TIME_ZONE: &str = "what it gives depends on the session's time zone: compare the column itself with both ends, or fix the zone";
const SETTINGS: &str = "what it gives depends on the session's settings, so no index may hold it";
const VOLATILE: &str = "what it gives changes from call to call, so no index may hold it";
const CONFIGURATION: &str = "to_tsvector without its configuration depends on a setting: name it, as in to_tsvector('english', …)";

/// Looks for what makes an expression unfit for an index.
struct Faults<'n, 'a> {
    names: &'n Names<'a>,
    table: &'n Table,
}

impl Faults<'_, '_> {
    fn call(&self, name: &str, arguments: &[&Expr]) -> Option<&'static str> {
        /// `stable` by the server's own catalog.
        #[rustfmt::skip]
        const STABLE: &[&str] = &[
            "array_to_json", "array_to_string", "concat", "concat_ws", "current_catalog", "current_date", "current_role",
            "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp", "current_user",
            "format", "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object", "localtime",
            "localtimestamp", "now", "phraseto_tsquery", "quote_literal", "row_to_json", "session_user",
            "statement_timestamp", "system_user", "to_char", "to_date", "to_json", "to_jsonb", "to_number",
            "transaction_timestamp", "unaccent", "user",
        ];
        /// `volatile` by it.
        #[rustfmt::skip]
        const CHANGING: &[&str] = &[
            "clock_timestamp", "currval", "gen_random_uuid", "lastval", "nextval", "random", "setval", "timeofday",
            "uuid_generate_v1", "uuid_generate_v4",
        ];
        let of = |at: usize| arguments.get(at).map_or(Kind::Unknown, |argument| kind(argument, self.table));
        match self.names.volatility(name) {
            Some("i") => return None,
            Some("s") => return Some(SETTINGS),
            Some(_) => return Some(VOLATILE),
            None => {}
        }
        match name {
            "date_trunc" | "date_part" if of(1) == Kind::Zoned => Some(TIME_ZONE),
            "age" if arguments.len() < 2 || of(0) == Kind::Zoned => Some(TIME_ZONE),
            "to_tsvector" if arguments.len() < 2 => Some(CONFIGURATION),
            "to_timestamp" if arguments.len() > 1 => Some(TIME_ZONE),
            name if STABLE.contains(&name) => Some(SETTINGS),
            name if CHANGING.contains(&name) => Some(VOLATILE),
            _ => None,
        }
    }

    fn cast(&self, inner: &Expr, to: &str) -> Option<&'static str> {
        let from = kind(inner, self.table);
        let constant = from == Kind::Literal || matches!(inner, Expr::Value(_));
        let own = |expr: &Expr| match expr {
            Expr::Identifier(name) => self.table.column(&folded(name)).is_some_and(|column| self.names.is_user_type(&column.type_name)),
            _ => false,
        };
        match super::kind::kind_of_type(to) {
            _ if constant => None,
            Kind::Text if matches!(from, Kind::Zoned | Kind::Timestamp | Kind::Calendar) || own(inner) => Some(SETTINGS),
            Kind::Calendar | Kind::Timestamp if from == Kind::Zoned => Some(TIME_ZONE),
            Kind::Calendar | Kind::Timestamp | Kind::Zoned | Kind::Interval if from == Kind::Text => Some(SETTINGS),
            Kind::Zoned if from != Kind::Zoned => Some(TIME_ZONE),
            Kind::Other if from == Kind::Text && (self.names.is_user_type(to) || to.starts_with("reg")) => Some(SETTINGS),
            _ => None,
        }
    }
}

impl Visitor for Faults<'_, '_> {
    type Break = &'static str;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<&'static str> {
        let of = |expr: &Expr| kind(expr, self.table);
        let found = match expr {
            Expr::Function(function) if function.over.is_some() || matches!(function.args, FunctionArguments::Subquery(_)) => {
                Some("a window function or subquery is no expression of an index")
            }
            Expr::Function(function) => self.call(&last_part(&function.name), &arguments(function)),
            Expr::Cast { expr: inner, data_type, .. } => self.cast(inner, &data_type.to_string()),
            Expr::Extract { expr: inner, .. } if of(inner) == Kind::Zoned => Some(TIME_ZONE),
            // `timestamptz + interval` crosses changes of the clock, which only the session's zone knows.
            Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right }
                if of(left) == Kind::Zoned && matches!(of(right), Kind::Interval | Kind::Literal) =>
            {
                Some(TIME_ZONE)
            }
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                let printed = |kind| matches!(kind, Kind::Number | Kind::Zoned | Kind::Timestamp | Kind::Calendar);
                (printed(of(left)) || printed(of(right))).then_some(SETTINGS)
            }
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) if matches!(text.as_str(), "now" | "today" | "tomorrow" | "yesterday") => Some(VOLATILE),
                _ => None,
            },
            _ => None,
        };
        match found {
            Some(reason) => ControlFlow::Break(reason),
            None => ControlFlow::Continue(()),
        }
    }
}

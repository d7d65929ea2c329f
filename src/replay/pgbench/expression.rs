//! Expressions of `\set`, `\if` and `\elif`, as read.

use std::fmt;

use super::function::Function;
use super::value::Value;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A constant.
    Value(Value),
    /// `:name`
    Variable(String),
    /// A function or operator and its arguments.
    Call(Function, Vec<Expression>),
}

impl Expression {
    /// Calls `visit` with the name of each variable, in the order they are read.
    pub fn variables<'e>(&'e self, visit: &mut impl FnMut(&'e str)) {
        match self {
            Self::Value(_) => {}
            Self::Variable(name) => visit(name),
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.variables(visit)),
        }
    }
}

impl fmt::Display for Expression {
    /// Writes the expression with brackets around every operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(Value::Null) => f.write_str("null"),
            // Written so that reading it gives the same double.
            Self::Value(Value::Double(number)) => write!(f, "{number:?}"),
            Self::Value(value) => write!(f, "{value}"),
            Self::Variable(name) => write!(f, ":{name}"),
            Self::Call(Function::Case, arguments) => {
                f.write_str("case")?;
                let pairs = arguments.chunks_exact(2);
                let rest = pairs.remainder();
                for pair in pairs {
                    write!(f, " when {} then {}", pair[0], pair[1])?;
                }
                for otherwise in rest {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end")
            }
            Self::Call(function, arguments) => match arguments.as_slice() {
                [only] if function.is_prefix() => write!(f, "({} {only})", function.name()),
                [left, right] if function.is_infix() => write!(f, "({left} {} {right})", function.name()),
                arguments => {
                    write!(f, "{}(", function.name())?;
                    for (index, argument) in arguments.iter().enumerate() {
                        write!(f, "{}{argument}", if index > 0 { ", " } else { "" })?;
                    }
                    f.write_str(")")
                }
            },
        }
    }
}

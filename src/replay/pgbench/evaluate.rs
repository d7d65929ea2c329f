//! Computes expressions.

use super::distribution::{Draws, LEAST_GAUSSIAN, ZIPFIAN};
use super::function::Function;
use super::hash::{fnv1a, murmur2, permute};
use super::value::{EvaluationError, Value};

/// An expression whose variables are places in a client's memory and whose random functions are numbered.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A constant.
    Value(Value),
    /// A variable.
    Slot(usize),
    /// A function of arguments; the number tells random functions of a script apart.
    Call(Function, u32, Box<[Node]>),
}

/// What an expression needs to know.
pub trait Scope {
    /// Returns the value of a variable.
    ///
    /// # Errors
    /// When it has none.
    fn variable(&self, slot: usize) -> Result<Value, EvaluationError>;

    /// Returns the random numbers of a place in the script.
    fn draws(&self, site: u32) -> Draws;

    /// Takes note of what `debug` was given.
    fn debug(&mut self, value: Value);
}

impl Node {
    /// Computes the expression.
    ///
    /// # Errors
    /// With pgbench's message: overflow, division by zero, a value of the wrong type, an undefined variable.
    pub fn evaluate<S: Scope>(&self, scope: &mut S) -> Result<Value, EvaluationError> {
        let (function, site, arguments) = match self {
            Self::Value(value) => return Ok(*value),
            Self::Slot(slot) => return scope.variable(*slot),
            Self::Call(function, site, arguments) => (*function, *site, arguments),
        };
        match function {
            Function::And | Function::Or => return both(function, arguments, scope),
            Function::Case => return case(arguments, scope),
            Function::Least | Function::Greatest => return extreme(function, arguments, scope),
            _ => {}
        }
        // Every function left has at most three arguments, so they fit on the stack.
        let mut values = [Value::Null; 3];
        for (value, argument) in values.iter_mut().zip(arguments) {
            *value = argument.evaluate(scope)?;
        }
        match function {
            Function::Is => return Ok(Value::Boolean(values[0] == values[1])),
            Function::Debug => {
                scope.debug(values[0]);
                return Ok(values[0]);
            }
            _ => {}
        }
        if values[..arguments.len()].contains(&Value::Null) {
            return Ok(Value::Null);
        }
        if function.is_random() { random(function, values, scope.draws(site)) } else { apply(function, values) }
    }
}

/// `AND` and `OR`, which do not look at their second argument when the first decides. Null first is null, as in pgbench.
fn both<S: Scope>(function: Function, arguments: &[Node], scope: &mut S) -> Result<Value, EvaluationError> {
    for (index, argument) in arguments.iter().enumerate() {
        let value = argument.evaluate(scope)?;
        if value == Value::Null {
            return Ok(Value::Null);
        }
        let truth = value.boolean()?;
        if index == 1 || truth == (function == Function::Or) {
            return Ok(Value::Boolean(truth));
        }
    }
    Ok(Value::Null)
}

fn case<S: Scope>(arguments: &[Node], scope: &mut S) -> Result<Value, EvaluationError> {
    for pair in arguments.chunks(2) {
        match pair {
            [condition, value] if condition.evaluate(scope)?.holds() => return value.evaluate(scope),
            [otherwise] => return otherwise.evaluate(scope),
            _ => {}
        }
    }
    Ok(Value::Null)
}

/// `LEAST` and `GREATEST`: null if any is null, a double if any is a double.
fn extreme<S: Scope>(function: Function, arguments: &[Node], scope: &mut S) -> Result<Value, EvaluationError> {
    let mut best = None;
    let mut is_null = false;
    for argument in arguments {
        let value = argument.evaluate(scope)?;
        if value == Value::Null {
            is_null = true;
            continue;
        }
        best = Some(match (best, value) {
            (None, Value::Int(_) | Value::Double(_)) => value,
            (None, other) => Value::Int(other.int()?),
            (Some(Value::Int(best)), Value::Int(value)) => {
                Value::Int(if function == Function::Least { best.min(value) } else { best.max(value) })
            }
            (Some(best), value) => {
                let (best, value) = (best.double()?, value.double()?);
                Value::Double(if function == Function::Least { best.min(value) } else { best.max(value) })
            }
        });
    }
    Ok(best.filter(|_| !is_null).unwrap_or(Value::Null))
}

fn random(function: Function, [low, high, parameter]: [Value; 3], mut draws: Draws) -> Result<Value, EvaluationError> {
    let (low, high) = (low.int()?, high.int()?);
    if low > high {
        return Err("empty range given to random".to_owned());
    }
    if high.checked_sub(low).and_then(|span| span.checked_add(1)).is_none() {
        return Err("random range is too large".to_owned());
    }
    if function == Function::Random {
        return Ok(Value::Int(draws.uniform(low, high)));
    }
    let parameter = parameter.double()?;
    Ok(Value::Int(match function {
        Function::RandomGaussian if parameter >= LEAST_GAUSSIAN => draws.gaussian(low, high, parameter),
        Function::RandomGaussian => return Err(format!("gaussian parameter must be at least {LEAST_GAUSSIAN:.6} (not {parameter:.6})")),
        Function::RandomZipfian if ZIPFIAN.contains(&parameter) => draws.zipfian(low, high, parameter),
        Function::RandomZipfian => {
            return Err(format!("zipfian parameter must be in range [{:.3}, {:.0}] (not {parameter:.6})", ZIPFIAN.start(), ZIPFIAN.end()));
        }
        _ if parameter > 0.0 => draws.exponential(low, high, parameter),
        _ => return Err(format!("exponential parameter must be greater than zero (not {parameter:.6})")),
    }))
}

/// Everything whose arguments are plain values, none of them null.
fn apply(function: Function, [first, second, third]: [Value; 3]) -> Result<Value, EvaluationError> {
    use Function as F;
    Ok(match function {
        F::Add
        | F::Subtract
        | F::Multiply
        | F::Divide
        | F::Equal
        | F::NotEqual
        | F::Less
        | F::LessOrEqual
        | F::Greater
        | F::GreaterOrEqual
            if matches!(first, Value::Double(_)) || matches!(second, Value::Double(_)) =>
        {
            doubles(function, first.double()?, second.double()?)
        }
        F::Negate => match first {
            // As pgbench has it, "0 - x": there is no minus zero.
            Value::Double(number) => Value::Double(0.0 - number),
            other => Value::Int(0i64.checked_sub(other.int()?).ok_or("bigint sub out of range")?),
        },
        F::Not => Value::Boolean(!first.boolean()?),
        F::BitNot => Value::Int(!first.int()?),
        F::Abs => match first {
            Value::Int(number) => Value::Int(number.checked_abs().ok_or("bigint abs out of range")?),
            other => Value::Double(other.double()?.abs()),
        },
        F::Double => Value::Double(first.double()?),
        F::Int => Value::Int(first.int()?),
        F::Exp => Value::Double(first.double()?.exp()),
        F::Ln => Value::Double(first.double()?.ln()),
        F::Sqrt => Value::Double(first.double()?.sqrt()),
        F::Pi => Value::Double(std::f64::consts::PI),
        F::Power => Value::Double(first.double()?.powf(second.double()?)),
        F::HashFnv1a => Value::Int(fnv1a(first.int()?, second.int()?)),
        F::HashMurmur2 => Value::Int(murmur2(first.int()?, second.int()?)),
        F::Permute => {
            let (value, size, seed) = (first.int()?, second.int()?, third.int()?);
            if size <= 0 {
                return Err("permute size parameter must be greater than zero".to_owned());
            }
            Value::Int(permute(value, size, seed))
        }
        _ => integers(function, first.int()?, second.int()?)?,
    })
}

fn doubles(function: Function, left: f64, right: f64) -> Value {
    match function {
        Function::Add => Value::Double(left + right),
        Function::Subtract => Value::Double(left - right),
        Function::Multiply => Value::Double(left * right),
        Function::Divide => Value::Double(left / right),
        Function::Equal => Value::Boolean(left == right),
        Function::NotEqual => Value::Boolean(left != right),
        Function::Less => Value::Boolean(left < right),
        Function::LessOrEqual => Value::Boolean(left <= right),
        Function::Greater => Value::Boolean(left > right),
        _ => Value::Boolean(left >= right),
    }
}

fn integers(function: Function, left: i64, right: i64) -> Result<Value, EvaluationError> {
    let within = |result: Option<i64>, name: &str| result.map(Value::Int).ok_or_else(|| format!("bigint {name} out of range"));
    Ok(match function {
        Function::Add => within(left.checked_add(right), "add")?,
        Function::Subtract => within(left.checked_sub(right), "sub")?,
        Function::Multiply => within(left.checked_mul(right), "mul")?,
        Function::Divide | Function::Modulo if right == 0 => return Err("division by zero".to_owned()),
        Function::Divide => within(left.checked_div(right), "div")?,
        Function::Modulo => Value::Int(left.wrapping_rem(right)),
        Function::Equal => Value::Boolean(left == right),
        Function::NotEqual => Value::Boolean(left != right),
        Function::Less => Value::Boolean(left < right),
        Function::LessOrEqual => Value::Boolean(left <= right),
        Function::Greater => Value::Boolean(left > right),
        Function::GreaterOrEqual => Value::Boolean(left >= right),
        Function::BitAnd => Value::Int(left & right),
        Function::BitOr => Value::Int(left | right),
        Function::BitXor => Value::Int(left ^ right),
        // The count's low six bits, as the processor pgbench runs on takes it: 1 << 64 is 1.
        Function::ShiftLeft => Value::Int(left.wrapping_shl(right as u32)),
        Function::ShiftRight => Value::Int(left.wrapping_shr(right as u32)),
        other => return Err(format!("{} is no operator of two numbers", other.name())),
    })
}

//! Values of expressions: pgbench's four types, their coercions and their text.

use std::fmt;

/// The value of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Unknown.
    Null,
    /// A 64-bit whole number.
    Int(i64),
    /// A double-precision number.
    Double(f64),
    /// True or false.
    Boolean(bool),
}

/// Why an expression has no value.
pub type EvaluationError = String;

impl Value {
    /// Returns the value as a whole number; a double is rounded half to even, a boolean and null are refused.
    ///
    /// # Errors
    /// With pgbench's message.
    #[inline]
    pub fn int(self) -> Result<i64, EvaluationError> {
        match self {
            Self::Int(number) => Ok(number),
            Self::Double(number) => {
                let whole = number.round_ties_even();
                // 2^63 itself is a double and no int64; -2^63 is both.
                if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
                    Ok(whole as i64)
                } else {
                    Err(format!("double to int overflow for {number:.6}"))
                }
            }
            Self::Boolean(_) | Self::Null => Err(format!("cannot coerce {} to int", self.kind())),
        }
    }

    /// Returns the value as a double; a boolean and null are refused.
    ///
    /// # Errors
    /// With pgbench's message.
    #[inline]
    pub fn double(self) -> Result<f64, EvaluationError> {
        match self {
            Self::Double(number) => Ok(number),
            Self::Int(number) => Ok(number as f64),
            Self::Boolean(_) | Self::Null => Err(format!("cannot coerce {} to double", self.kind())),
        }
    }

    /// Returns the value as a boolean, which only a boolean is.
    ///
    /// # Errors
    /// With pgbench's message.
    pub fn boolean(self) -> Result<bool, EvaluationError> {
        match self {
            Self::Boolean(truth) => Ok(truth),
            other => Err(format!("cannot coerce {} to boolean", other.kind())),
        }
    }

    /// Returns whether a condition holds: true, or a number other than 0.
    pub fn holds(self) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(truth) => truth,
            Self::Int(number) => number != 0,
            Self::Double(number) => number != 0.0,
        }
    }

    /// Returns the type's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Boolean(_) => "boolean",
        }
    }

    /// Reads a variable's text (of `-D`, `\gset` or a program's output) as pgbench does; `None` when it is no value.
    ///
    /// Beginnings of `true`, `false`, `yes` and `no` count, as do `on`, `off` and `of`.
    pub fn of_text(text: &str) -> Option<Self> {
        let begins = |word: &str| word.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text));
        let is = |word: &str| word.eq_ignore_ascii_case(text);
        if text.is_empty() {
            return None;
        }
        if is("null") {
            return Some(Self::Null);
        }
        if begins("true") || begins("yes") || is("on") {
            return Some(Self::Boolean(true));
        }
        if begins("false") || begins("no") || is("off") || is("of") {
            return Some(Self::Boolean(false));
        }
        let number = text.trim_start();
        let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
        if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            // What looks like a whole number must fit one: it does not turn into a double.
            return number.parse().ok().map(Self::Int);
        }
        let double: f64 = number.parse().ok()?;
        let spelt = digits.starts_with(['i', 'I']);
        (double.is_finite() || double.is_nan() || spelt).then_some(Self::Double(double))
    }
}

impl fmt::Display for Value {
    /// Writes the value as pgbench puts it into SQL: doubles with 15 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null => f.write_str("NULL"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Double(number) => write_15_digits(f, number),
        }
    }
}

/// Writes a double as C's `%.15g` does.
fn write_15_digits(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    if !number.is_finite() {
        return f.write_str(match (number.is_nan(), number > 0.0) {
            (true, _) => "NaN",
            (false, true) => "Infinity",
            (false, false) => "-Infinity",
        });
    }
    let scientific = format!("{number:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed =
        |text: &str| if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() };
    if (-4..15).contains(&exponent) {
        // The number of decimals follows from the exponent after rounding to 15 digits.
        f.write_str(&trimmed(&format!("{number:.*}", (14 - exponent).max(0) as usize)))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_pgbench_reads_them() {
        // Each was given to pgbench 15 with -D and shown with debug().
        for text in ["y", "Y", "ye", "yes", "on", "ON", "t", "tr", "true", "T"] {
            assert_eq!(Value::of_text(text), Some(Value::Boolean(true)), "{text}");
        }
        for text in ["n", "no", "of", "off", "f", "fals"] {
            assert_eq!(Value::of_text(text), Some(Value::Boolean(false)), "{text}");
        }
        for text in ["", "yess", "nope", "o", "5 ", "abc", "9223372036854775808", "1e400", "é", "trué"] {
            assert_eq!(Value::of_text(text), None, "{text}");
        }
        for (text, number) in [("1", 1), ("0", 0), ("-5", -5), ("+5", 5), (" 5", 5), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(Value::of_text(text), Some(Value::Int(number)), "{text}");
        }
        for (text, number) in [("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-.5", -0.5), ("inf", f64::INFINITY)] {
            assert_eq!(Value::of_text(text), Some(Value::Double(number)), "{text}");
        }
        assert_eq!((Value::of_text("null"), Value::of_text("NULL")), (Some(Value::Null), Some(Value::Null)));
        assert!(matches!(Value::of_text("nan"), Some(Value::Double(number)) if number.is_nan()));
    }

    #[test]
    fn doubles_are_written_with_15_digits() {
        // Each as pgbench 15 shows it.
        for (number, text) in [
            (1.0 / 3.0, "0.333333333333333"),
            (2f64.sqrt(), "1.4142135623731"),
            (1e15, "1e+15"),
            (1e20, "1e+20"),
            (123456789012345678.0, "1.23456789012346e+17"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (0.5, "0.5"),
            (1000.0, "1000"),
            (-5.5, "-5.5"),
            (0.0, "0"),
            (999999999999999.9, "1e+15"),
            (1e300 * 1e10, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
            (5e-324, "4.94065645841247e-324"),
        ] {
            assert_eq!(Value::Double(number).to_string(), text);
        }
    }

    #[test]
    fn doubles_are_rounded_half_to_even_and_must_fit() {
        let int = |number| Value::Double(number).int();
        assert_eq!((int(2.5), int(3.5), int(-2.5), int(-0.5)), (Ok(2), Ok(4), Ok(-2), Ok(0)));
        assert_eq!(int(1e19).unwrap_err(), "double to int overflow for 10000000000000000000.000000");
        assert_eq!(int(-9223372036854775808.0), Ok(i64::MIN));
        assert!(int(9223372036854775808.0).is_err() && int(f64::NAN).is_err());
    }
}

use proptest::prelude::*;

use super::super::distribution::Draws;
use super::super::evaluate::{Node, Scope};
use super::super::value::EvaluationError;
use super::*;

/// Knows two variables and keeps what was shown.
#[derive(Default)]
struct Scene {
    shown: Vec<String>,
}

impl Scope for Scene {
    fn variable(&self, slot: usize) -> Result<Value, EvaluationError> {
        match slot {
            0 => Ok(Value::Int(0)),
            1 => Ok(Value::Int(5432)),
            _ => Err("undefined variable".to_owned()),
        }
    }

    fn draws(&self, site: u32) -> Draws {
        Draws::new(1, 2, 3, site)
    }

    fn debug(&mut self, value: Value) {
        self.shown.push(format!("{} {value}", value.kind()));
    }
}

fn compile(expression: &Expression) -> Node {
    match expression {
        Expression::Value(value) => Node::Value(*value),
        Expression::Variable(name) => Node::Slot(["client_id", "default_seed"].iter().position(|known| known == name).unwrap_or(9)),
        Expression::Call(function, arguments) => Node::Call(*function, 0, arguments.iter().map(compile).collect()),
    }
}

/// What pgbench's debug() shows for an expression, or its message.
fn shown(text: &str) -> String {
    let read = expression(text, 0).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    match compile(&read).evaluate(&mut Scene::default()) {
        Ok(Value::Null) => "null".to_owned(),
        Ok(value) => format!("{} {value}", value.kind()),
        Err(message) => message,
    }
}

#[test]
fn values_are_pgbenchs() {
    // The right column was printed by pgbench 15, in the same words.
    for (text, expected) in [
        ("null and false", "null"),
        ("false and null", "boolean false"),
        ("null or true", "null"),
        ("true or null", "boolean true"),
        ("not null", "null"),
        ("1 is true", "boolean false"),
        ("null is null", "boolean true"),
        ("true is true", "boolean true"),
        ("~1|2", "int -2"),
        ("~1+2", "int -4"),
        ("-9223372036854775808", "int -9223372036854775808"),
        ("-9223372036854775808 / -1", "bigint div out of range"),
        ("5 % -1", "int 0"),
        ("-7 / 2", "int -3"),
        ("-7 % 2", "int -1"),
        ("7.5 % 2", "int 0"),
        ("1 << 64", "int 1"),
        ("1 << -1", "int -9223372036854775808"),
        ("-8 >> 1", "int -4"),
        ("abs(-5)", "int 5"),
        ("abs(-5.5)", "double 5.5"),
        ("int(2.5)", "int 2"),
        ("1.0/3", "double 0.333333333333333"),
        ("1e300*1e10", "double Infinity"),
        ("0.0/0.0", "double NaN"),
        ("1.0/0", "double Infinity"),
        ("1/0", "division by zero"),
        ("5.", "double 5"),
        ("1.e3", "double 1000"),
        ("least(1,2.5)", "double 1"),
        ("greatest(1,2,3)", "int 3"),
        ("least(null,1)", "null"),
        ("sqrt(-1)", "double NaN"),
        ("ln(0)", "double -Infinity"),
        ("exp(1)", "double 2.71828182845905"),
        ("pi()", "double 3.14159265358979"),
        ("pow(2,10)", "double 1024"),
        ("power(2,0.5)", "double 1.4142135623731"),
        ("pow(0,-1)", "double Infinity"),
        ("case when 1 then 2 end", "int 2"),
        ("case when null then 2 end", "null"),
        ("case when 0 then 1 when 0.5 then 7 else 3 end", "int 7"),
        ("1 = 1.0", "boolean true"),
        ("3 <> 4", "boolean true"),
        ("3 != 4", "boolean true"),
        ("2 >= 3", "boolean false"),
        ("null = 1", "null"),
        ("null is not null", "boolean false"),
        ("1 isnull", "boolean false"),
        ("1 notnull", "boolean true"),
        ("-2*-3", "int 6"),
        ("- -2", "int 2"),
        ("-:client_id", "int 0"),
        ("2 + 3 * 4 - 1", "int 13"),
        ("1 | 2 # 3 & 6", "int 0"),
        ("1 + 2 is null", "boolean false"),
        ("ABS(-1)", "int 1"),
        ("nUll", "null"),
        ("mod(7.6,3)", "int 2"),
        ("1 is not true", "boolean true"),
        ("1.5 & 1", "int 0"),
        ("-0.0", "double 0"),
        ("not not true", "boolean true"),
        ("1 = 2 is true", "boolean false"),
        ("5 - 3 - 1", "int 1"),
        ("16 / 4 / 2", "int 2"),
        ("null << 1", "null"),
        ("double(null)", "null"),
        ("case when true then 1 else 1/0 end", "int 1"),
        ("false and 1/0", "boolean false"),
        ("hash(10)", "int -5817877081768721676"),
        ("hash_fnv1a(10)", "int -7793829335365542153"),
        ("permute(1, 2)", "int 1"),
        ("true = true", "cannot coerce boolean to int"),
        ("true + 1", "cannot coerce boolean to int"),
        ("not true = false", "cannot coerce boolean to int"),
        ("1 and true", "cannot coerce int to boolean"),
        ("not 1", "cannot coerce int to boolean"),
        ("int(1e19)", "double to int overflow for 10000000000000000000.000000"),
        ("9223372036854775807 + 1", "bigint add out of range"),
        ("-9223372036854775807 - 2", "bigint sub out of range"),
        ("4611686018427387904 * 2", "bigint mul out of range"),
        ("permute(1,0)", "permute size parameter must be greater than zero"),
        ("random(2,1)", "empty range given to random"),
        ("random(-9223372036854775808,9223372036854775807)", "random range is too large"),
        ("random_gaussian(1,2,1.9)", "gaussian parameter must be at least 2.000000 (not 1.900000)"),
        ("random_zipfian(1,2,1)", "zipfian parameter must be in range [1.001, 1000] (not 1.000000)"),
        ("random_exponential(1,2,0)", "exponential parameter must be greater than zero (not 0.000000)"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn what_pgbench_leaves_undefined_is_refused() {
    assert_eq!(shown("abs(-9223372036854775808)"), "bigint abs out of range");
    assert_eq!(shown("abs(true)"), "cannot coerce boolean to double");
    assert_eq!(shown("- :nowhere"), "undefined variable");
}

#[test]
fn debug_shows_its_argument_and_returns_it() {
    let mut scene = Scene::default();
    let value = compile(&expression("debug(1) + debug(2.5)", 0).unwrap()).evaluate(&mut scene);
    assert_eq!((value, scene.shown), (Ok(Value::Double(3.5)), vec!["int 1".to_owned(), "double 2.5".to_owned()]));
}

#[test]
fn mistakes_are_named_with_their_place_and_what_was_expected() {
    for (text, place, message) in [
        ("", 0, "expected a number, :variable, function, case or bracket, found the end of the line"),
        ("1 < 2 < 3", 6, "expected brackets around one of two comparisons in a row, found \"<\""),
        ("9223372036854775808", 0, "9223372036854775808 does not fit an int64"),
        ("1 + 12345678901234567890", 4, "12345678901234567890 does not fit an int64"),
        ("1e400", 0, "1e400 does not fit a double"),
        ("1 1", 2, "expected an operator or the end of the line, found 1"),
        ("(1", 2, "expected \")\", found the end of the line"),
        ("abs 1", 4, "expected \"(\", found 1"),
        ("abs(1 2)", 6, "expected \",\" or \")\", found 2"),
        ("pi(1)", 0, "pi: expected 0 arguments, found 1"),
        ("debug()", 0, "debug: expected 1 argument, found 0"),
        ("least()", 0, "least: expected at least 1 arguments, found 0"),
        ("2 * pow(1,2,3)", 4, "pow: expected 2 arguments, found 3"),
        ("hash(1,2,3)", 0, "hash: expected 1 or 2 arguments, found 3"),
        ("permute(1)", 0, "permute: expected 2 or 3 arguments, found 1"),
        ("1 $ 2", 2, "unexpected character '$', expected a number, :variable, function, operator or bracket"),
        ("\"x\"", 0, "unexpected character '\"', expected a number, :variable, function, operator or bracket"),
        ("1 + : x", 4, "expected a variable's name after the colon"),
        ("true is 1", 8, "expected null, true or false, found 1"),
        ("case 1 end", 5, "expected \"when\", found 1"),
        ("case when 1 else 2 end", 12, "expected \"then\", found \"else\""),
        ("case when 1 then 2", 18, "expected \"when\", \"else\" or \"end\", found the end of the line"),
        ("1 + and", 4, "expected a number, :variable, function, case or bracket, found \"and\""),
        ("1 +", 3, "expected a number, :variable, function, case or bracket, found the end of the line"),
    ] {
        assert_eq!(expression(text, 0), Err((place, message.to_owned())), "{text}");
    }
    let unknown = expression("foo(1)", 0).unwrap_err().1;
    assert!(unknown.starts_with("unknown function \"foo\", expected one of: abs debug double") && unknown.ends_with("sqrt"), "{unknown}");
}

#[test]
fn nesting_has_an_end() {
    let deep = format!("{}1{}", "(".repeat(900), ")".repeat(900));
    assert!(expression(&deep, 0).unwrap_err().1.contains("200 levels"));
    assert!(expression(&"- ".repeat(1900), 0).unwrap_err().1.contains("200 levels"));
    let chain = |times: usize| format!("1{}", " + 1".repeat(times));
    assert_eq!(shown(&chain(999)), "int 1000");
    assert_eq!(expression(&chain(1000), 0), Err((4001, "expected an expression of at most 2000 words and signs".to_owned())));
}

/// Any expression the grammar can make.
fn any_expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (0..=i64::MAX).prop_map(|number| Expression::Value(Value::Int(number))),
        Just(Expression::Value(Value::Int(i64::MIN))),
        (0.0..1e300f64).prop_map(|number| Expression::Value(Value::Double(number))),
        any::<bool>().prop_map(|truth| Expression::Value(Value::Boolean(truth))),
        Just(Expression::Value(Value::Null)),
        "[a-z_][a-z0-9_]{0,8}".prop_map(Expression::Variable),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        use Function as F;
        let infix = prop::sample::select(vec![
            F::Or,
            F::And,
            F::Equal,
            F::NotEqual,
            F::Less,
            F::LessOrEqual,
            F::Greater,
            F::GreaterOrEqual,
            F::BitOr,
            F::BitXor,
            F::BitAnd,
            F::ShiftLeft,
            F::ShiftRight,
            F::Add,
            F::Subtract,
            F::Multiply,
            F::Divide,
            F::Modulo,
            F::Power,
            F::Random,
            F::HashMurmur2,
        ]);
        let prefix = prop::sample::select(vec![F::Not, F::BitNot, F::Negate, F::Abs, F::Int, F::Debug]);
        let constant = prop::sample::select(vec![Value::Null, Value::Boolean(true), Value::Boolean(false)]);
        prop_oneof![
            (infix, inner.clone(), inner.clone()).prop_map(|(function, left, right)| Expression::Call(function, vec![left, right])),
            (prefix, inner.clone()).prop_map(|(function, only)| Expression::Call(function, vec![only])),
            (inner.clone(), constant).prop_map(|(left, value)| Expression::Call(F::Is, vec![left, Expression::Value(value)])),
            prop::collection::vec(inner.clone(), 2..6).prop_map(|arguments| Expression::Call(F::Case, arguments)),
            prop::collection::vec(inner, 1..4).prop_map(|arguments| Expression::Call(F::Greatest, arguments)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(expected in any_expression()) {
        // `- 9223372036854775808` is one number, so a minus before it cannot be told apart.
        let printed = expected.to_string();
        prop_assert_eq!(expression(&printed, 0), Ok(expected), "{}", printed);
    }

    #[test]
    fn no_text_makes_the_parser_fall_over(text in "[ -~\n\\\\é]{0,60}") {
        if let Err((place, _)) = expression(&text, 0) {
            prop_assert!(place <= text.len());
        }
    }
}

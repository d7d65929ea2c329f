//! Reads expressions, by pgbench's precedences.

use super::expression::Expression;
use super::function::Function;
use super::place::Fault;
use super::token::{Token, tokens};
use super::value::Value;

/// Deeper nesting than this is refused before it could exhaust the stack.
const DEEPEST: usize = 200;
/// And so are longer chains of operators, which nest as well.
const LONGEST: usize = 2000;

// How strongly operators bind, from weak to strong. Comparisons do not chain.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARISON: u8 = 5;
const BITS: u8 = 6;
const SUM: u8 = 7;
const PRODUCT: u8 = 8;
const UNARY: u8 = 9;

/// Words with a meaning of their own, which no function can have as a name.
const KEYWORDS: [&str; 9] = ["and", "or", "when", "then", "else", "end", "is", "isnull", "notnull"];

/// Reads an expression that takes up the whole text; `base` is the text's offset in the script.
pub(super) fn expression(text: &str, base: usize) -> Result<Expression, Fault> {
    let tokens = tokens(text, base)?;
    if let Some((place, _)) = tokens.get(LONGEST + 1) {
        return Err((*place, format!("expected an expression of at most {LONGEST} words and signs")));
    }
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let expression = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(expression),
        _ => Err(parser.unexpected("an operator or the end of the line")),
    }
}

struct Parser<'t> {
    /// Ends with [`Token::End`].
    tokens: Vec<(usize, Token<'t>)>,
    next: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Token<'t> {
        &self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn place(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].0
    }

    fn unexpected(&self, expected: &str) -> Fault {
        (self.place(), format!("expected {expected}, found {}", self.peek().shown()))
    }

    fn sign(&self) -> &'static str {
        match self.peek() {
            Token::Sign(sign) => sign,
            _ => "",
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn took_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.next += usize::from(is);
        is
    }

    fn take_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.sign() != sign {
            return Err(self.unexpected(&format!("{sign:?}")));
        }
        self.next += 1;
        Ok(())
    }

    /// Reads as far as operators bind at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Expression, Fault> {
        if self.depth == DEEPEST {
            return Err((self.place(), format!("expected an expression at most {DEEPEST} levels deep")));
        }
        self.depth += 1;
        let mut left = self.operand()?;
        loop {
            if IS >= least && self.is_word("is") {
                self.next += 1;
                left = self.is(left)?;
            } else if IS >= least && (self.is_word("isnull") || self.is_word("notnull")) {
                let asks_for_null = self.is_word("isnull");
                self.next += 1;
                let is = Expression::Call(Function::Is, vec![left, Expression::Value(Value::Null)]);
                left = if asks_for_null { is } else { Expression::Call(Function::Not, vec![is]) };
            } else if let Some((function, strength)) = self.infix().filter(|(_, strength)| *strength >= least) {
                self.next += 1;
                let right = self.expression(strength + 1)?;
                left = Expression::Call(function, vec![left, right]);
                if strength == COMPARISON && self.infix().is_some_and(|(_, next)| next == COMPARISON) {
                    return Err(self.unexpected("brackets around one of two comparisons in a row"));
                }
            } else {
                self.depth -= 1;
                return Ok(left);
            }
        }
    }

    fn infix(&self) -> Option<(Function, u8)> {
        Some(match self.peek() {
            Token::Word(word) if word.eq_ignore_ascii_case("or") => (Function::Or, OR),
            Token::Word(word) if word.eq_ignore_ascii_case("and") => (Function::And, AND),
            Token::Sign(sign) => match *sign {
                "=" => (Function::Equal, COMPARISON),
                "<>" | "!=" => (Function::NotEqual, COMPARISON),
                "<" => (Function::Less, COMPARISON),
                "<=" => (Function::LessOrEqual, COMPARISON),
                ">" => (Function::Greater, COMPARISON),
                ">=" => (Function::GreaterOrEqual, COMPARISON),
                "|" => (Function::BitOr, BITS),
                "#" => (Function::BitXor, BITS),
                "&" => (Function::BitAnd, BITS),
                "<<" => (Function::ShiftLeft, BITS),
                ">>" => (Function::ShiftRight, BITS),
                "+" => (Function::Add, SUM),
                "-" => (Function::Subtract, SUM),
                "*" => (Function::Multiply, PRODUCT),
                "/" => (Function::Divide, PRODUCT),
                "%" => (Function::Modulo, PRODUCT),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Reads what follows `IS`.
    fn is(&mut self, left: Expression) -> Result<Expression, Fault> {
        let negated = self.took_word("not");
        let value = if self.took_word("null") {
            Value::Null
        } else if self.took_word("true") {
            Value::Boolean(true)
        } else if self.took_word("false") {
            Value::Boolean(false)
        } else {
            return Err(self.unexpected("null, true or false"));
        };
        let is = Expression::Call(Function::Is, vec![left, Expression::Value(value)]);
        Ok(if negated { Expression::Call(Function::Not, vec![is]) } else { is })
    }

    fn operand(&mut self) -> Result<Expression, Fault> {
        let place = self.place();
        let token = self.peek().clone();
        let expected = "a number, :variable, function, case or bracket";
        self.next += 1;
        let operand = match token {
            Token::Int(number) => Expression::Value(Value::Int(number)),
            Token::Double(number) => Expression::Value(Value::Double(number)),
            Token::Variable(name) => Expression::Variable(name.to_owned()),
            Token::BeyondInt => return Err((place, "9223372036854775808 does not fit an int64".to_owned())),
            Token::Sign("(") => {
                let inner = self.expression(0)?;
                self.take_sign(")")?;
                inner
            }
            Token::Sign("+") => self.expression(UNARY)?,
            Token::Sign("-") if *self.peek() == Token::BeyondInt => {
                self.next += 1;
                Expression::Value(Value::Int(i64::MIN))
            }
            Token::Sign("-") => Expression::Call(Function::Negate, vec![self.expression(UNARY)?]),
            // It binds like the other bit operators, weaker than a sum: ~1+2 is ~(1+2).
            Token::Sign("~") => Expression::Call(Function::BitNot, vec![self.expression(BITS + 1)?]),
            Token::Word(word) => return self.word(word, place),
            Token::Sign(_) | Token::End => {
                self.next -= 1;
                return Err(self.unexpected(expected));
            }
        };
        Ok(operand)
    }

    fn word(&mut self, word: &str, place: usize) -> Result<Expression, Fault> {
        match word.to_ascii_lowercase().as_str() {
            "null" => Ok(Expression::Value(Value::Null)),
            "true" => Ok(Expression::Value(Value::Boolean(true))),
            "false" => Ok(Expression::Value(Value::Boolean(false))),
            "not" => Ok(Expression::Call(Function::Not, vec![self.expression(NOT)?])),
            "case" => self.case(),
            keyword if KEYWORDS.contains(&keyword) => {
                self.next -= 1;
                Err(self.unexpected("a number, :variable, function, case or bracket"))
            }
            _ => self.call(word, place),
        }
    }

    fn case(&mut self) -> Result<Expression, Fault> {
        let mut arguments = Vec::new();
        if !self.is_word("when") {
            return Err(self.unexpected("\"when\""));
        }
        while self.took_word("when") {
            arguments.push(self.expression(0)?);
            if !self.took_word("then") {
                return Err(self.unexpected("\"then\""));
            }
            arguments.push(self.expression(0)?);
        }
        if self.took_word("else") {
            arguments.push(self.expression(0)?);
        }
        if !self.took_word("end") {
            return Err(self.unexpected("\"when\", \"else\" or \"end\""));
        }
        Ok(Expression::Call(Function::Case, arguments))
    }

    fn call(&mut self, name: &str, place: usize) -> Result<Expression, Fault> {
        let Some((function, arity)) = Function::named(name) else {
            return Err((place, format!("unknown function {name:?}, expected one of: {}", Function::names())));
        };
        self.take_sign("(")?;
        let mut arguments = Vec::new();
        if self.sign() != ")" {
            loop {
                arguments.push(self.expression(0)?);
                match self.sign() {
                    "," => self.next += 1,
                    ")" => break,
                    _ => return Err(self.unexpected("\",\" or \")\"")),
                }
            }
        }
        self.take_sign(")")?;
        if !arity.contains(&arguments.len()) {
            let (fewest, most) = (*arity.start(), *arity.end());
            let wanted = match most {
                usize::MAX => format!("at least {fewest}"),
                most if most == fewest => fewest.to_string(),
                most => format!("{fewest} or {most}"),
            };
            let plural = if most == 1 { "" } else { "s" };
            return Err((place, format!("{name}: expected {wanted} argument{plural}, found {}", arguments.len())));
        }
        if matches!(function, Function::HashFnv1a | Function::HashMurmur2) && arguments.len() == 1
            || function == Function::Permute && arguments.len() == 2
        {
            arguments.push(Expression::Variable("default_seed".to_owned()));
        }
        Ok(Expression::Call(function, arguments))
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;

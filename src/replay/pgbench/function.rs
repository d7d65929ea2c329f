//! The functions and operators of expressions.

/// A function or an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `a OR b`
    Or,
    /// `a AND b`
    And,
    /// `NOT a`
    Not,
    /// `a IS b`, where b is null, true or false
    Is,
    /// `a = b`
    Equal,
    /// `a <> b`
    NotEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterOrEqual,
    /// `a | b`
    BitOr,
    /// `a # b`
    BitXor,
    /// `a & b`
    BitAnd,
    /// `~a`
    BitNot,
    /// `a << b`
    ShiftLeft,
    /// `a >> b`
    ShiftRight,
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// `a / b`
    Divide,
    /// `a % b` and `mod(a, b)`
    Modulo,
    /// `-a`
    Negate,
    /// `CASE`: condition, value, condition, value, …, and the value of `ELSE`
    Case,
    /// `abs(a)`
    Abs,
    /// `debug(a)`
    Debug,
    /// `double(a)`
    Double,
    /// `exp(a)`
    Exp,
    /// `greatest(a, …)`
    Greatest,
    /// `hash_fnv1a(a [, seed])`
    HashFnv1a,
    /// `hash(a [, seed])` and `hash_murmur2(a [, seed])`
    HashMurmur2,
    /// `int(a)`
    Int,
    /// `least(a, …)`
    Least,
    /// `ln(a)`
    Ln,
    /// `permute(a, size [, seed])`
    Permute,
    /// `pi()`
    Pi,
    /// `pow(a, b)` and `power(a, b)`
    Power,
    /// `random(low, high)`
    Random,
    /// `random_exponential(low, high, parameter)`
    RandomExponential,
    /// `random_gaussian(low, high, parameter)`
    RandomGaussian,
    /// `random_zipfian(low, high, parameter)`
    RandomZipfian,
    /// `sqrt(a)`
    Sqrt,
}

/// The functions that are called by name: name, function, fewest and most arguments.
const NAMED: &[(&str, Function, usize, usize)] = &[
    ("abs", Function::Abs, 1, 1),
    ("debug", Function::Debug, 1, 1),
    ("double", Function::Double, 1, 1),
    ("exp", Function::Exp, 1, 1),
    ("greatest", Function::Greatest, 1, usize::MAX),
    ("hash_murmur2", Function::HashMurmur2, 1, 2),
    ("hash", Function::HashMurmur2, 1, 2),
    ("hash_fnv1a", Function::HashFnv1a, 1, 2),
    ("int", Function::Int, 1, 1),
    ("least", Function::Least, 1, usize::MAX),
    ("ln", Function::Ln, 1, 1),
    ("mod", Function::Modulo, 2, 2),
    ("permute", Function::Permute, 2, 3),
    ("pi", Function::Pi, 0, 0),
    ("power", Function::Power, 2, 2),
    ("pow", Function::Power, 2, 2),
    ("random", Function::Random, 2, 2),
    ("random_exponential", Function::RandomExponential, 3, 3),
    ("random_gaussian", Function::RandomGaussian, 3, 3),
    ("random_zipfian", Function::RandomZipfian, 3, 3),
    ("sqrt", Function::Sqrt, 1, 1),
];

impl Function {
    /// Returns the function of a name, in any case, with how many arguments it takes.
    pub fn named(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        let found = NAMED.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))?;
        Some((found.1, found.2..=found.3))
    }

    /// Returns the names of all functions, for messages.
    pub fn names() -> String {
        let mut names: Vec<&str> = NAMED.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.join(" ")
    }

    /// Returns how it is written: a function's name, an operator's sign.
    pub fn name(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Not => "not",
            Self::Is => "is",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::BitOr => "|",
            Self::BitXor => "#",
            Self::BitAnd => "&",
            Self::BitNot => "~",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Case => "case",
            named => NAMED.iter().find(|(_, function, ..)| *function == named).map_or("", |(name, ..)| name),
        }
    }

    /// Returns whether it stands between its two arguments.
    pub fn is_infix(self) -> bool {
        use Function as F;
        matches!(
            self,
            F::Or
                | F::And
                | F::Is
                | F::Equal
                | F::NotEqual
                | F::Less
                | F::LessOrEqual
                | F::Greater
                | F::GreaterOrEqual
                | F::BitOr
                | F::BitXor
        ) || matches!(self, F::BitAnd | F::ShiftLeft | F::ShiftRight | F::Add | F::Subtract | F::Multiply | F::Divide | F::Modulo)
    }

    /// Returns whether it stands before its argument.
    pub fn is_prefix(self) -> bool {
        matches!(self, Self::Not | Self::BitNot | Self::Negate)
    }

    /// Returns whether it draws random numbers.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Random | Self::RandomExponential | Self::RandomGaussian | Self::RandomZipfian)
    }
}

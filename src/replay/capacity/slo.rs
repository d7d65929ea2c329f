//! Service level objectives: `p(99)<100`, `avg<20ms`, `errors<1%`, several with commas between.

use std::fmt;

/// The percentiles an objective may name, in percent; as many as runs report.
const PERCENTILES: [(&str, f64); 5] = [("50", 0.50), ("90", 0.90), ("95", 0.95), ("99", 0.99), ("99.9", 0.999)];

/// What a load must keep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slo {
    /// All of them are to be kept.
    pub objectives: Vec<Objective>,
}

/// One upper limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// What is limited.
    pub indicator: Indicator,
    /// The value it must stay below: milliseconds of response time, or a share of 0 to 1.
    pub limit: f64,
}

/// What an objective is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Indicator {
    /// A percentile of the response time (0 to 1), in milliseconds.
    Percentile(f64),
    /// The mean response time, in milliseconds.
    Mean,
    /// The share of calls that fail.
    Errors,
}

/// Why an objective cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}{found}")]
pub struct SloError {
    /// The character at which it stops making sense, from 1.
    pub column: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What stands there, as `, found "x"`.
    pub found: String,
}

impl Slo {
    /// Reads objectives with commas between.
    ///
    /// # Errors
    /// [`SloError`] with the column.
    pub fn parse(text: &str) -> Result<Self, SloError> {
        let mut reader = Reader { text, at: 0 };
        let mut objectives = Vec::new();
        loop {
            objectives.push(reader.objective()?);
            reader.space();
            if reader.rest().is_empty() {
                return Ok(Self { objectives });
            }
            reader.token(",", "a comma or the end")?;
        }
    }

    /// Returns the largest limit of a response time in milliseconds; `None` when none is limited.
    pub fn longest_ms(&self) -> Option<f64> {
        let times = self.objectives.iter().filter(|objective| objective.indicator != Indicator::Errors);
        times.map(|objective| objective.limit).reduce(f64::max)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}<{}", self.indicator, self.limit)
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(p) => {
                let name = PERCENTILES.iter().find(|(_, known)| known == p).map_or("?", |(name, _)| name);
                write!(f, "p({name})")
            }
            Self::Mean => f.write_str("avg"),
            Self::Errors => f.write_str("errors"),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> SloError {
        let found = self.rest().split([',', '<', '(', ')', ' ']).find(|word| !word.is_empty()).unwrap_or(self.rest());
        let found = if self.rest().is_empty() { ", found the end".to_owned() } else { format!(", found {found:?}") };
        SloError { column: self.text[..self.at].chars().count() + 1, expected, found }
    }

    fn token(&mut self, token: &str, expected: &'static str) -> Result<(), SloError> {
        self.space();
        if !self.rest().starts_with(token) {
            return Err(self.expected(expected));
        }
        self.at += token.len();
        Ok(())
    }

    /// Takes digits with at most a point among them.
    fn digits(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn objective(&mut self) -> Result<Objective, SloError> {
        let indicator = self.indicator()?;
        self.token("<", "<")?;
        let limit = self.limit(indicator)?;
        Ok(Objective { indicator, limit })
    }

    fn indicator(&mut self) -> Result<Indicator, SloError> {
        self.space();
        for (word, indicator) in [("avg", Indicator::Mean), ("errors", Indicator::Errors)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(indicator);
            }
        }
        self.token("p", "p(99), avg or errors")?;
        self.token("(", "( and a percentile, as in p(99)")?;
        self.space();
        let start = self.at;
        let digits = self.digits();
        let Some((_, p)) = PERCENTILES.iter().find(|(name, _)| *name == digits) else {
            self.at = start;
            return Err(self.expected("a percentile of 50, 90, 95, 99 or 99.9"));
        };
        self.token(")", ")")?;
        Ok(Indicator::Percentile(*p))
    }

    fn limit(&mut self, indicator: Indicator) -> Result<f64, SloError> {
        self.space();
        let start = self.at;
        let (units, expected): (&[(&str, f64)], _) = match indicator {
            Indicator::Errors => (&[("%", 0.01)], "a share such as 0.01 or 1%, above 0 and at most 1"),
            Indicator::Percentile(_) | Indicator::Mean => (&[("ms", 1.0), ("s", 1000.0)], "milliseconds above 0, such as 100 or 0.5s"),
        };
        let number = self.digits().parse::<f64>().ok();
        let unit = units.iter().find(|(unit, _)| self.rest().trim_start().starts_with(unit));
        let factor = unit.map_or(1.0, |(_, factor)| *factor);
        let most = if indicator == Indicator::Errors { 1.0 } else { 3_600_000.0 };
        let Some(limit) = number.map(|number| number * factor).filter(|limit| *limit > 0.0 && *limit <= most) else {
            self.at = start;
            return Err(self.expected(expected));
        };
        if let Some((unit, _)) = unit {
            self.token(unit, expected)?;
        }
        Ok(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(indicator: Indicator, limit: f64) -> Objective {
        Objective { indicator, limit }
    }

    #[test]
    fn objectives_are_read_with_units_and_white_space() {
        let slo = Slo::parse(" p(99) < 100 ,avg<0.5s, errors<1%,p(99.9)<250ms").unwrap();
        let expected = [
            objective(Indicator::Percentile(0.99), 100.0),
            objective(Indicator::Mean, 500.0),
            objective(Indicator::Errors, 0.01),
            objective(Indicator::Percentile(0.999), 250.0),
        ];
        assert_eq!(slo.objectives, expected);
        assert_eq!(slo.longest_ms(), Some(500.0));
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = "p(50)<1.5,p(90)<20,p(95)<30,p(99)<40,p(99.9)<50,avg<7,errors<0.02";
        let slo = Slo::parse(text).unwrap();
        assert_eq!(slo.objectives.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), text);
    }

    #[test]
    fn errors_name_the_column_and_what_is_expected_there() {
        let told = |text: &str| Slo::parse(text).unwrap_err().to_string();
        assert_eq!(told(""), "column 1: expected p(99), avg or errors, found the end");
        assert_eq!(told("max<3"), "column 1: expected p(99), avg or errors, found \"max\"");
        assert_eq!(told("p99<3"), "column 2: expected ( and a percentile, as in p(99), found \"99\"");
        assert_eq!(told("p(98)<3"), "column 3: expected a percentile of 50, 90, 95, 99 or 99.9, found \"98\"");
        assert_eq!(told("p(99)>3"), "column 6: expected <, found \">3\"");
        assert_eq!(told("p(99)<"), "column 7: expected milliseconds above 0, such as 100 or 0.5s, found the end");
        assert_eq!(told("p(99)<0"), "column 7: expected milliseconds above 0, such as 100 or 0.5s, found \"0\"");
        assert_eq!(told("errors<5"), "column 8: expected a share such as 0.01 or 1%, above 0 and at most 1, found \"5\"");
        assert_eq!(told("avg<3;errors<1%"), "column 6: expected a comma or the end, found \";errors\"");
        assert_eq!(told("avg<3,"), "column 7: expected p(99), avg or errors, found the end");
        assert_eq!(told("p(ä)<1"), "column 3: expected a percentile of 50, 90, 95, 99 or 99.9, found \"ä\"");
        assert_eq!(told("avg<1.2.3"), "column 5: expected milliseconds above 0, such as 100 or 0.5s, found \"1.2.3\"");
    }
}

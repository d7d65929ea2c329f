//! What stands for each value: seen first, all of them, then replaced.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::family::Family;
use super::form::{self, Item};
use super::line::{Decimals, Line};
use super::ranked::Ranked;

/// 10^8 places times this is just under 2^32.
const PLACE_TO_32_BITS: u64 = 42;

/// Whole days from now at which a mark stands, in the past and in the future.
const MARKED_DAYS: [i128; 18] = [1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365, 730, 1_095, 1_825, 3_650, 7_300, 18_250, 36_500];

/// Microseconds from now at which a mark stands within a day: a minute, ten, an hour, six.
const MARKED_US: [i128; 4] = [60_000_000, 600_000_000, 3_600_000_000, 21_600_000_000];

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a list that no order binds: what schema text spells is kept, so that predicates find it.
    Free,
    /// In a list that the server sorted: all are replaced, so that the order stays whole.
    Sorted,
}

/// All values of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Values {
    whole: Line,
    decimal: Decimals,
    date: Line,
    moment: Line,
    clock: Line,
    texts: HashMap<String, Ranked>,
    words: Ranked,
    uuid: Ranked,
    bytes: Ranked,
    address: Ranked,
    kept: HashSet<String>,
    plain_by_default: bool,
    settled: bool,
}

impl Values {
    /// Begins with the marks around a moment; `plain_by_default` says that the database's own collation compares bytes.
    pub(super) fn new(now_us: i128, plain_by_default: bool) -> Self {
        let mut values = Self { plain_by_default, ..Self::default() };
        values.whole.mark(0);
        values.decimal.mark(0.0);
        let today = now_us.div_euclid(form::DAY_US);
        for days in MARKED_DAYS.into_iter().chain([0]) {
            for sign in [-1, 1] {
                values.date.mark(today + sign * days);
                values.moment.mark(now_us + sign * days * form::DAY_US);
            }
        }
        for us in MARKED_US {
            values.moment.mark(now_us - us);
            values.moment.mark(now_us + us);
        }
        values.clock.mark(0);
        values.clock.mark(form::DAY_US);
        values
    }

    /// Keeps what schema text spells: the file says it anyway, and predicates must go on finding it.
    pub(super) fn keep(&mut self, text: &str) {
        if let Ok(number) = text.parse::<i64>() {
            self.whole.mark(i128::from(number));
        }
        if let Some(number) = number(text) {
            self.decimal.mark(number);
        }
        if let Some(day) = form::days(text) {
            self.date.mark(day);
            self.moment.mark(day * form::DAY_US);
        }
        if let Some((us, _)) = form::moment(text) {
            self.moment.mark(us);
            self.date.mark(us.div_euclid(form::DAY_US));
        }
        self.kept.insert(text.to_owned());
    }

    /// Returns whether schema text spells this.
    pub(super) fn keeps(&self, text: &str) -> bool {
        text.is_empty() || self.kept.contains(text)
    }

    /// Returns whether the families' own values hold this one.
    pub(super) fn knows(&self, family: &Family, text: &str) -> bool {
        match family {
            Family::Whole => text.parse::<i64>().is_ok_and(|number| self.whole.knows(number.into())),
            Family::Decimal => number(text).is_some_and(|number| self.decimal.knows(number)),
            Family::Date => form::days(text).is_some_and(|day| self.date.knows(day)),
            Family::Moment => form::moment(text).is_some_and(|(us, _)| self.moment.knows(us)),
            Family::Text(collation) => self.texts.get(collation).is_some_and(|ranked| ranked.knows(text)),
            Family::Uuid => self.uuid.knows(text),
            _ => false,
        }
    }

    /// Returns the collation of the texts that hold this one.
    pub(super) fn text_family_of(&self, text: &str) -> Option<Family> {
        let mut collations: Vec<&String> =
            self.texts.iter().filter(|(_, ranked)| ranked.knows(text)).map(|(collation, _)| collation).collect();
        collations.sort_unstable();
        collations.first().map(|collation| Family::Text((*collation).clone()))
    }

    /// Takes note of the order the server gave these values.
    pub(super) fn see_in_order(&mut self, family: &Family, values: &[String]) {
        if !self.settled
            && let Some(ranked) = self.ranked(family)
        {
            ranked.see_in_order(values);
        }
    }

    /// Ends the seeing: from here on values are replaced.
    pub(super) fn settle(&mut self) {
        for line in [&mut self.whole, &mut self.date, &mut self.moment, &mut self.clock] {
            line.settle();
        }
        self.decimal.settle();
        for (collation, ranked) in &mut self.texts {
            let bytewise = match collation.as_str() {
                "" => self.plain_by_default,
                named => matches!(named, "\"C\"" | "\"POSIX\"" | "C" | "POSIX" | "ucs_basic"),
            };
            ranked.settle(|text| if bytewise { text.as_bytes().to_vec() } else { dictionary_key(text) });
        }
        self.words.settle(|word| [&(word.len() as u32).to_be_bytes(), word.as_bytes()].concat());
        for ranked in [&mut self.uuid, &mut self.bytes] {
            ranked.settle(|text| text.as_bytes().to_vec());
        }
        self.address.settle(address_key);
        self.settled = true;
    }

    fn ranked(&mut self, family: &Family) -> Option<&mut Ranked> {
        match family {
            Family::Text(collation) => Some(self.texts.entry(collation.clone()).or_default()),
            Family::Words => Some(&mut self.words),
            Family::Uuid => Some(&mut self.uuid),
            Family::Bytes => Some(&mut self.bytes),
            Family::Address => Some(&mut self.address),
            _ => None,
        }
    }

    /// Returns what stands for a value, or, before [`Self::settle`], takes note of it; `None` when it cannot be read.
    pub(super) fn replaced(&mut self, family: &Family, text: &str, place: Place) -> Option<String> {
        if matches!(text, "infinity" | "-infinity" | "NaN" | "Infinity" | "-Infinity") && !matches!(family, Family::Text(_) | Family::Words)
        {
            return Some(text.to_owned());
        }
        match family {
            Family::Kept => Some(text.to_owned()),
            Family::Opaque => None,
            Family::Whole => {
                let value = i128::from(text.parse::<i64>().ok()?);
                Some(on_line(&mut self.whole, self.settled, value)?.to_string())
            }
            Family::Decimal => self.decimal(number(text)?).map(|value| value.to_string()),
            Family::Date => form::date(on_line(&mut self.date, self.settled, form::days(text)?)?),
            Family::Moment => {
                let (us, zoned) = form::moment(text)?;
                form::timestamp(on_line(&mut self.moment, self.settled, us)?, zoned)
            }
            Family::Clock => Some(form::clock_text(on_line(&mut self.clock, self.settled, form::clock(text)?)?)),
            Family::Text(_) | Family::Words | Family::Uuid | Family::Bytes | Family::Address => self.token(family, text, place),
            Family::Json => self.json(serde_json::from_str(text).ok()?).map(|value| value.to_string()),
            Family::Array(element) => self.array(element, form::array(text)?, place).map(|item| form::array_text(&item)),
            Family::Range(bound) => self.range(bound, text, place),
        }
    }

    /// Returns what stands for a number that is no text: a length of ranges.
    pub(super) fn decimal(&mut self, value: f64) -> Option<f64> {
        if !self.settled {
            self.decimal.see(value);
            return Some(value);
        }
        self.decimal.replaced(value)
    }

    fn token(&mut self, family: &Family, text: &str, place: Place) -> Option<String> {
        let keeps = family != &Family::Words && (text.is_empty() || place == Place::Free && self.kept.contains(text));
        let settled = self.settled;
        let ranked = self.ranked(family)?;
        if !settled {
            ranked.see(text);
            return Some(text.to_owned());
        }
        if keeps {
            return Some(text.to_owned());
        }
        let at = ranked.place(text)?;
        let bits = at * PLACE_TO_32_BITS;
        Some(match family {
            Family::Uuid => format!("{bits:08x}-0000-4000-8000-000000000000"),
            Family::Bytes => format!("\\x{bits:08x}"),
            Family::Address => {
                let mask = if text.contains('/') { "/32" } else { "" };
                format!("{}{mask}", Ipv4Addr::from(u32::try_from(bits).ok()?))
            }
            _ => format!("{at:08}"),
        })
    }

    fn json(&mut self, value: Value) -> Option<Value> {
        let text = Family::Text(String::new());
        Some(match value {
            Value::Null | Value::Bool(_) => value,
            Value::String(string) => Value::String(self.replaced(&text, &string, Place::Free)?),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => serde_json::from_str(&self.replaced(&Family::Whole, &whole.to_string(), Place::Free)?).ok()?,
                None => Value::from(self.decimal(number.as_f64()?)?),
            },
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.json(item)).collect::<Option<_>>()?),
            Value::Object(fields) => {
                let field = |(key, value): (String, Value)| Some((self.replaced(&text, &key, Place::Free)?, self.json(value)?));
                Value::Object(fields.into_iter().map(field).collect::<Option<_>>()?)
            }
        })
    }

    fn array(&mut self, element: &Family, item: Item, place: Place) -> Option<Item> {
        Some(match item {
            Item::Null => Item::Null,
            Item::Value(value) => Item::Value(self.replaced(element, &value, place)?),
            Item::List(items) => Item::List(items.into_iter().map(|item| self.array(element, item, place)).collect::<Option<_>>()?),
        })
    }

    fn range(&mut self, bound: &Family, text: &str, place: Place) -> Option<String> {
        if text == "empty" {
            return Some(text.to_owned());
        }
        let mut range = form::range(text)?;
        for end in [&mut range.lower, &mut range.upper].into_iter().flatten() {
            *end = self.replaced(bound, end, place)?;
        }
        Some(form::range_text(&range))
    }
}

fn on_line(line: &mut Line, settled: bool, value: i128) -> Option<i128> {
    if !settled {
        line.see(value);
        return Some(value);
    }
    line.replaced(value)
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')))
}

/// Returns a key that orders nearly as dictionaries do: letters and digits first, whatever their case, then the rest.
fn dictionary_key(text: &str) -> Vec<u8> {
    let letters: String = text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    [letters.as_bytes(), &[0], text.as_bytes()].concat()
}

/// Returns a key that orders as `inet` does: the family, then the address, then the mask.
fn address_key(text: &str) -> Vec<u8> {
    let (host, mask) = text.split_once('/').unwrap_or((text, "255"));
    let mask = mask.parse::<u8>().unwrap_or(255);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => [&[4], &address.octets()[..], &[mask]].concat(),
        Ok(IpAddr::V6(address)) => [&[6], &address.octets()[..], &[mask]].concat(),
        Err(_) => [&[9], text.as_bytes()].concat(),
    }
}

//! Reading answers of replayed statements: rows are counted, and the last one kept as text where a program wants it.

use std::error::Error as StdError;

use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::types::{FromSql, Kind, Type};
use tokio_postgres::{Client, Error, Row, RowStream, SimpleQueryMessage};

/// A row's columns: name and text, `None` for null.
pub(super) type Columns = Vec<(String, Option<String>)>;

/// Reads all rows, keeps the last and returns how many there were.
pub(super) async fn last_row(rows: RowStream, last: &mut Option<Columns>) -> Result<u64, Error> {
    pin_mut!(rows);
    let (mut count, mut kept) = (0, None);
    while let Some(row) = rows.try_next().await? {
        count += 1;
        kept = Some(row);
    }
    *last = kept.map(|row| columns(&row)).transpose()?;
    Ok(rows.rows_affected().unwrap_or(count))
}

fn columns(row: &Row) -> Result<Columns, Error> {
    let text = |index: usize| row.try_get::<_, Option<Shown>>(index).map(|shown| shown.map(|Shown(text)| text));
    row.columns().iter().enumerate().map(|(index, column)| Ok((column.name().to_owned(), text(index)?))).collect()
}

/// Sends a text by the simple protocol and returns the rows its last command returned or changed.
pub(super) async fn simple(client: &Client, sql: &str, wants_row: bool, last: &mut Option<Columns>) -> Result<u64, Error> {
    let messages = client.simple_query_raw(sql).await?;
    pin_mut!(messages);
    let mut rows = 0;
    while let Some(message) = messages.try_next().await? {
        match message {
            SimpleQueryMessage::Row(row) if wants_row => {
                let named = row.columns().iter().enumerate();
                *last = Some(named.map(|(index, column)| (column.name().to_owned(), row.get(index).map(str::to_owned))).collect());
            }
            SimpleQueryMessage::CommandComplete(count) => rows = count,
            _ => {}
        }
    }
    Ok(rows)
}

/// A value in the server's text form. The driver asks for binary results, so the common types are written out here.
struct Shown(String);

impl<'a> FromSql<'a> for Shown {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let text = match *ty {
            Type::BOOL => if bool::from_sql(ty, raw)? { "t" } else { "f" }.to_owned(),
            Type::INT2 => i16::from_sql(ty, raw)?.to_string(),
            Type::INT4 => i32::from_sql(ty, raw)?.to_string(),
            Type::INT8 => i64::from_sql(ty, raw)?.to_string(),
            Type::OID => u32::from_sql(ty, raw)?.to_string(),
            Type::FLOAT4 => f32::from_sql(ty, raw)?.to_string(),
            Type::FLOAT8 => f64::from_sql(ty, raw)?.to_string(),
            Type::NUMERIC => numeric(raw).ok_or("a numeric that is cut short")?,
            Type::UUID => uuid(raw).ok_or("a uuid that is not 16 bytes")?,
            Type::TIMESTAMPTZ => jiff::Timestamp::from_sql(ty, raw)?.to_string(),
            Type::TIMESTAMP => jiff::civil::DateTime::from_sql(ty, raw)?.to_string(),
            Type::DATE => jiff::civil::Date::from_sql(ty, raw)?.to_string(),
            Type::JSONB => String::from_utf8(raw.get(1..).unwrap_or_default().to_vec())?,
            // Text and its like, json, xml, enums: sent as they are written.
            _ => String::from_utf8(raw.to_vec())?,
        };
        Ok(Self(text))
    }

    fn accepts(ty: &Type) -> bool {
        let known = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::OID,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::NUMERIC,
            Type::UUID,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMP,
            Type::DATE,
            Type::JSONB,
            Type::JSON,
            Type::XML,
        ];
        known.contains(ty) || <String as FromSql<'_>>::accepts(ty) || matches!(ty.kind(), Kind::Enum(_))
    }
}

/// Writes a numeric out of its base-10000 digits.
fn numeric(raw: &[u8]) -> Option<String> {
    let word = |index: usize| raw.get(index * 2..index * 2 + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (digits, weight, sign, scale) = (usize::from(word(0)?), i32::from(word(1)?.cast_signed()), word(2)?, usize::from(word(3)?));
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digit = |position: i32| match usize::try_from(position) {
        Ok(index) if index < digits => word(4 + index),
        _ => Some(0),
    };
    let mut whole = String::new();
    for position in 0..=weight {
        whole.push_str(&format!("{:04}", digit(position)?));
    }
    let whole = whole.trim_start_matches('0');
    let mut fraction = String::new();
    for position in (weight + 1)..=(weight + 1 + i32::try_from(scale.div_ceil(4)).ok()?) {
        fraction.push_str(&format!("{:04}", digit(position)?));
    }
    let minus = if sign == 0x4000 { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{minus}{whole}{point}{}", fraction.get(..scale)?))
}

fn uuid(raw: &[u8]) -> Option<String> {
    let bits = u128::from_be_bytes(raw.try_into().ok()?);
    let part = |shift: u32, mask: u128| (bits >> shift) & mask;
    Some(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 0xffff_ffff),
        part(80, 0xffff),
        part(64, 0xffff),
        part(48, 0xffff),
        part(0, 0xffff_ffff_ffff)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A numeric as the server sends it: number of digits, weight, sign, scale, digits.
    fn sent(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight.cast_unsigned(), sign, scale];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_written_as_the_server_writes_them() {
        assert_eq!(numeric(&sent(0, 0, 0, &[])).unwrap(), "0");
        assert_eq!(numeric(&sent(0, 0, 2, &[12, 3400])).unwrap(), "12.34");
        assert_eq!(numeric(&sent(1, 0x4000, 0, &[1])).unwrap(), "-10000");
        assert_eq!(numeric(&sent(-1, 0, 4, &[5])).unwrap(), "0.0005");
        assert_eq!(numeric(&sent(-2, 0, 6, &[500])).unwrap(), "0.000005");
        assert_eq!(numeric(&sent(0, 0, 3, &[7])).unwrap(), "7.000");
        assert_eq!(numeric(&sent(0, 0xC000, 0, &[])).unwrap(), "NaN");
        assert_eq!(numeric(&[0, 1]), None);
    }
}

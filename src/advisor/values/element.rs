//! Values that have to do with parts of a column's values: elements, keys, lexemes.

use serde_json::{Map, Value};

use super::distribution::Distribution;
use super::draw::{array_text, evenly};

/// Where among a column's ranges those asked for lie: in the middle, and towards the end, for applications ask for the recent.
const RANGE_PLACES: [f64; 3] = [0.5, 0.9, 0.25];
/// How many values of a document column are looked into for an object.
const DOCUMENTS_MAX: usize = 20;

/// Returns values for `column @> $n`, `&&`, `?`, `@@` by the parameter's type: a common element, a rare one, one between.
pub(super) fn draws(distribution: &Distribution, type_name: &str) -> Vec<(String, f64)> {
    match type_name {
        "jsonb" | "json" => evenly(documents(distribution)),
        "jsonpath" => evenly(keys(distribution).into_iter().map(|key| format!("$.{}", Value::String(key)))),
        _ if !distribution.ranges.is_empty() => evenly(RANGE_PLACES.map(|share| range(distribution, share, type_name))),
        _ => {
            let elements = elements(distribution);
            let elements = if elements.is_empty() { keys(distribution) } else { elements };
            evenly(elements.into_iter().map(|element| match type_name {
                name if name.ends_with("[]") => array_text(&[&element]),
                "tsquery" => format!("'{}'", element.replace('\\', "\\\\").replace('\'', "''")),
                _ => element,
            }))
        }
    }
}

/// Returns a range that the column might have, or its beginning where one value is asked for.
fn range(distribution: &Distribution, share: f64, type_name: &str) -> String {
    let place = (share * (distribution.ranges.len() - 1) as f64).round() as usize;
    let range = &distribution.ranges[place];
    if type_name.ends_with("range") || type_name == distribution.type_name {
        return range.clone();
    }
    let lower = range.trim_start_matches(['[', '(']);
    match lower.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => lower.split([',', ')', ']']).next(),
    }
    .unwrap_or_default()
    .to_owned()
}

fn elements(distribution: &Distribution) -> Vec<String> {
    let Some(elements) = &distribution.elements else { return Vec::new() };
    let mut common: Vec<(&String, f64)> =
        elements.common_values.iter().zip(elements.common_frequencies.iter().copied().chain(std::iter::repeat(0.0))).collect();
    // The server keeps them in the order of values.
    common.sort_by(|(a, more), (b, less)| less.total_cmp(more).then_with(|| a.cmp(b)));
    let Some(last) = common.len().checked_sub(1) else { return Vec::new() };
    let mut places = vec![0, last, last / 2];
    places.truncate(common.len());
    places.into_iter().map(|at| common[at].0.clone()).collect()
}

/// Returns objects of one pair each, taken from the column's values.
fn documents(distribution: &Distribution) -> Vec<String> {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let pair = |object: &Map<String, Value>| {
        object.iter().find(|(_, value)| is_plain(value)).map(|(key, value)| serde_json::json!({ key: value }))
    };
    let mut documents: Vec<String> = objects(distribution).iter().filter_map(pair).map(|pair| pair.to_string()).collect();
    documents.dedup();
    documents.truncate(3);
    if documents.is_empty() { vec!["{\"a\": 1}".to_owned()] } else { documents }
}

/// Returns first keys of the column's objects.
fn keys(distribution: &Distribution) -> Vec<String> {
    let mut keys: Vec<String> = objects(distribution).iter().filter_map(|object| object.keys().next().cloned()).collect();
    keys.dedup();
    keys.truncate(3);
    keys
}

fn objects(distribution: &Distribution) -> Vec<Map<String, Value>> {
    let values = (0..distribution.len().min(DOCUMENTS_MAX)).map(|at| distribution.known(at));
    values.filter_map(|value| serde_json::from_str::<Map<String, Value>>(value).ok()).collect()
}

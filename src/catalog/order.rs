//! The order in which objects can be made.

use std::collections::{HashMap, HashSet};

use super::Oid;

/// A kind of object; oids are unique only within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A table, view or materialized view.
    Relation,
    /// A function.
    Function,
    /// A type.
    Type,
}

/// An object by kind and oid.
pub type Object = (Kind, Oid);

/// Says that one object can only be made after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// What needs the other.
    pub later: Object,
    /// What has to be there first.
    pub earlier: Object,
}

/// Puts objects of one kind into an order in which each comes after those it needs, otherwise by oid.
///
/// The need may lead over objects of other kinds, or over ones that are not in the list (a materialized view between two
/// views). Objects that need each other in a circle keep the order of their oids.
pub fn in_order<T>(objects: &mut [T], edges: &[Edge], kind: Kind, oid: impl Fn(&T) -> Oid) {
    let mut needs: HashMap<Object, Vec<Object>> = HashMap::new();
    for edge in edges {
        needs.entry(edge.later).or_default().push(edge.earlier);
    }
    let mut oids: Vec<Oid> = objects.iter().map(&oid).collect();
    oids.sort_unstable();
    let mut rank: HashMap<Object, usize> = HashMap::new();
    let mut begun: HashSet<Object> = HashSet::new();
    for start in oids {
        // A stack of its own: a chain of views may be longer than the thread's stack is deep.
        let mut stack = vec![((kind, start), false)];
        while let Some((object, done)) = stack.pop() {
            if done {
                let next = rank.len();
                rank.entry(object).or_insert(next);
            } else if begun.insert(object) {
                stack.push((object, true));
                let mut earlier = needs.get(&object).cloned().unwrap_or_default();
                earlier.sort_unstable_by_key(|(_, oid)| std::cmp::Reverse(*oid));
                stack.extend(earlier.into_iter().map(|object| (object, false)));
            }
        }
    }
    objects.sort_by_key(|object| rank.get(&(kind, oid(object))).copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(oids: &[Oid], edges: &[(Object, Object)]) -> Vec<Oid> {
        let edges: Vec<Edge> = edges.iter().map(|(later, earlier)| Edge { later: *later, earlier: *earlier }).collect();
        let mut objects = oids.to_vec();
        in_order(&mut objects, &edges, Kind::Relation, |oid| *oid);
        objects
    }

    fn view(oid: Oid) -> Object {
        (Kind::Relation, oid)
    }

    #[test]
    fn what_is_needed_comes_first_and_the_rest_by_oid() {
        assert_eq!(ordered(&[5, 1, 3], &[]), [1, 3, 5]);
        assert_eq!(ordered(&[1, 2, 3, 4], &[(view(1), view(3)), (view(3), view(4))]), [4, 3, 1, 2]);
    }

    #[test]
    fn a_need_leads_over_objects_of_other_kinds() {
        let function = (Kind::Function, 2);
        assert_eq!(ordered(&[1, 2], &[(view(1), function), (function, view(9)), (view(9), view(2))]), [2, 1]);
    }

    #[test]
    fn a_circle_ends() {
        let order = ordered(&[2, 1, 3], &[(view(1), view(2)), (view(2), view(1)), (view(3), view(1))]);
        assert_eq!(order.len(), 3);
        assert_eq!(order.last(), Some(&3));
    }
}

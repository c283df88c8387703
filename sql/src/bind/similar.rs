//! "Perhaps you meant …": columns whose names are near to one that doesn't exist.
//!
//! PostgreSQL: `searchRangeTableForCol` and `updateFuzzyAttrMatchState` in `src/backend/parser/parse_relation.c`. A name counts if no more than
//! three letters, and no more than half of them, are different; a wrong table name counts too. Two that are equally near are both
//! named, three are none.

use super::Binder;

const DISTANCE_MAX: usize = 3;

impl Binder<'_> {
    /// The hint for a column that no item in scope has.
    pub(super) fn similar_columns(&self, table: Option<&str>, name: &str) -> Option<String> {
        let mut nearest = DISTANCE_MAX + 1;
        let mut found: Vec<(&str, &str)> = Vec::new();
        let mut too_many = false;
        let items = self.scopes.iter().rev().flat_map(|scope| &scope.items);
        for item in items.filter(|item| !item.alias.is_empty()) {
            let penalty = table.map_or(0, |table| distance(table, &item.alias, DISTANCE_MAX + 1));
            if penalty > nearest {
                continue;
            }
            for column in &item.columns {
                let letters = distance(name, &column.name, nearest);
                if letters > column.name.len() / 2 {
                    continue;
                }
                let total = letters + penalty;
                if total < nearest {
                    nearest = total;
                    too_many = false;
                    found = vec![(&item.alias, &column.name)];
                } else if total == nearest && nearest <= DISTANCE_MAX {
                    if found.len() < 2 {
                        found.push((&item.alias, &column.name));
                    } else {
                        too_many = true;
                    }
                }
            }
        }
        let quoted = |(table, column): &(&str, &str)| format!("the column \"{table}.{column}\"");
        match found.as_slice() {
            _ if too_many => None,
            [one] => Some(format!("Perhaps you meant to reference {}.", quoted(one))),
            [one, two] => Some(format!("Perhaps you meant to reference {} or {}.", quoted(one), quoted(two))),
            _ => None,
        }
    }
}

/// How many letters must be added, taken or changed to make one name of the other; `limit` if it is more than that.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()].min(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn letters_are_counted() {
        assert_eq!(distance("name", "name", 4), 0);
        assert_eq!(distance("nmae", "name", 4), 2);
        assert_eq!(distance("nam", "name", 4), 1);
        assert_eq!(distance("größe", "grösse", 4), 2);
        assert_eq!(distance("a", "quite another", 4), 5);
    }
}

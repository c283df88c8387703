//! GROUP BY's rule: above the grouping, only grouped columns and aggregates may be read.

use super::Binder;
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::plan::logical::Logical;

/// What the Aggregate will offer.
pub struct Groups {
    pub columns: Vec<(ColumnId, Expr)>,
    /// Ids of the input: reading one of these above, ungrouped, is the error.
    pub input: ColumnSet,
    /// Input columns allowed because the primary key of their table is grouped; they become further group columns.
    pub dependent: ColumnSet,
    /// Those of them that were used.
    pub used: ColumnSet,
}

impl Groups {
    pub fn new(columns: Vec<(ColumnId, Expr)>, sets: &[Vec<usize>], input: &Logical) -> Groups {
        // What determines others has to do so in every set.
        let grouped: ColumnSet = columns
            .iter()
            .enumerate()
            .filter(|(at, _)| sets.iter().all(|set| set.contains(at)))
            .filter_map(|(_, (_, expr))| match expr {
                Expr::Column { index, .. } => Some(*index),
                _ => None,
            })
            .collect();
        let mut dependent = ColumnSet::new();
        functional_dependencies(input, &grouped, &mut dependent);
        Groups { columns, input: input.output_set(), dependent, used: ColumnSet::new() }
    }

    /// Which groups the arguments of GROUPING are.
    pub fn positions(&self, arguments: &[Expr], position: usize) -> Result<Vec<usize>> {
        let find = |argument: &Expr| {
            self.columns.iter().position(|(_, group)| group.same(argument)).ok_or_else(|| {
                let message =
                    "arguments to GROUPING must be grouping expressions of the associated query level";
                Error::new(SqlState::GROUPING_ERROR, message).at(position)
            })
        };
        arguments.iter().map(find).collect()
    }
}

/// A table whose whole primary key is grouped has all its columns determined.
fn functional_dependencies(plan: &Logical, grouped: &ColumnSet, out: &mut ColumnSet) {
    if let Logical::Scan(scan) = plan
        && !scan.table.primary_key.is_empty()
        && scan.table.primary_key.iter().all(|position| grouped.contains(scan.columns[*position]))
    {
        scan.columns.iter().for_each(|id| out.insert(*id));
    }
    // Only through joins and filters: a subquery's columns have ids of their own.
    if matches!(plan, Logical::Join { .. } | Logical::Filter { .. }) {
        plan.inputs(&mut |input| functional_dependencies(input, grouped, out));
    }
}

impl Binder<'_> {
    /// Rewrites an expression of the target list, HAVING or ORDER BY in terms of the groups, or fails (42803).
    pub fn over_groups(&self, mut expr: Expr, groups: &mut Groups) -> Result<Expr> {
        let mut offender = None;
        expr.rewrite(&mut |part| {
            if let Some((id, group)) = groups.columns.iter().find(|(_, group)| group.same(part)) {
                return Some(Expr::Column { index: *id, data_type: group.data_type() });
            }
            match part {
                Expr::Column { index, .. } if groups.input.contains(*index) => {
                    match groups.dependent.contains(*index) {
                        true => groups.used.insert(*index),
                        false => offender = offender.or(Some((*index, false))),
                    }
                    Some(part.clone())
                }
                Expr::Sublink(link) => {
                    for id in link.free.iter().filter(|id| groups.input.contains(*id)) {
                        let grouped = groups
                            .columns
                            .iter()
                            .any(|(_, group)| matches!(group, Expr::Column { index, .. } if *index == id));
                        if !grouped && groups.dependent.contains(id) {
                            groups.used.insert(id);
                        } else if !grouped {
                            offender = offender.or(Some((id, true)));
                        }
                    }
                    None
                }
                _ => None,
            }
        });
        match offender {
            None => Ok(expr),
            Some((id, in_subquery)) => {
                let info = &self.columns[id];
                let name = match info.relation.is_empty() {
                    true => info.name.clone(),
                    false => format!("{}.{}", info.relation, info.name),
                };
                let message = match in_subquery {
                    true => format!("subquery uses ungrouped column \"{name}\" from outer query"),
                    false => format!(
                        "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
                    ),
                };
                let error = Error::new(SqlState::GROUPING_ERROR, message);
                Err(match self.mentions.get(&id) {
                    Some(position) => error.at(*position),
                    None => error,
                })
            }
        }
    }
}

//! Single-row statements by primary key. They are recognised in the finished plan and run without operators: the key is encoded
//! from constants and parameters, the row is fetched, and only the wanted columns are decoded.

use super::logical::ModifyKind;
use super::node::{self, Access, Equal, Node, Operator};
use crate::catalog::Table;
use crate::expr::Expr;
use std::sync::Arc;

pub enum Short {
    /// `SELECT … FROM t WHERE pk = …`
    Select { point: Point, outputs: Arc<[Expr]> },
    /// `UPDATE t SET … WHERE pk = …`, `DELETE FROM t WHERE pk = …`
    Change { point: Point, modify: Arc<node::Modify> },
    /// `INSERT INTO t VALUES (…)`
    Insert { modify: Arc<node::Modify> },
}

/// One row of a table by its clustering key.
pub struct Point {
    pub table: Arc<Table>,
    /// The key's values, in the order of `Table::primary_key`.
    pub key: Vec<Expr>,
    /// What the input row consists of: these columns, then (for a change) key and row.
    pub decode: Vec<usize>,
    /// Over `decode`.
    pub filter: Vec<Expr>,
}

pub fn recognise(root: &Node) -> Option<Short> {
    match &root.operator {
        Operator::Project { input, outputs } if !outputs.iter().any(Expr::has_subquery) => {
            let point = point(input)?;
            // Rows are decoded without key and row here.
            match &input.operator {
                Operator::TableScan(scan) if !scan.key && !scan.row && !scan.table_oid => {
                    Some(Short::Select { point, outputs: outputs.clone() })
                }
                _ => None,
            }
        }
        // Partitions take the rows, or have them.
        Operator::Modify { modify, .. } if modify.targets_others => None,
        Operator::Modify { input, modify } => {
            let exprs = modify.assignments.iter().map(|(_, expr)| expr).chain(&modify.recheck);
            if exprs.chain(modify.returning.iter().flatten()).any(Expr::has_subquery) {
                return None;
            }
            match (&input.operator, modify.kind) {
                (Operator::Result { conditions }, ModifyKind::Insert) if conditions.is_empty() => {
                    Some(Short::Insert { modify: modify.clone() })
                }
                (Operator::TableScan(scan), ModifyKind::Update | ModifyKind::Delete)
                    if scan.key && scan.row && !scan.table_oid =>
                {
                    Some(Short::Change { point: point(input)?, modify: modify.clone() })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn point(node: &Node) -> Option<Point> {
    let Operator::TableScan(scan) = &node.operator else { return None };
    let Access::Index { index, bounds } = &scan.access else { return None };
    if !bounds.is_point || !scan.table.indexes[*index].clustered || scan.filter.iter().any(Expr::has_subquery)
    {
        return None;
    }
    let mut key = Vec::with_capacity(bounds.equal.len());
    for equal in &bounds.equal {
        match equal {
            Equal::Value(expr) if !expr.has_subquery() => key.push(expr.clone()),
            _ => return None,
        }
    }
    Some(Point { table: scan.table.clone(), key, decode: scan.decode.clone(), filter: scan.filter.clone() })
}

use super::logical::*; use super::node::*; use super::*; use crate::expr::*; use super::cost::Knowledge; use super::joins::Method;
pub fn plan(_b: BoundStatement, _s: &ast::StatementKind, _c: &PlanContext<'_>) -> Result<Plan> { todo!() }
pub struct Planner<'a> { pub context: &'a PlanContext<'a>, pub knowledge: Knowledge }
impl<'a> Planner<'a> {
 pub fn estimate(&mut self, _p: &Logical) -> Result<Estimate> { todo!() }
 pub fn as_scan(_p: &Logical) -> Option<(&Scan, &[Expr])> { todo!() }
 pub fn plan(&mut self, _p: Logical, _r: &ColumnSet) -> Result<Arc<Node>> { todo!() }
 pub fn rescan_join(&mut self, _k: JoinKind, _l: Arc<Node>, _r: Logical, _c: Vec<Expr>, _q: &ColumnSet, _e: Option<Estimate>) -> Result<Arc<Node>> { todo!() }
 pub fn join_nodes(&mut self, _k: JoinKind, _m: Method, _l: Arc<Node>, _r: Arc<Node>, _c: Vec<Expr>, _e: Option<Estimate>) -> Result<Arc<Node>> { todo!() }
}

use super::{ExplainOptions, Plan};
pub fn explain(_plan: &Plan, _execution: Option<&crate::exec::Execution>, _options: &ExplainOptions) -> Vec<String> { todo!() }

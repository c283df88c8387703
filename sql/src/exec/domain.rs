//! Domains' constraints, checked on a value.

use super::ExecContext;
use super::eval::eval_row;
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::plan::{PlanContext, PlannerSettings};
use crate::session::core::StatementContext;
use crate::types::{Datum, Oid, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// A domain's checks in the order of their names, ready to evaluate on a row that is the value alone.
#[derive(Default)]
pub(crate) struct Cache {
    version: u64,
    checks: HashMap<Oid, Arc<[(String, Expr)]>>,
}

/// A domain's own constraints; those of a domain that it is over are its own business.
pub(crate) fn check(context: &StatementContext<'_>, domain: Oid, value: &Datum) -> Result<()> {
    let catalog = context.core.catalog();
    let missing = || Error::internal(format!("there is no domain {domain}"));
    let found = catalog.user_type(domain).ok_or_else(missing)?;
    let definition = found.domain().ok_or_else(missing)?;
    let name = Type(domain).display();
    let schema = catalog.schema(found.schema).map_or("", |schema| schema.name.as_str());
    let about = |mut error: Error, constraint: Option<&str>| {
        let fields = error.fields_mut();
        fields.schema = Some(schema.to_owned());
        fields.data_type = Some(found.name.clone());
        fields.constraint = constraint.map(str::to_owned);
        error
    };
    if definition.not_null && value.is_null() {
        let message = format!("domain {name} does not allow null values");
        return Err(about(Error::new(SqlState::NOT_NULL_VIOLATION, message), None));
    }
    if definition.checks.is_empty() {
        return Ok(());
    }
    let eval = context.eval();
    let cached = {
        let cache = context.core.domains.borrow();
        (cache.version == catalog.version).then(|| cache.checks.get(&domain).cloned()).flatten()
    };
    let checks = match cached {
        Some(checks) => checks,
        None => {
            let search_path = context.core.search_path.borrow().clone();
            let settings = PlannerSettings::for_catalog();
            let plan = PlanContext {
                catalog: &catalog,
                search_path: &search_path,
                eval: &eval,
                settings,
                variables: None,
            };
            let mut checks = Vec::with_capacity(definition.checks.len());
            for check in &definition.checks {
                let parsed = crate::parse::parse_expression(&check.text)?;
                checks.push((
                    check.name.clone(),
                    crate::bind::domain_check(&parsed, Type(definition.base), &plan)?,
                ));
            }
            checks.sort_by(|a, b| a.0.cmp(&b.0));
            let checks: Arc<[(String, Expr)]> = checks.into();
            let mut cache = context.core.domains.borrow_mut();
            if cache.version != catalog.version {
                *cache = Cache { version: catalog.version, checks: HashMap::new() };
            }
            cache.checks.insert(domain, checks.clone());
            checks
        }
    };
    let Some(transaction) = context.transaction else {
        return Err(Error::internal("a domain is checked outside of a transaction"));
    };
    let work_mem_bytes = context.core.settings.borrow().typed().work_mem_bytes;
    let exec = ExecContext {
        transaction,
        eval,
        catalog: &catalog,
        parameters: &[],
        work_mem_bytes,
        core: Some(context.core),
    };
    for (constraint, check) in checks.iter() {
        if eval_row(check, std::slice::from_ref(value), &exec)?.as_bool() == Some(false) {
            let message = format!("value for domain {name} violates check constraint \"{constraint}\"");
            return Err(about(Error::new(SqlState::CHECK_VIOLATION, message), Some(constraint)));
        }
    }
    Ok(())
}
